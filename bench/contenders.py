"""Who is measured: our own commands, the Flask original's way, django-dbbackup, django-pgclone, and what the machine can do at best.

Each says which commands make its archive and which bring it back. The commands run as processes of their own and are timed
from the first to the last; what stands in ``prepare_*`` and ``created`` is not timed.
"""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from backups.tests.servers import PgCluster
from backups.tests.site import BASE_DIR
from bench.stand import PostgresStand, Stand

__all__ = [
    "ApiCopy",
    "BareCheck",
    "BareRestore",
    "Contender",
    "Dbbackup",
    "FlaskWay",
    "Ours",
    "Pgclone",
    "RawDump",
    "UploadsRead",
]

Commands = Sequence[Sequence[str]]

PYTHON = sys.executable
MANAGE = (PYTHON, str(BASE_DIR / "manage.py"))


@dataclass
class Contender:
    """One of those who are compared. ``uploads``: whether the uploads are part of the work."""

    stand: Stand
    uploads: bool = True

    key: ClassVar[str]
    title: ClassVar[str]
    # A floor is part of the work only: it makes no archive and replaces nothing.
    is_floor: ClassVar[bool] = False

    @property
    def folder(self) -> Path:
        """Where its archive is."""
        return self.stand.archives / self.key

    @property
    def env(self) -> dict[str, str]:
        """The environment of its commands."""
        return self.stand.env()

    @property
    def archive_bytes(self) -> int:
        """The size of its archive."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def prepare_create(self) -> None:
        """Empty the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()

    def create(self) -> Commands:
        """What makes its archive of the live data."""
        raise NotImplementedError

    def created(self) -> None:
        """What is to be done with an archive that was made."""

    def prepare_restore(self) -> None:
        """What must be there before a restore begins."""

    def restore(self) -> Commands:
        """What makes its archive the live data."""
        raise NotImplementedError

    def report(self, output: str) -> dict[str, float]:
        """What its commands said of themselves."""
        return {}


class Ours(Contender):
    """``backup_create`` and ``backup_restore`` as they are, with all their checks."""

    key, title = "ours", "TimeTracker"

    @property
    def archive(self) -> Path:
        """The archive that was made last."""
        (archive,) = self.folder.glob("backup_*.zip")
        return archive

    def create(self) -> Commands:
        """Into the store, as every night."""
        return [[*MANAGE, "backup_create", "--json", *([] if self.uploads else ["--no-uploads"])]]

    def created(self) -> None:
        """Out of the store: the next one finds it empty again."""
        for archive in self.stand.site.backups.glob("backup_*.zip"):
            archive.rename(self.folder / archive.name)

    def restore(self) -> Commands:
        """By the swap."""
        return [[*MANAGE, "backup_restore", str(self.archive), "--json", "--no-input", "--strategy", "swap"]]

    def report(self, output: str) -> dict[str, float]:
        """Seconds per stage of a restore, milliseconds closed; of an archive the bytes of the dump in it."""
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        result = next(event for event in reversed(events) if event["event"] == "result")
        if "milliseconds_closed" in result:
            stages = {f"stage {stage}": float(seconds) for stage, seconds in result["seconds"].items()}
            return {**stages, "milliseconds closed": float(result["milliseconds_closed"])}
        rows = self.stand.site.fetch("SELECT report FROM backups_operation ORDER BY started_at DESC LIMIT 1")
        report = rows[0][0] if isinstance(rows[0][0], dict) else json.loads(rows[0][0])
        return {f"stage {stage}": float(seconds) for stage, seconds in report["seconds"].items()}

    def dump_bytes(self) -> int:
        """The bytes that the dump takes in the archive."""
        with zipfile.ZipFile(self.archive) as archive:
            return sum(member.compress_size for member in archive.infolist() if member.filename in ("db.dump", "db.sqlite"))


class FlaskWay(Contender):
    """The Flask original's way (:mod:`bench.flask_way`)."""

    key, title = "flask", "Flask original's way"

    def create(self) -> Commands:
        """One process."""
        return [self._command("create")]

    def restore(self) -> Commands:
        """One process."""
        return [self._command("restore")]

    def _command(self, verb: str) -> list[str]:
        uploads = str(self.stand.site.media) if self.uploads else "-"
        return [PYTHON, "-m", "bench.flask_way", verb, str(self.folder / "backup.zip"), uploads, self.stand.site.database_url]


