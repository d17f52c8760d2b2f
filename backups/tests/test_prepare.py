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

READS = "name = json.loads(sys.stdin.buffer.readline()); "
WAITS = "import json, sys; print('noise'); print('ready', flush=True); " + READS
OUTCOME = {"migrated": ["app.0001"], "warnings": []}


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names for which a process was started anew."""
    names: list[str] = []

    def shadow_run(journal: object, name: str, *, analyze: bool) -> dict[str, Any]:
        assert analyze
        names.append(name)
        return OUTCOME

    monkeypatch.setattr(prepare, "shadow_run", shadow_run)
    return names


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    """The processes that were started."""
    started: list[Child] = []

    @contextmanager
    def child_seen(*args: Any, **options: Any) -> Iterator[Child]:
        with child(*args, **options) as running:
            started.append(running)
            yield running

    monkeypatch.setattr(prepare, "child", child_seen)
    return started


def waits_with(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let ``code`` be what the process does."""
    monkeypatch.setattr(prepare, "shadow_command", lambda *words: ([sys.executable, "-c", code], dict(os.environ)))


def test_the_process_that_waited_gets_the_name_and_tells_the_outcome(monkeypatch: pytest.MonkeyPatch, fresh: list[str]) -> None:
    waits_with(monkeypatch, WAITS + f"assert name == 'a_shadow'; print('{json.dumps(OUTCOME)}')")
    with shadow_waiting(new_journal("restore")) as prepared:
        assert prepared("a_shadow") == OUTCOME
    assert fresh == []


@pytest.mark.parametrize("name", ["büro/db.sqlite3", "b\udce9ro/ db ", "a\nb"], ids=["not ASCII", "not UTF-8, blanks", "end of line"])
def test_whatever_the_name_is_it_arrives(monkeypatch: pytest.MonkeyPatch, fresh: list[str], name: str) -> None:
    """In another encoding it would be that of another file, which SQLite makes where it is not there."""
    waits_with(monkeypatch, WAITS + f"assert name == {name!a}, ascii(name); print('{json.dumps(OUTCOME)}')")
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    with shadow_waiting(new_journal("restore")) as prepared:
        assert prepared(name) == OUTCOME


def test_what_was_printed_before_without_an_end_of_its_line_holds_nothing_up(monkeypatch: pytest.MonkeyPatch, fresh: list[str]) -> None:
    unfinished = "import json, sys; print('loading', end=''); print('ready', flush=True); "
    waits_with(monkeypatch, unfinished + READS + f"print('{json.dumps(OUTCOME)}')")
    with shadow_waiting(new_journal("restore")) as prepared:
        assert prepared("a_shadow") == OUTCOME
    assert fresh == []


def test_a_migration_that_asks_somebody_finds_nobody(monkeypatch: pytest.MonkeyPatch, fresh: list[str]) -> None:
    waits_with(monkeypatch, WAITS + "input('Which one? ')")
    with shadow_waiting(new_journal("restore")) as prepared, pytest.raises(RestoreFailed, match="EOFError"):
        prepared("a_shadow")


@pytest.mark.parametrize("code", ["raise SystemExit('asks its database')", "print('noise')", "import os, signal; os.kill(os.getpid(), 9)"])
def test_where_it_has_ended_before_it_was_ready_another_is_started(monkeypatch: pytest.MonkeyPatch, fresh: list[str], code: str) -> None:
    waits_with(monkeypatch, code)
    with shadow_waiting(new_journal("restore")) as prepared:
        assert prepared("a_shadow") == OUTCOME
    assert fresh == ["a_shadow"]


def test_where_it_has_ended_since_it_was_ready_another_is_started(
    monkeypatch: pytest.MonkeyPatch, fresh: list[str], seen: list[Child]
) -> None:
    """As where the system wants its memory back while the dump is loaded."""
    waits_with(monkeypatch, "import os; print('ready', flush=True); os.kill(os.getpid(), 9)")
    with shadow_waiting(new_journal("restore")) as prepared:
        assert seen[0].wait() == -signal.SIGKILL
        assert prepared("a_shadow") == OUTCOME
    assert fresh == ["a_shadow"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [("raise SystemExit('no such column')", "no such column"), ("import os; os.kill(os.getpid(), 9)", "ended by signal 9")],
)
def test_why_it_has_failed_with_the_shadow_is_told(monkeypatch: pytest.MonkeyPatch, fresh: list[str], code: str, reason: str) -> None:
    waits_with(monkeypatch, WAITS + code)
    with shadow_waiting(new_journal("restore")) as prepared, pytest.raises(RestoreFailed, match=reason):
        prepared("a_shadow")
    assert fresh == []


def test_it_ends_with_the_block_where_nobody_asked(monkeypatch: pytest.MonkeyPatch, seen: list[Child]) -> None:
    waits_with(monkeypatch, WAITS)
    with pytest.raises(ZeroDivisionError), shadow_waiting(new_journal("restore")):
        raise ZeroDivisionError
    (waiting,) = seen
    assert waiting.wait() == -signal.SIGKILL
