"""The swap of a SQLite database: the shadow's pages become the live file's in one WAL transaction.

The live file is never replaced and never copied as a file: with a connection open to it in WAL mode the restore would
be undone in silence, and new connections would read the old rows (measured). Through the backup API readers in other
processes see the old data until the last page is committed and the new data at their next read, without reopening.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from backups.engines.sqlite_file import (
    BUSY_SECONDS,
    COPY_PAGES,
    checkpoint,
    copy_pages,
    has_marker,
    journal_mode,
    opened,
    page_size_of,
    remove_file,
    sync_file,
    write_marker,
)
from backups.exceptions import RestoreFailed, RestoreNotUndone
from backups.files import apply_owner, sync_folder

__all__ = ["SqliteSwap"]

logger = logging.getLogger(__name__)

# Seconds that one step waits for the live file's write lock: short, so that the deadline is looked at in between.
STEP_SECONDS = 0.25


@dataclass
class SqliteSwap:
    """One swap: ``shadow`` into ``live``, with what was live kept in ``kept`` (None: what was live cannot be read).

    ``wait`` is the longest wait, in seconds, for writers to let go of the live file. :meth:`close` ends it: only then
    is the WAL brought back into the live file, which takes time, while everybody reads the new data already.
    """

    operation: str
    live: Path
    shadow: Path
    kept: Path | None
    wait: float
    _open: ExitStack = field(default_factory=ExitStack)
    _live: sqlite3.Connection | None = None
    _closed_at: float = 0.0

    def run(self, *, on_close: Callable[[], None], switch_uploads: Callable[[], None]) -> float:
        """Swap, and return the milliseconds from ``on_close`` to the first answer of the new data.

        On an exception the live data is as it was; of what it raises, SQLite's errors become
        :class:`~backups.exceptions.RestoreFailed`.
        """
        try:
            self._copy(on_close, switch_uploads)
        except BaseException as error:
            if not self._is_committed(error):
                self._abandon()
                if isinstance(error, sqlite3.Error):
                    raise RestoreFailed(
                        f"The swap of {self.live} failed: {error}.",
                        next_step="Stop what writes to the database (workers, scripts), look at the disk's free space, then run it again.",
                    ) from error
                raise
        self._ask_once()
        milliseconds = (time.monotonic() - self._closed_at) * 1000
        self._remove_shadow()
        return milliseconds

    def close(self) -> None:
        """Shorten the WAL as far as readers allow, and close the connections."""
        if self._live is not None:
            checkpoint(self._live)
            self._live = None
        self._open.close()

    def _copy(self, on_close: Callable[[], None], switch_uploads: Callable[[], None]) -> None:
        write_marker(self.shadow, self.operation)
        source = self._open.enter_context(opened(self.shadow, read_only=True))
        live = self._live = self._open.enter_context(opened(self.live, wait=STEP_SECONDS))
        self._prepare(live, source)
        # At least two steps, so that there is one moment before the commit at which this file is locked.
        total = int(source.execute("PRAGMA page_count").fetchone()[0])
        pages = max(1, min(COPY_PAGES, total // 2))
        is_kept = self.kept is None

        def after_step(remaining: int) -> None:
            nonlocal is_kept
            if not is_kept:
                # From the first step on nobody else can write: what a reader finds now is all that was ever accepted.
                self._keep()
                is_kept = True
            if 0 < remaining <= pages:
                # The next step commits. Everything before it reaches the disk here, while the gate is not yet closed.
                self._sync_wal()
                self._closed_at = time.monotonic()
                on_close()
                switch_uploads()

        copy_pages(source, live, wait=self.wait, pages=pages, after_step=after_step)

    def _prepare(self, live: sqlite3.Connection, source: sqlite3.Connection) -> None:
        deadline = time.monotonic() + self.wait
        while True:
            try:
                is_wal = journal_mode(live, "wal")
                break
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
        if not is_wal:
            raise RestoreFailed(f"{self.live} cannot be put into WAL mode, which the swap needs.")
        if page_size_of(live) != page_size_of(source):
            raise RestoreFailed(f"The shadow's pages have {page_size_of(source)} bytes and the live database's {page_size_of(live)}.")
        live.execute("PRAGMA synchronous=FULL")
        # No checkpoint by the way: it would make the closed time grow with the database.
        live.execute("PRAGMA wal_autocheckpoint=0")

    def _keep(self) -> None:
        """Copy the live data as it is committed now; it is durable when this returns."""
        assert self.kept is not None  # noqa: S101  (narrows for the type checker)
        self.kept.touch(mode=0o600)
        with opened(self.live, read_only=True) as reader, opened(self.kept) as target:
            target.execute("PRAGMA synchronous=OFF")
            copy_pages(reader, target, wait=BUSY_SECONDS)
            journal_mode(target, "delete")
        apply_owner(self.kept, self.live)
        sync_file(self.kept)

    def _sync_wal(self) -> None:
        """Write the WAL's pages to the disk. No lock is on this file, so a descriptor of one's own does no harm."""
        descriptor = os.open(self.live.with_name(self.live.name + "-wal"), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _is_committed(self, error: BaseException) -> bool:
        """Whether the new data is live although the copy raised: a signal can arrive between the commit and its return."""
        try:
            return has_marker(self.live, self.operation, wait=self.wait)
        except sqlite3.Error as failure:
            raise RestoreNotUndone(f"After a failure ({error}) it cannot be known which data is live: {failure}.") from error

    def _abandon(self) -> None:
        """End the connections, which takes the transaction back, and remove the kept copy."""
        self.close()
        if self.kept is not None:
            remove_file(self.kept)
            sync_folder(self.kept.parent)

    def _remove_shadow(self) -> None:
        """Its connection is still open, so that this frees no space yet and takes no time, however large it is."""
        try:
            remove_file(self.shadow)
        except OSError as error:
            logger.warning("%s is of no use any more and could not be removed: %s", self.shadow, error)

    def _ask_once(self) -> None:
        try:
            answered = has_marker(self.live, self.operation, wait=self.wait)
        except sqlite3.Error as error:
            raise RestoreNotUndone(f"The new data is in place but does not answer: {error}.") from error
        if not answered:
            raise RestoreNotUndone("The new data is in place but a new connection does not find it.")
