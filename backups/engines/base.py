"""What every engine owes: the contract between the services and one database vendor.

An engine knows no archive, no store and no Django model. It speaks to the database over connections of its own
(psycopg2, sqlite3) built from ``connection.get_connection_params()``, never over Django's, so that it works while the
live database is closed, broken or gone. ``backups/tests/contracts.py`` runs one test class against each engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from backups.journal import Journal
from backups.manifest import DatabaseInfo
from backups.pace import Pace
from backups.progress import Progress

__all__ = ["BATCH", "Engine", "LiveState", "Plan", "Snapshot", "Space", "Which"]

# Bytes handed over at once between a child's pipe, the compressor and the disk.
BATCH = 1024 * 1024

Which = Literal["old", "new"]


@dataclass(frozen=True)
class LiveState:
    """What the live database is: ``ok``, ``empty`` (no table), ``missing`` or ``broken``, and a sentence that says more."""

    state: Literal["ok", "empty", "missing", "broken"]
    detail: str = ""
    server_version: str = ""
    size: int = 0


@dataclass(frozen=True)
class Space:
    """What a restore takes on one disk, and what is free there, in bytes; ``free`` is None where it cannot be known from here."""

    disk: str
    needed: int
    free: int | None


@dataclass
class Plan:
    """How a restore will go: decided by :meth:`Engine.plan_restore` before any side effect.

    ``needed_bytes`` is what the engine will take on the database's disk, ``free_bytes`` what is there (None: cannot be
    known from here). ``seconds_closed`` is an estimate. ``tools`` maps a program to its version. ``spaces`` is what all of it takes
    on each disk, the uploads and what is staged included: the preflight knows that, not the engine.
    """

    strategy: Literal["swap", "in-place"]
    jobs: int = 1
    tools: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    needed_bytes: int = 0
    free_bytes: int | None = None
    seconds_closed: float = 0.1
    spaces: list[Space] = field(default_factory=list)


class Snapshot(ABC):
    """One instant of the live database, held while its dump is written.

    ``rows`` and everything else MUST be of exactly the instant that the dump is of.
    """

    database: DatabaseInfo
    rows: dict[str, int]
    migrations: dict[str, list[str]]
    # True where the dump is compressed already, so that the archive stores it instead of deflating it again.
    is_compressed: bool = False

    @abstractmethod
    def values(self, table: str, column: str) -> Iterator[str]:
        """Distinct values of a text column that are neither NULL nor empty; nothing where table or column is absent."""

    @abstractmethod
    def write_to(self, sink: Callable[[memoryview], object]) -> None:
        """Hand the whole dump to ``sink`` in order, in pieces of at most :data:`BATCH` bytes, each valid until ``sink`` returns.

        MUST raise :class:`~backups.exceptions.DumpFailed` with the tool's **first** error line unless the tool ended well.
        May be called from a thread other than the one that opened the snapshot (once).
        """

    @abstractmethod
    def stop(self) -> None:
        """End :meth:`write_to` early, from any thread; it then raises."""


class Engine(ABC):
    """Dump and restore for one vendor. One instance serves one operation in one process.

    Journal use: the engine keeps what recovery needs in ``journal.database`` (a JSON-ready dict) and MUST call
    ``journal.save()`` before each step whose outcome recovery would have to judge.
    """

    vendor: str
    member: str
    # Whether loading a dump takes so long that uploads of its size are unpacked meanwhile.
    loads_slowly: bool = False

    # --- the lock -----------------------------------------------------------------------------------------------

    @abstractmethod
    def lock(self, operation: str, *, wait: float = 0) -> AbstractContextManager[None]:
        """Hold the one lock of this live database, waiting at most ``wait`` seconds.

        MUST be released by the system when the process dies. Raises :class:`~backups.exceptions.OperationLocked` where
        another holds it, :class:`~backups.exceptions.PreflightRefused` where there is nothing to lock with.
        """

    @abstractmethod
    def is_locked(self) -> bool:
        """Whether some process holds the lock now (False where it cannot be asked)."""

    # --- the live database --------------------------------------------------------------------------------------

    @abstractmethod
    def live_state(self) -> LiveState:
        """Look at the live database. MUST NOT raise for a database that is missing, closed, empty or broken."""

    @abstractmethod
    def rows(self, name: str | None = None) -> dict[str, int]:
        """Exact rows per table of the live database (None) or of the shadow or kept database ``name``, of one instant."""

    @abstractmethod
    def migrations(self, name: str | None = None) -> dict[str, list[str]]:
        """Applied migrations per app, in the order of application; empty where the table is absent."""

    @abstractmethod
    def select(self, sql: str, params: tuple[object, ...] = (), *, name: str | None = None) -> list[tuple[object, ...]]:
        """Run one read-only query on the live database (None) or on ``name``. For the preview; placeholders are ``%s``."""

    # --- create -------------------------------------------------------------------------------------------------

    @abstractmethod
    def snapshot(self, journal: Journal, folder: Path, pace: Pace) -> AbstractContextManager[Snapshot]:
        """Open a snapshot. ``folder`` is a private folder on the store's disk for a copy, where the vendor needs one.

        Such a copy MUST be made at the operation's ``pace``, but without its limit of bytes while it holds up the live database.
        MUST refuse (PreflightRefused) before any work where the tools are missing or too old for the server.
        """

    # --- restore ------------------------------------------------------------------------------------------------

    @abstractmethod
    def plan_restore(self, database: DatabaseInfo, *, strategy: str = "auto", jobs: int = 1, dump_size: int = 0) -> Plan:
        """Check everything that can be checked before a side effect, and choose the strategy.

        Raises :class:`~backups.exceptions.PreflightRefused` naming what was found and what to do.
        """

    @abstractmethod
    def inspect_dump(self, dump: Path, plan: Plan) -> None:
        """Read the staged dump's table of contents or header; refuse what cannot be loaded here, warn of what is left out.

        Raises :class:`~backups.exceptions.ArchiveRejected` where the dump is no dump, PreflightRefused otherwise.
        """

    @abstractmethod
    def archived_rows(self, dump: Path, table: str) -> Iterator[dict[str, str | None]]:
        """The rows of one table as they stand in the staged dump, as text per column (None for NULL), without loading it.

        For small tables (accounts). Nothing where the table is absent.
        """

    @abstractmethod
    def build_shadow(self, journal: Journal, dump: Path, plan: Plan, progress: Progress, pace: Pace) -> str:
        """Load ``dump`` into a new shadow and return its name (for :meth:`rows` and ``python -m backups.shadow``).

        Ends soon after ``pace`` is stopped, by raising :class:`~backups.pace.Stopped`, where loading may take long.

        The shadow MUST be unreadable for others and MUST be recorded in the journal before it exists.
        """

    @abstractmethod
    def adopt_kept(self, journal: Journal, kept: dict[str, object]) -> str:
        """Make the kept state of an earlier operation this operation's shadow (for undo), and return its name."""

    @abstractmethod
    def finish_shadow(self, journal: Journal) -> list[str]:
        """Give the shadow the live one's access rights and settings, make it durable; return warnings."""

    @abstractmethod
    def drain(self, seconds: float) -> int:
        """Wait at most ``seconds`` for transactions on the live database that are already open; return how many are left."""

    @abstractmethod
    def swap(self, journal: Journal, *, on_close: Callable[[], None], switch_uploads: Callable[[], None]) -> dict[str, object]:
        """Make the shadow live and keep what was live.

        Calls ``on_close`` right before the live data may no longer be read and ``switch_uploads`` at the point from which
        recovery, by :meth:`judge`, would agree with it. Returns ``{"milliseconds_closed": float, "kept": {...}}`` where
        ``kept`` is what :meth:`adopt_kept` and :meth:`discard_kept` take. On any failure before the commit point the live
        database MUST be back as it was, readable, before the exception leaves this method; a failure of that raises
        :class:`~backups.exceptions.RestoreNotUndone`.
        """

    def load_in_place(
        self,
        journal: Journal,
        dump: Path,
        plan: Plan,
        progress: Progress,
        *,
        expected: Mapping[str, int],
        on_close: Callable[[], None],
    ) -> None:
        """Replace the live data by ``dump`` in one transaction of the live database itself (``plan.strategy`` is in-place).

        ``expected`` are the rows per table that the archive counts; the transaction MUST NOT be committed with others.
        ``on_close`` is called right before the live data may no longer be read. :meth:`judge` MUST say afterwards whether
        the transaction was committed. Only engines whose :meth:`plan_restore` chooses in-place have it.
        """
        raise NotImplementedError(f"{self.vendor} never restores in place.")

    @abstractmethod
    def discard_shadow(self, journal: Journal) -> None:
        """Remove the shadow and everything beside it that this operation made (a kept state it adopted stays kept)."""

    @abstractmethod
    def discard_kept(self, kept: dict[str, object]) -> None:
        """Remove a kept state; no error where it is gone already."""

    @abstractmethod
    def kept_size(self, kept: dict[str, object]) -> int | None:
        """Bytes on disk of a kept state, or None where it is gone."""

    # --- recovery -----------------------------------------------------------------------------------------------

    @abstractmethod
    def end_leftovers(self, journal: Journal) -> None:
        """End the children and sessions of a dead operation and wait until none is left."""

    @abstractmethod
    def judge(self, journal: Journal) -> Which:
        """Say whether the live data is the old or the new, from the database itself and not from the journal's stage."""

    @abstractmethod
    def settle(self, journal: Journal, which: Which) -> dict[str, object]:
        """Finish (``new``) or undo (``old``) what a dead operation left, until the live database accepts connections.

        Returns the kept state (for ``new``; empty where there is none). Idempotent: it may itself be killed and run again.
        """
