"""The process that waits for a shadow: whatever becomes of it, the shadow is prepared once, or the reason is told."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from backups.engines.process import Child, child
from backups.exceptions import RestoreFailed
from backups.services import prepare
from backups.services.prepare import shadow_waiting
from backups.tests.contracts import new_journal

WAITS = "import sys; print('noise'); print('ready', flush=True); name = sys.stdin.readline().strip(); "
OUTCOME = {"migrated": ["app.0001"], "warnings": []}


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names for which a process was started anew."""
    names: list[str] = []

    def shadow_run(journal: object, name: str) -> dict[str, Any]:
        names.append(name)
        return OUTCOME

    monkeypatch.setattr(prepare, "shadow_run", shadow_run)
    return names


def waits_with(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let ``code`` be what the process does."""
    monkeypatch.setattr(prepare, "shadow_command", lambda *words: ([sys.executable, "-c", code], dict(os.environ)))


def test_the_process_that_waited_gets_the_name_and_tells_the_outcome(monkeypatch: pytest.MonkeyPatch, fresh: list[str]) -> None:
    waits_with(monkeypatch, WAITS + f"assert name == 'a_shadow'; print('{json.dumps(OUTCOME)}')")
    with shadow_waiting(new_journal("restore")) as prepared:
        assert prepared("a_shadow") == OUTCOME
    assert fresh == []


@pytest.mark.parametrize("code", ["raise SystemExit('asks its database')", "print('noise')", "import os, signal; os.kill(os.getpid(), 9)"])
def test_where_it_has_ended_before_it_was_ready_another_is_started(monkeypatch: pytest.MonkeyPatch, fresh: list[str], code: str) -> None:
    waits_with(monkeypatch, code)
    with shadow_waiting(new_journal("restore")) as prepared:
        assert prepared("a_shadow") == OUTCOME
    assert fresh == ["a_shadow"]


@pytest.mark.parametrize("code", ["raise SystemExit('no such column')", "import os, signal; os.kill(os.getpid(), 9)"])
def test_why_it_has_failed_with_the_shadow_is_told(monkeypatch: pytest.MonkeyPatch, fresh: list[str], code: str) -> None:
    waits_with(monkeypatch, WAITS + code)
    with shadow_waiting(new_journal("restore")) as prepared, pytest.raises(RestoreFailed, match="no such column|no reason given"):
        prepared("a_shadow")
    assert fresh == []


def test_it_ends_with_the_block_where_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    waits_with(monkeypatch, WAITS)
    seen: list[Child] = []

    @contextmanager
    def child_seen(*args: Any, **options: Any) -> Iterator[Child]:
        with child(*args, **options) as running:
            seen.append(running)
            yield running

    monkeypatch.setattr(prepare, "child", child_seen)
    with pytest.raises(ZeroDivisionError), shadow_waiting(new_journal("restore")):
        raise ZeroDivisionError
    (waiting,) = seen
    assert waiting.wait() == -signal.SIGKILL