class Dbbackup(Contender):
    """django-dbbackup as it is set up by default: the binary connector, or SQLite's backup API; a tar file of the uploads.

    Neither is compressed with ``--compress``: a custom dump is compressed already, and gzip over photos costs and gains nothing.
    Uploads are restored with ``--replace``: without it, files that are there stay as they are.
    """

    key, title = "dbbackup", "django-dbbackup 5.4"

    @property
    def env(self) -> dict[str, str]:
        """The project with that package added."""
        return self.stand.env(DJANGO_SETTINGS_MODULE="bench.rival.settings", RIVAL_APPS="dbbackup", RIVAL_STORE=str(self.folder))

    def create(self) -> Commands:
        """Two commands, two files."""
        database = [*MANAGE, "dbbackup", "--noinput", "--output-filename", "database.dump"]
        return [database, [*MANAGE, "mediabackup", "--noinput", "--output-filename", "media.tar"]][: 1 + self.uploads]

    def restore(self) -> Commands:
        """Two commands."""
        database = [*MANAGE, "dbrestore", "--noinput", "--input-filename", "database.dump"]
        return [database, [*MANAGE, "mediarestore", "--noinput", "--replace", "--input-filename", "media.tar"]][: 1 + self.uploads]


class Pgclone(Contender):
    """django-pgclone with its local storage: the database alone, it knows no uploads."""

    key, title = "pgclone", "django-pgclone 3.8 (database only)"

    @property
    def env(self) -> dict[str, str]:
        """The project with that package added."""
        return self.stand.env(DJANGO_SETTINGS_MODULE="bench.rival.settings", RIVAL_APPS="pgclone", RIVAL_STORE=str(self.folder))

    def create(self) -> Commands:
        """``pg_dump -Fc`` into a file."""
        return [[*MANAGE, "pgclone", "dump"]]

    def restore(self) -> Commands:
        """Into a database beside the live one; then both are renamed, and the old one is dropped."""
        (dump,) = self.folder.rglob("*.dump")
        return [[*MANAGE, "pgclone", "restore", dump.relative_to(self.folder).as_posix()]]


class BareCheck(Contender):
    """``manage.py check``: what starting the project costs, whatever is done then."""

    key, title, is_floor = "check", "manage.py check alone", True

    def create(self) -> Commands:
        """One process."""
        return [[*MANAGE, "check"]]

    def restore(self) -> Commands:
        """The same."""
        return self.create()


class UploadsRead(Contender):
    """Reading the uploads once."""

    key, title, is_floor = "cat", "cat of the uploads", True

    def create(self) -> Commands:
        """``cat``, as few processes as their number allows."""
        return [["sh", "-c", 'find "$1" -type f -exec cat {} + > /dev/null', "sh", str(self.stand.site.media)]]


class RawDump(Contender):
    """``pg_dump -Fc -Z0`` to a file, which it brings onto the disk."""

    key, title, is_floor = "raw", "pg_dump -Fc -Z0", True

    def create(self) -> Commands:
        """One process."""
        return [["pg_dump", "-Fc", "-Z0", "-f", str(self.folder / "raw.dump"), self.stand.site.database_url]]


class BareRestore(Contender):
    """``pg_restore -j2`` of our own dump into an empty database."""

    key, title, is_floor = "bare", "pg_restore -j2 into an empty database", True
    # Not dropped with what is dropped of the live database.
    database = "empty"

    def prepare_restore(self) -> None:
        """The dump out of our archive, and the empty database."""
        assert isinstance(self.stand, PostgresStand)  # noqa: S101 - narrows for the type checker
        dump = self.folder / "db.dump"
        if not dump.exists():
            self.folder.mkdir(exist_ok=True)
            with zipfile.ZipFile(Ours(self.stand).archive) as archive:
                archive.extract("db.dump", self.folder)
        self.stand.empty_database(self.database)
        self.stand.settle()

    def restore(self) -> Commands:
        """One process and its workers."""
        assert isinstance(self.stand, PostgresStand)  # noqa: S101 - narrows for the type checker
        url = self.stand.cluster.url(self.database, user=PgCluster.owner, over="tcp")
        return [["pg_restore", "-j2", "--exit-on-error", "--no-owner", "-d", url, str(self.folder / "db.dump")]]


class ApiCopy(Contender):
    """SQLite's online backup API alone (:mod:`bench.sqlite_floor`)."""

    key, title, is_floor = "api", "SQLite's backup API", True

    def create(self) -> Commands:
        """One process."""
        return [[PYTHON, "-m", "bench.sqlite_floor", self.stand.site.database, str(self.folder / "copy.sqlite3")]]
