"""A live file that is no database: moved aside for people, and brought back when the restore fails.

Nothing of it is lost: the file goes with what stands beside it, and it stays there after a restore that succeeded.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import nullcontext, suppress
from pathlib import Path

from backups.engines.sqlite_file import SIDE_FILES, journal_mode, opened
from backups.exceptions import RestoreNotUndone
from backups.files import apply_owner, sync_folder
from backups.journal import Journal

__all__ = ["aside_bring_back", "aside_put", "live_files"]

logger = logging.getLogger(__name__)


def live_files(live: Path) -> list[Path]:
    """The names that SQLite uses for the database ``live``: the file, and what stands beside it."""
    return [live.with_name(live.name + suffix) for suffix in ("", *SIDE_FILES)]


def aside_put(journal: Journal, live: Path, aside: Path, page_size: int) -> None:
    """Move what lies at ``live`` to ``aside`` and put an empty database in WAL mode there.

    ``journal.database["aside"]`` says what was moved, before it is. Raises :class:`OSError` and :class:`sqlite3.Error`.
    """
    found = [path for path in live_files(live) if path.exists()]
    journal.database["aside"] = {"path": str(aside), "files": [path.name for path in found]}
    journal.save()
    if found:
        logger.warning("%s is no database; it is moved to %s.", live, aside)
    # What stands beside it first: an empty database must never find the WAL of another.
    for path in reversed(found):
        # SQLite removes what stands beside a file when the last process closes it, also in this moment.
        with suppress(FileNotFoundError) if path != live else nullcontext():
            path.rename(_aside_of(path, live, aside))
    sync_folder(live.parent)
    live.touch(mode=0o600)
    if aside.exists():
        apply_owner(live, aside)
        live.chmod(aside.stat().st_mode & 0o777)
    else:
        apply_owner(live, live.parent)
    with opened(live) as connection:
        connection.execute(f"PRAGMA page_size={page_size}")
        journal_mode(connection, "wal")


def aside_bring_back(journal: Journal, live: Path) -> None:
    """Put what was moved aside back, and remove what was made in its place. It may be killed and run again.

    Raises :class:`~backups.exceptions.RestoreNotUndone` where somebody has filled the empty database since.
    """
    if not journal.database.get("aside"):
        return
    aside, files = Path(journal.database["aside"]["path"]), journal.database["aside"]["files"]
    # The database that was made in between goes first: it must never find the WAL that comes back.
    if aside.exists() or live.name not in files:
        _remove_empty(live)
    for path in reversed(live_files(live)):
        if path.name not in files:
            path.unlink(missing_ok=True)
        elif _aside_of(path, live, aside).exists():
            _aside_of(path, live, aside).replace(path)
    sync_folder(live.parent)
    journal.database["aside"] = {}
    journal.save()


def _aside_of(path: Path, live: Path, aside: Path) -> Path:
    return aside.with_name(aside.name + path.name.removeprefix(live.name))


def _remove_empty(live: Path) -> None:
    if not live.exists():
        return
    try:
        with opened(live, read_only=True) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master LIMIT 1")]
    except sqlite3.Error as error:
        raise RestoreNotUndone(f"What was moved aside cannot be brought back: {live} cannot be read: {error}.") from error
    if tables:
        raise RestoreNotUndone(
            f"What was moved aside cannot be brought back: since then {live} has been filled by another program.",
            next_step=f"Move {live} away, then run: manage.py backup_status --recover",
        )
    live.unlink()
