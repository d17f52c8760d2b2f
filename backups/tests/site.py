"""Scratch installations for tests: the project's real commands in real processes, on data of their own.

A restore is never tested in the test runner's own database or transaction. Each :class:`Site` has its own ``DATA_DIR`` and
database; migrating happens once per session and database server, and each site begins as a copy of that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from backups.tests.servers import PgCluster
from backups.tests.zygote import Fork

__all__ = ["Completed", "Site", "SiteTemplates", "collect_static", "measured", "populate"]

BASE_DIR = Path(__file__).resolve().parents[2]
# Never compared: sessions are dropped by a restore, and the catalogue describes the store and not the data.
UNCOMPARED = ("django_session", "backups_")


def measured(env: dict[str, str]) -> dict[str, str]:
    """``env``, where ``MEASURE=all`` asks for it with the coverage tool's own variables, so that commands are measured, too.

    It costs a sixth of the suite's time, since most of that is the start of commands.
    """
    if os.environ.get("MEASURE") != "all":
        return env
    return env | {name: os.environ[name] for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE") if name in os.environ}


@dataclass(frozen=True)
class Completed:
    """How a command ended: exit code (negative: killed by that signal) and its output."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Site:
    """One scratch installation. ``cluster`` is None for SQLite; ``database`` is the name there, or the file's path."""

    data_dir: Path
    database: str
    database_url: str
    cluster: PgCluster | None = None
    templates: SiteTemplates | None = None
    extra_env: dict[str, str] = field(default_factory=dict)
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(50))
    _started: list[subprocess.Popen[str] | Fork] = field(default_factory=list)

    @property
    def vendor(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return "postgresql" if self.cluster else "sqlite"

    @property
    def media(self) -> Path:
        """``MEDIA_ROOT``."""
        return self.data_dir / "media"

    @property
    def backups(self) -> Path:
        """The local store."""
        return self.data_dir / "backups"

    @property
    def state(self) -> Path:
        """Journals, staging and locks."""
        return self.data_dir / "state"

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of the site's commands; nothing leaks in but the PATH and the measuring of coverage."""
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.data_dir),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(BASE_DIR),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "timetracker.settings",
            "DATABASE_URL": self.database_url,
            "DATA_DIR": str(self.data_dir),
            "SECRET_KEY": self.secret_key,
            "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
            # Known beforehand, for tests that look into Redis themselves.
            "REDIS_PREFIX": self.data_dir.name,
        }
        if self.cluster:
            env["BACKUPS_PG_BIN_DIRS"] = str(self.cluster.bin_dir)
        return measured(env) | self.extra_env

    def manage(
        self,
        *args: str | Path,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - the word of subprocess.run
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> Completed:
        """Run ``manage.py`` with ``args`` and wait at most ``timeout`` seconds.

        ``check``: fail the test, showing the output, where the exit code is not 0. ``env`` is laid over :attr:`env`.
        On a timeout the whole process group is killed and the test fails.
        """
        process = self.popen(*args, env=env, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL)
        try:
            stdout, stderr = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill_group(process)
            stdout, stderr = process.communicate()
            raise AssertionError(f"manage.py {args!r} was not done after {timeout} s\n{stdout}\n{stderr}") from None
        finally:
            self._started.remove(process)
        completed = Completed(process.returncode, stdout, stderr)
        if check and completed.returncode != 0:
            raise AssertionError(f"manage.py {' '.join(map(str, args))} ended with {completed.returncode}\n{stdout}\n{stderr}")
        return completed

    def popen(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.PIPE,
        stderr: int | IO[Any] = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start ``manage.py`` with ``args`` in the background, as the leader of its own session and process group.

        :meth:`close` kills what is left of the group.
        """
        return self.run_python(BASE_DIR / "manage.py", *args, env=env, stdin=stdin, stdout=stdout, stderr=stderr)

    def run_python(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.PIPE,
        stderr: int | IO[Any] = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start this Python with ``args`` (``-c CODE``, ``-m backups.shadow NAME``) as :meth:`popen` starts ``manage.py``."""
        process = subprocess.Popen(
            [sys.executable, *map(str, args)],
            env=self.env | dict(env or {}),
            cwd=self.data_dir,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    @staticmethod
    def kill_group(process: subprocess.Popen[str] | Fork, signum: int = signal.SIGKILL) -> None:
        """Send ``signum`` to the process and to every child that stayed in its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signum)

    def migrate(self) -> None:
        """Bring the database to the newest migrations."""
        self.manage("migrate", "--no-input", "--verbosity", "0")

    def connect(self) -> Any:
        """A driver connection to the live database (psycopg2, or sqlite3 in autocommit); the caller closes it."""
        if self.cluster:
            return self.cluster.connect(self.database, user=PgCluster.owner)
        return sqlite3.connect(self.database, timeout=30, isolation_level=None)

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Any]:
        """A driver cursor on a connection of its own, in autocommit."""
        with contextlib.closing(self.connect()) as connection, contextlib.closing(connection.cursor()) as cursor:
            yield cursor

    def execute(self, statement: str) -> None:
        """Run one statement in autocommit."""
        with self.cursor() as cursor:
            cursor.execute(statement)

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of one query."""
        with self.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def tables(self) -> list[str]:
        """Names of all tables, sorted."""
        return sorted(str(name) for (name,) in self.fetch(self._tables_query))

    def dump_tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table but sessions and the catalogue, of one instant and in a fixed order, for ``==``."""
        with self.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY" if self.cluster else "BEGIN")
            cursor.execute(self._tables_query)
            tables = sorted(str(name) for (name,) in cursor.fetchall())
            dump = {}
            for table in tables:
                if table.startswith(UNCOMPARED):
                    continue
                cursor.execute(f'SELECT * FROM "{table}"')
                dump[table] = sorted((tuple(map(_comparable, row)) for row in cursor.fetchall()), key=repr)
            cursor.execute("ROLLBACK")
        return dump

    @property
    def _tables_query(self) -> str:
        if self.cluster:
            return "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^'"

    def uploads(self) -> dict[str, str]:
        """SHA-256 (hex) of each upload by its path relative to ``MEDIA_ROOT``; staging folders are left out."""
        files = (path for path in self.media.rglob("*") if path.is_file())
        found = {path.relative_to(self.media): path for path in files}
        return {
            relative.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for relative, path in sorted(found.items())
            if not relative.parts[0].startswith(".backups-")
        }

    def close(self) -> None:
        """Kill what is still running and remove the databases (the shadow's and the kept one's too) and files."""
        for process in self._started:
            self.kill_group(process)
            with process:  # closes its pipes and reaps it
                pass
        self._started.clear()
        if self.cluster and self.cluster.is_running:
            self.cluster.drop_databases(self.database)
        shutil.rmtree(self.data_dir, ignore_errors=True)


def _let_no_schedule_come_due(site: Site) -> None:
    """Put the installation's own schedule half a day away: a site with a beat would make its backup amid a test at 02:30."""
    away = datetime.now(UTC) + timedelta(hours=12)
    site.execute(f"UPDATE backups_backupschedule SET at = '{away:%H:%M:%S}', time_zone = 'UTC'")


def _comparable(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview) else value


class SiteTemplates:
    """Makes sites as copies of templates: one migrated template per database server and kind of content.

    ``folder`` is a temporary folder that lives as long as the session.
    """

    def __init__(self, folder: Path) -> None:
        """Begin with no template."""
        self.folder = folder
        self._made: dict[tuple[int | None, str], Site] = {}

    def site(self, cluster: PgCluster | None = None, *, content: str = "", fill: Callable[[Site], None] | None = None) -> Site:
        """A migrated site on ``cluster``, or on SQLite where that is None.

        ``fill`` puts content in, once per session; ``content`` is its name (the key under which the template is kept).
        """
        return self._copy(self._template(cluster, content, fill), "site")

    def blank(self, cluster: PgCluster | None = None) -> Site:
        """A site with an empty database in which nothing was migrated (on SQLite: with no file)."""
        return self._new(cluster, "blank")

    def adopt(self, site: Site, *, content: str, fill: Callable[[Site], None]) -> None:
        """Give ``site`` the database and uploads of the template ``content``, in place of what it holds."""
        template = self._template(site.cluster, content, fill)
        if site.cluster:
            site.cluster.drop_databases(site.database)
            site.cluster.create_database(site.database, template=template.database)
        else:
            for suffix in ("", "-wal", "-shm"):
                Path(site.database + suffix).unlink(missing_ok=True)
            _copy_sqlite(template, site)
        shutil.rmtree(site.media, ignore_errors=True)
        _copy_uploads(template, site)

    def _template(self, cluster: PgCluster | None, content: str, fill: Callable[[Site], None] | None) -> Site:
        key = (id(cluster) if cluster else None, content)
        if key not in self._made:
            if content:
                template = self._copy(self._template(cluster, "", None), f"template_{content}")
            else:
                template = self._new(cluster, "template")
                template.migrate()
                _let_no_schedule_come_due(template)
            if fill:
                fill(template)
            self._made[key] = template
        return self._made[key]

    def _new(self, cluster: PgCluster | None, prefix: str, *, template: str = "template1") -> Site:
        name = f"{prefix}_{secrets.token_hex(4)}"
        data_dir = self.folder / name
        data_dir.mkdir(mode=0o700, parents=True)
        if cluster is None:
            database = data_dir / "db.sqlite3"
            return Site(data_dir, str(database), f"sqlite:///{database}", templates=self)
        cluster.create_database(name, template=template)
        return Site(data_dir, name, cluster.url(name), cluster, self)

    def _copy(self, template: Site, prefix: str) -> Site:
        if template.cluster:
            site = self._new(template.cluster, prefix, template=template.database)
        else:
            site = self._new(None, prefix)
            _copy_sqlite(template, site)
        _copy_uploads(template, site)
        return site


def _copy_sqlite(template: Site, site: Site) -> None:
    # The last connection that closes folds the WAL back and removes it; with one left, the file alone would not be the data.
    assert not Path(f"{template.database}-wal").exists(), "the template is still open somewhere"
    shutil.copyfile(template.database, site.database)


def _copy_uploads(template: Site, site: Site) -> None:
    if template.media.is_dir():
        shutil.copytree(template.media, site.media, symlinks=True)


def collect_static(site: Site) -> None:
    """Give ``site`` the static files, which are collected once per session: afterwards they are links."""
    assert site.templates, "only a site made by SiteTemplates can have them"
    collected = site.templates.folder / "static"
    if not collected.exists():
        site.manage("collectstatic", "--no-input", "--verbosity", "0")
        (site.data_dir / "static").rename(collected)
    shutil.copytree(collected, site.data_dir / "static", copy_function=os.link)


def populate(site: Site, *, entries: int = 400, uploads_mb: int = 1, seed: int = 1) -> None:
    """Fill ``site`` with the demo agency (``manage.py demo_data``); made once per session, copied afterwards."""
    assert site.templates, "only a site made by SiteTemplates can be populated"

    def fill(template: Site) -> None:
        template.manage("demo_data", "--seed", str(seed), "--entries", str(entries), "--uploads-mb", str(uploads_mb))

    site.templates.adopt(site, content=f"demo_{entries}_{uploads_mb}_{seed}", fill=fill)
