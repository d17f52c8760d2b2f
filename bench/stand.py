"""Where contenders meet: a real site on data of a known size, put into the same state before each of them begins.

There are two states. ``archived`` is what the archives hold; ``later`` is what is live when a restore begins: the newest
thousand time entries say something else, and each tenth upload is another. Both are kept, and the live data is a copy.
"""

from __future__ import annotations

import abc
import contextlib
import os
import secrets
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from backups.tests.ledger import PASSWORD, visitor_name
from backups.tests.servers import PgCluster
from backups.tests.site import Site
from bench.gaps import Answer
from bench.reader import answer_of
from bench.uploads import uploads_changed, uploads_made

__all__ = ["ARCHIVED", "LATER", "PostgresStand", "SqliteStand", "Stand", "VISITORS"]

ARCHIVED, LATER = "archived", "later"
# People who look at the site while it is restored.
VISITORS = 4
# The demo data ends on the day before: the same each time.
ANCHOR = "2026-10-01"
CHANGE = """
    UPDATE tracking_timeentry SET notes = notes || ' (said since the backup)'
    WHERE id IN (SELECT id FROM tracking_timeentry ORDER BY started_at DESC, id DESC LIMIT 1000)
"""
FILES = "files"
ACCOUNTS = f"""
from django.contrib.auth import get_user_model
for name in {[visitor_name(number) for number in range(VISITORS)]}:
    get_user_model().objects.create_superuser(name, f"{{name}}@example.org", "{PASSWORD}")
"""


