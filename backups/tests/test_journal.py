"""The journal: without it nothing begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from backups.exceptions import PreflightRefused
from backups.journal import Journal


def test_an_operation_whose_journal_cannot_be_written_is_refused(settings: Settings, tmp_path: Path) -> None:
    settings.BACKUPS_STATE_DIR = tmp_path
    (tmp_path / "journal").write_text("a file, where the folder should be")
    with pytest.raises(PreflightRefused, match=f"journal cannot be written in {tmp_path}/journal: File exists") as refusal:
        Journal(kind="create").start()
    assert "Free some space" in refusal.value.next_step
