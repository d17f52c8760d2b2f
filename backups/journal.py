"""The journal: one fsynced JSON file per operation, in ``BACKUPS_STATE_DIR``.

It is written before the step that it speaks of, so that after ``kill -9`` the next process knows what may have
happened. An operation is interrupted when its journal is unfinished and the lock is free.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backups.conf import conf
from backups.exceptions import PreflightRefused, RequestTaken
from backups.files import apply_owner, private_folder, write_durably
from backups.kinds import operation_named
from backups.outcomes import outcome_of

__all__ = [
    "Journal",
    "is_operation_id",
    "journal_find",
    "journal_load",
    "journal_load_all",
    "journal_queued",
    "journal_unwritten",
    "journals_damaged",
]

UNFINISHED = ("queued", "running")
FINISHED = ("done", "failed", "recovered")
_ID = re.compile(r"[0-9a-f]{32}")

# Which file of a path it is: every change of a journal is a new file.
_Identity = tuple[int, int, int]
# The journals of ended operations that this process has read. They change hardly ever, and each page of the admin asks for all of
# them: with 4,000 that took 200 ms (measured).
_read_before: dict[str, tuple[_Identity, Journal]] = {}


@dataclass
class Journal:
    """What is known of one operation.

    ``kind`` is create, restore, undo, prune or verify. ``status`` is queued, running, done, failed or recovered.
    ``database`` belongs to the engine (names, OIDs, paths), ``uploads`` to :mod:`backups.uploads` (the plan of the
    switch), ``kept`` says what undo would use (empty: nothing). Times are ISO 8601 in UTC.
    """

    kind: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    status: str = "queued"
    stage: str = ""
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    started_at: str = ""
    ended_at: str = ""
    pid: int = 0
    host: str = ""
    requested_by: str = ""
    archive: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    database: dict[str, Any] = field(default_factory=dict)
    uploads: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def short_id(self) -> str:
        """The first eight hex digits, used in the names of databases, files and sessions."""
        return self.id[:8]

    @property
    def named(self) -> str:
        """The operation within a sentence for people: ``backup 23ff2ea7``."""
        return operation_named(self.kind, self.id)

    @property
    def path(self) -> Path:
        """Where the journal lies."""
        return conf.state_dir / "journal" / f"{self.id}.json"

    @property
    def is_finished(self) -> bool:
        """Whether the operation has come to an end, good or bad."""
        return self.status not in UNFINISHED

    @property
    def outcome(self) -> str:
        """The status, or ``cancelled``."""
        return outcome_of(self.status, self.report)

    def save(self) -> None:
        """Write the journal durably; returns only when it would survive a power cut."""
        write_durably(self.path, json.dumps(asdict(self), indent=1, sort_keys=True).encode())

    def start(self) -> None:
        """Mark the operation as running in this process. Raises PreflightRefused: without a journal nothing may begin."""
        self.status, self.pid, self.host = "running", os.getpid(), socket.gethostname()
        self.started_at = datetime.now(UTC).isoformat()
        try:
            self.save()
        except OSError as error:
            raise journal_unwritten(error) from error

    def enter(self, stage: str) -> None:
        """Record the stage that is about to begin."""
        self.stage = stage
        self.save()

    def end(self, status: str, *, error: str = "") -> None:
        """Record the end: ``done``, ``failed`` or ``recovered``."""
        self.status, self.error = status, error
        # Never before one that has ended already, even where the clock was set back: the last end tells what undo undoes.
        ended = [journal.ended_at for journal in journal_load_all() if journal.is_finished and journal.id != self.id]
        self.ended_at = _later_than(max(ended, default=""))
        self.save()


def _later_than(ended_at: str) -> str:
    """Now, or where the clock says that this is not later than ``ended_at``, a microsecond after it (both ISO 8601 in UTC)."""
    now = datetime.now(UTC)
    with suppress(ValueError):
        now = max(now, datetime.fromisoformat(ended_at) + timedelta(microseconds=1))
    return now.isoformat()


def journal_load(path: Path) -> Journal:
    """Read one journal; unknown keys of a newer version are dropped.

    Raises OSError, and LookupError, ValueError or TypeError where the file holds none: what nobody expects in one of them must not
    stop every operation.
    """
    data = json.loads(path.read_bytes())
    known = {name: data[name] for name in Journal.__dataclass_fields__ if name in data}
    journal, blank = Journal(**known), Journal(kind="")
    for name in known:
        if type(getattr(journal, name)) is not type(getattr(blank, name)):
            raise ValueError(f"{name} is {getattr(journal, name)!r}")
    if journal.id != path.stem:
        # A person's copy, which would stay unfinished whatever becomes of the operation.
        raise ValueError(f"it is that of {journal.id}")
    if journal.status not in (*UNFINISHED, *FINISHED):
        raise ValueError(f"its status is {journal.status!r}")
    until = [journal.kept["until"]] if journal.kept else []
    for moment in (journal.created_at, *filter(None, (journal.started_at, journal.ended_at)), *until):
        if datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError(f"{moment} has no time zone")
    return journal


def is_operation_id(text: str) -> bool:
    """Whether ``text`` could be the id of an operation: 32 hex digits."""
    return bool(_ID.fullmatch(text))


def journal_find(operation_id: str) -> Journal | None:
    """The journal of one operation; None where there is none, or it says nothing any more."""
    if not is_operation_id(operation_id):
        return None
    try:
        return journal_load(Journal(kind="", id=operation_id).path)
    except (OSError, LookupError, ValueError, TypeError):
        return None


def journal_unwritten(error: OSError) -> PreflightRefused:
    """What to raise where a journal cannot be written: without one nothing may begin, and nothing can be asked for."""
    return PreflightRefused(
        f"The operation's journal cannot be written in {conf.state_dir / 'journal'}: {error.strerror}.",
        next_step="Free some space on that disk, and let the user that runs this write there. Then try again.",
    )


@contextmanager
def journal_queued(operation_id: str) -> Iterator[Journal]:
    """The journal of a request that still waits; until the end of the block no other process changes that.

    Whoever begins, cancels or gives up a request does it in here, so that of several exactly one succeeds. Raises
    :class:`~backups.exceptions.RequestTaken` for all others, and OSError where the folder of the journals cannot be written.
    """
    folder = conf.state_dir / "journal"
    private_folder(folder)
    # Never removed: another process may be waiting on it. Closing it lets go of the lock, and so does the death of its holder.
    descriptor = os.open(folder / ".queue", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        apply_owner(descriptor, folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        journal = journal_find(operation_id)
        if journal is None or journal.status != "queued":
            raise RequestTaken(
                f"The request {operation_id[:8]} "
                + ("is not there any more." if journal is None else f"waits no more: it is {journal.status}.")
            )
        yield journal
    finally:
        os.close(descriptor)


def journal_load_all() -> list[Journal]:
    """All journals, oldest first; a file that holds none is left out (:func:`journals_damaged`).

    Raises :class:`~backups.exceptions.PreflightRefused` for one that this user may not read: what it says must not be missed.
    """
    journals = [journal for _, journal in _read_all() if journal is not None]
    return sorted(journals, key=lambda journal: (journal.created_at, journal.id))


def journals_damaged() -> list[str]:
    """The ids of operations whose journal is there and says nothing any more. Writes are atomic, so a failing disk did it."""
    silent = [Path(path).stem for path, journal in _read_all() if journal is None]
    return sorted(filter(is_operation_id, silent))


def _read_all() -> Iterator[tuple[str, Journal | None]]:
    folder = str(conf.state_dir / "journal")
    paths = [f"{folder}/{name}" for name in _names(folder) if name.endswith(".json") and not name.startswith(".")]
    for gone in _read_before.keys() - set(paths):
        _read_before.pop(gone, None)
    for path in paths:
        try:
            yield path, _load_once(path)
        except (LookupError, ValueError, TypeError):
            yield path, None
        except (FileNotFoundError, IsADirectoryError):
            continue
        except OSError as error:
            raise _unreadable(path, error) from error


def _names(folder: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(path: str, error: OSError) -> PreflightRefused:
    return PreflightRefused(
        f"The journal {path} cannot be read: {error.strerror}.",
        next_step="Run the command as the user that the site runs as, and give the file to that user.",
    )


def _load_once(path: str) -> Journal:
    """The journal at ``path``; that of an ended operation is read once, as long as the file is the same. The caller may change it."""
    # Before it is read: what is written meanwhile is another file.
    about = os.stat(path)  # noqa: PTH116 - a Path for each of 4,000 files takes longer than what is done with it
    identity = (about.st_ino, about.st_ctime_ns, about.st_size)
    known = _read_before.get(path)
    if known is None or known[0] != identity:
        journal = journal_load(Path(path))
        if not journal.is_finished:
            return journal
        known = _read_before[path] = identity, journal
    return _copied(known[1])


def _copied(journal: Journal) -> Journal:
    """Another object of the same content; what lies deeper than the first level of its dicts is shared."""
    values: dict[str, Any] = {name: dict(value) if type(value) is dict else value for name, value in vars(journal).items()}
    return Journal(**values)
