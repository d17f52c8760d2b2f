"""The tick: each step is tried whatever becomes of the others, and it keeps its hands off the lock where nothing is left."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import pytest

from backups.exceptions import BackupError, Interrupted
from backups.services import tick
from backups.services.tick import backup_tick
from backups.tests.site import Site
from backups.tests.workers import in_the_site, journal_of

STEPS = [
    "tick_note",
    "tick_recover",
    "maintenance_publish",
    "requests_run",
    "requests_remember",
    "carry_over_pending",
    "carry_over_keep",
    "schedules_run",
    "watch_sweep",
]

IS_CLOSED = "from backups.gate import is_database_closed; print(is_database_closed())"


class Steps:
    """Takes the place of the tick's steps: notes that each is called, and lets some fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **failures: BaseException) -> None:
        self.called: list[str] = []
        for name in STEPS:
            monkeypatch.setattr(tick, name, self._step(name, failures.get(name)))

    def _step(self, name: str, failure: BaseException | None) -> object:
        def step(*args: object) -> None:
            self.called.append(name)
            if failure is not None:
                raise failure

        return step


def test_a_step_that_fails_is_logged_once_and_the_others_are_tried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steps = Steps(
        monkeypatch, tick_recover=BackupError("No lock."), requests_run=OSError("The disk is full."), maintenance_publish=KeyError("x")
    )
    backup_tick()
    assert steps.called == STEPS
    failed = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in failed] == [
        "The tick could not recover what was interrupted: No lock. Nothing was changed. Run: manage.py backup_status",
        "The tick could not tell of the maintenance.",
        "The tick could not run what was asked for: The disk is full.",
    ]
    assert [bool(record.exc_info) for record in failed] == [False, True, False], "a trace where nobody has foreseen it"


def test_an_interruption_ends_the_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch, requests_run=Interrupted(15))
    with pytest.raises(Interrupted):
        backup_tick()
    assert steps.called[-1] == "requests_run"


def recovering(site: Site) -> None:
    """Run that step in a process of ``site``."""
    in_the_site(site, "from backups.services.tick import tick_recover; tick_recover()")


def test_a_tick_leaves_the_lock_alone_where_nothing_was_interrupted(sqlite_site: Site) -> None:
    # Whoever asks for the lock makes its file.
    lock = Path(f"{sqlite_site.database}.backups-lock")
    recovering(sqlite_site)
    assert not lock.exists()
    sqlite_site.manage("backup_create")
    assert lock.exists()


def test_a_tick_passes_over_an_operation_that_is_at_work(sqlite_site: Site) -> None:
    holding = sqlite_site.run_python("-m", "backups.tests.holding", stdin=subprocess.PIPE)
    assert holding.stdout
    operation = holding.stdout.readline().strip()
    recovering(sqlite_site)
    assert journal_of(sqlite_site, operation)["status"] == "running"
    holding.communicate("\n", timeout=60)
    assert holding.returncode == 0
    assert journal_of(sqlite_site, operation)["status"] == "done"


def test_a_tick_opens_a_gate_that_a_damaged_marker_keeps_closed(sqlite_site: Site) -> None:
    sqlite_site.manage("backup_create")
    (sqlite_site.state / "gate_closed").write_bytes(b"\0" * 100)
    assert in_the_site(sqlite_site, IS_CLOSED) == "True"
    recovering(sqlite_site)
    assert in_the_site(sqlite_site, IS_CLOSED) == "False"


def test_a_damaged_marker_stays_where_the_journal_that_explains_it_is_damaged_too(sqlite_site: Site) -> None:
    sqlite_site.manage("backup_create")
    (journal,) = (sqlite_site.state / "journal").glob("[!.]*.json")
    for path in (journal, sqlite_site.state / "gate_closed"):
        path.write_bytes(b"\0" * 100)
    refused = sqlite_site.manage("backup_status", "--recover", check=False)
    assert (refused.returncode, "--force-open" in refused.stderr) == (7, True)
    assert in_the_site(sqlite_site, IS_CLOSED) == "True"