@dataclass
class Stand(abc.ABC):
    """A site in ``folder`` with ``entries`` time entries. ``made`` is the folder for data that is kept from run to run.

    ``people``: how many made them; None: as many as :data:`timetracker.tracking.demo` takes by itself.

    Contenders write their archives below :attr:`archives` and temporary files to :attr:`scratch`.
    """

    folder: Path
    made: Path
    entries: int
    uploads_mb: int
    people: int | None = field(default=None, kw_only=True)
    site: Site = field(init=False)
    answers: dict[str, Answer] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Make the folders and the site; no data yet."""
        for folder in (self.archives, self.scratch, self.made):
            folder.mkdir(parents=True, exist_ok=True)
        data_dir = self.folder / "site"
        data_dir.mkdir(mode=0o700)
        self.site = self._new_site(data_dir)

    @property
    def archives(self) -> Path:
        """A folder for each contender's archives is below it."""
        return self.folder / "archives"

    @property
    def scratch(self) -> Path:
        """``TMPDIR`` of everybody."""
        return self.folder / "scratch"

    @property
    def kept(self) -> Path:
        """The data of this size and engine, made once."""
        of = "" if self.people is None else f"-of-{self.people}"
        return self.made / f"{self.engine.replace(' ', '-')}-{self.entries}{of}"

    @property
    def uploads(self) -> Path:
        """The uploads of this size, made once."""
        return self.made / f"uploads-{self.uploads_mb}"

    @property
    @abc.abstractmethod
    def engine(self) -> str:
        """The engine and its version, such as ``PostgreSQL 15``."""

    @property
    @abc.abstractmethod
    def target(self) -> str:
        """The live database as :mod:`bench.reader` names it."""

    @property
    @abc.abstractmethod
    def database_folders(self) -> list[Path]:
        """Where the database has its files."""

    @property
    def watched(self) -> list[Path]:
        """The folders in which contenders take space."""
        return [self.site.data_dir, self.archives, self.scratch, *self.database_folders]

    def env(self, **more: str) -> dict[str, str]:
        """The environment of every contender: the site's, with the server's own client programs first."""
        return self.site.env | {"TMPDIR": str(self.scratch)} | more

    def prepare(self) -> None:
        """Make the data, or take that of an earlier run, and learn what a reader must get in each state."""
        if not self.uploads.exists():
            partial = self.uploads.with_name(f"{self.uploads.name}.{secrets.token_hex(4)}")
            uploads_made(partial, self.uploads_mb)
            partial.rename(self.uploads)
        if not self.kept.exists():
            partial = self.kept.with_name(f"{self.kept.name}.{secrets.token_hex(4)}")
            partial.mkdir()
            self._make(partial)
            shutil.copytree(self.site.media, partial / "media", dirs_exist_ok=True)
            partial.rename(self.kept)
            shutil.rmtree(self.site.media)
        shutil.copytree(self.kept / "media", self.site.media)
        shutil.copytree(self.uploads, self.site.media / FILES)
        self._keep_states()
        for state in (LATER, ARCHIVED):
            self.reset(state)
            self.answers[state] = answer_of(self.target)

    def reset(self, state: str) -> None:
        """Make ``state`` live, without a trace of what was done before, and let the disk come to rest."""
        for leftover in self.site.media.glob(".backups-*"):
            shutil.rmtree(leftover)
        for folder in (self.site.state, self.site.backups, self.site.data_dir / "gate", self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
        self.scratch.mkdir()
        uploads_changed(self.site.media / FILES, self.uploads, is_changed=state == LATER)
        self._reset_database(state)
        self.settle()

    def settle(self) -> None:
        """Write everything that waits in memory to the disk, so that nobody pays for the one before."""
        os.sync()

    def holds(self, state: str, *, uploads: bool) -> bool:
        """Whether the live data is that of ``state``: by the reader's question and, where ``uploads`` says so, by every file."""
        try:
            answer = answer_of(self.target)
        except (psycopg2.Error, sqlite3.Error):
            return False
        if answer != self.answers[state]:
            return False
        return not uploads or all(
            (self.site.media / FILES / file.name).read_bytes() == file.read_bytes() for file in sorted(self.uploads.iterdir())
        )

    def close(self) -> None:
        """Remove the site and everything that was made for this run."""
        self.site.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fill(self) -> None:
        """Fill the live database: the invented agency, and the people who look at it."""
        self.site.migrate()
        people = [] if self.people is None else ["--people", str(self.people)]
        self.site.manage("demo_data", "--entries", str(self.entries), *people, "--uploads-mb", "0", "--anchor", ANCHOR, timeout=7200)
        self.site.manage("shell", "-v", "0", "-c", ACCOUNTS)

    @abc.abstractmethod
    def _new_site(self, data_dir: Path) -> Site:
        """The site, with no data."""

    @abc.abstractmethod
    def _make(self, folder: Path) -> None:
        """Make the data in the live database and keep it in ``folder``."""

    @abc.abstractmethod
    def _keep_states(self) -> None:
        """Bring both states where :meth:`_reset_database` takes them from."""

    @abc.abstractmethod
    def _reset_database(self, state: str) -> None:
        """Make the live database a copy of ``state``."""


@dataclass
class PostgresStand(Stand):
    """The same on a cluster that runs, over TCP with a password, as a site has it."""

    cluster: PgCluster

    live = "live"
    plain_password = "a-password-of-letters-alone"  # noqa: S105 - of a cluster that listens to this machine and ends with the run

    @property
    def engine(self) -> str:
        """The server's major."""
        return f"PostgreSQL {self.cluster.major}"

    @property
    def target(self) -> str:
        """Over the socket: what a reader pays for a connection is no part of the question."""
        return f"host={self.cluster.socket_dir} port={self.cluster.port} user={PgCluster.owner} dbname={self.live}"

    @property
    def database_folders(self) -> list[Path]:
        """The files of all databases, without the log of changes."""
        return [self.cluster.data_dir / "base"]

    def env(self, **more: str) -> dict[str, str]:
        """With the server's own client programs first on the PATH."""
        env = super().env(**more)
        return env | {"PATH": f"{self.cluster.bin_dir}{os.pathsep}{env['PATH']}"}

    def settle(self) -> None:
        """After a checkpoint of the server's."""
        self.cluster.execute("CHECKPOINT")
        super().settle()

    def empty_database(self, name: str) -> None:
        """An empty database, in the place of one of that name."""
        self.cluster.drop_databases(name)
        self.cluster.create_database(name, template="template0")

    def close(self) -> None:
        """With the databases of both states."""
        super().close()
        for state in (ARCHIVED, LATER):
            self.cluster.drop_databases(state)

    def _new_site(self, data_dir: Path) -> Site:
        # django-pgclone does not escape passwords.
        self.cluster.execute(f"ALTER ROLE {PgCluster.owner} PASSWORD '{self.plain_password}'")
        self.cluster.passwords[PgCluster.owner] = self.plain_password
        self.cluster.create_database(self.live)
        return Site(data_dir, self.live, self.cluster.url(self.live, over="tcp"), self.cluster)

    def _make(self, folder: Path) -> None:
        self._fill()
        self._client("pg_dump", "-Fc", "-Z1", "-f", str(folder / "database.dump"), self.cluster.url(self.live, over="tcp"))

    def _keep_states(self) -> None:
        self.empty_database(ARCHIVED)
        url = self.cluster.url(ARCHIVED, over="tcp")
        self._client("pg_restore", "--exit-on-error", "-j2", "-d", url, str(self.kept / "database.dump"))
        self.cluster.execute("VACUUM ANALYZE", database=ARCHIVED)
        self.cluster.drop_databases(LATER)
        self.cluster.create_database(LATER, template=ARCHIVED, options="STRATEGY FILE_COPY")
        self.cluster.execute(CHANGE, database=LATER)
        self.cluster.execute("VACUUM ANALYZE", database=LATER)

    def _reset_database(self, state: str) -> None:
        # With them the shadow and the kept state of a restore, and what others leave beside the live one.
        self.cluster.drop_databases(self.live)
        self.cluster.create_database(self.live, template=state, options="STRATEGY FILE_COPY")

    def _client(self, *args: str) -> None:
        subprocess.run([str(self.cluster.bin_dir / args[0]), *args[1:]], env=self.env(), check=True)  # noqa: S603 - a list, no shell


@dataclass
class SqliteStand(Stand):
    """The same on a file."""

    @property
    def engine(self) -> str:
        """SQLite, of the version that Python has."""
        return f"SQLite {sqlite3.sqlite_version}"

    @property
    def target(self) -> str:
        """The file."""
        return self.site.database

    @property
    def database_folders(self) -> list[Path]:
        """The file is in the site's own folder."""
        return []

    def _new_site(self, data_dir: Path) -> Site:
        database = data_dir / "db.sqlite3"
        return Site(data_dir, str(database), f"sqlite:///{database}")

    def _make(self, folder: Path) -> None:
        self._fill()
        kept = folder / f"{ARCHIVED}.sqlite3"
        shutil.copyfile(self.site.database, kept)
        shutil.copyfile(kept, folder / f"{LATER}.sqlite3")
        with contextlib.closing(sqlite3.connect(folder / f"{LATER}.sqlite3")) as connection, connection:
            connection.execute(CHANGE)

    def _keep_states(self) -> None:
        """They are where they were made."""

    def _reset_database(self, state: str) -> None:
        for leftover in _beside(Path(self.site.database)):
            leftover.unlink()
        shutil.copyfile(self.kept / f"{state}.sqlite3", self.site.database)


def _beside(database: Path) -> Iterator[Path]:
    """The database, its log, and the shadow and kept state of a restore."""
    yield from database.parent.glob(f"{database.stem}*")
