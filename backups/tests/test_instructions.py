"""RESTORE.txt, followed by hand: a shell runs its commands as they stand, and the site is back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from backups.archive import ArchiveWriter
from backups.instructions import restore_instructions
from backups.manifest import DatabaseInfo, Manifest, UploadsInfo
from backups.tests import BASE_DIR
from backups.tests.servers import PgCluster
from backups.tests.site import Site

SQLITE = DatabaseInfo("sqlite", "db.sqlite", "sqlite3", "3.40.1", "3.40.1", 1, "UTF-8")

# Changes the file that it is given, and leaves the change in a write-ahead log, as a server that was killed does.
WRECK = """
import os, sqlite3, sys
live = sqlite3.connect(sys.argv[1])
live.execute("PRAGMA journal_mode=WAL")
live.execute("DELETE FROM auth_group_permissions")
live.execute("CREATE TABLE added (id)")
live.commit()
os._exit(0)
"""


def commands(text: str) -> list[str]:
    """The lines that a person types: those indented by four."""
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def archive_with(dump: Path, info: DatabaseInfo, media: Path, path: Path) -> None:
    """An archive with this dump, the files below ``media`` and the instructions."""
    created_at = datetime.now(UTC)
    with ArchiveWriter(path, created_at=created_at) as writer:
        for file in sorted(media.rglob("*")):
            if file.is_file():
                writer.add_file(f"uploads/{file.relative_to(media)}", file, lambda count: None)
        sizes = [member.size for member in writer.members]
        writer.add_file(info.member, dump, lambda count: None)
        writer.add_bytes("RESTORE.txt", restore_instructions(info).encode())
        writer.finish(
            Manifest(
                id="0123456789abcdef" * 2,
                created_at=created_at,
                app_version="1.0",
                trigger="manual",
                note="",
                pinned=False,
                database=info,
                migrations={},
                rows={},
                uploads=UploadsInfo(True, len(sizes), sum(sizes)),
                members=tuple(writer.members),
            )
        )


def follow(site: Site, archive: Path, *, names: dict[str, str], environment: dict[str, str]) -> None:
    """Run the archive's own instructions in a shell, with these values for the names at their top."""
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    text = subprocess.run(["unzip", "-p", archive, "RESTORE.txt"], check=True, capture_output=True, text=True, env=env).stdout
    names = names | {
        "ARCHIVE": str(archive),
        "FOLDER": str(archive.with_name("restored")),
        "UPLOADS": str(site.media),
        "APPLICATION": str(BASE_DIR),
        "MANAGE": f"{sys.executable} manage.py",
    }
    script = ["set -eu"]
    for command in commands(text):
        name = command.partition("=")[0]
        if command.startswith("export "):
            continue
        script.append(f"{name}='{names.pop(name)}'" if name in names else command)
    assert not names, "the instructions do not let these be set"
    ran = subprocess.run(["sh"], input="\n".join(script), text=True, capture_output=True, env=site.env | environment, cwd=archive.parent)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def fill(site: Site) -> None:
    """Put a row and two files into the site."""
    site.execute("INSERT INTO auth_group (name) VALUES ('Restored by hand')")
    (site.media / "receipts").mkdir(parents=True)
    (site.media / "logo.png").write_bytes(b"\x89PNG logo")
    (site.media / "receipts/März.txt").write_bytes(b"42,00 EUR")


def test_following_restore_txt_brings_a_sqlite_site_back(sqlite_site: Site, tmp_path: Path) -> None:
    fill(sqlite_site)
    rows, uploads = sqlite_site.dump_tables(), sqlite_site.uploads()
    assert rows["auth_group_permissions"]
    subprocess.run(["sqlite3", sqlite_site.database, f".backup '{tmp_path / 'copy'}'"], check=True)
    archive_with(tmp_path / "copy", SQLITE, sqlite_site.media, tmp_path / "backup.zip")

    subprocess.run([sys.executable, "-c", WRECK, sqlite_site.database], check=True)
    assert Path(sqlite_site.database + "-wal").stat().st_size > 0
    shutil.rmtree(sqlite_site.media)

    follow(sqlite_site, tmp_path / "backup.zip", names={"DATABASE": sqlite_site.database}, environment={})
    assert sqlite_site.dump_tables() == rows
    assert sqlite_site.uploads() == uploads
    # What was live lies aside, whole: its log went with it.
    aside = Site(sqlite_site.data_dir, f"{sqlite_site.database}.before", "")
    assert aside.dump_tables()["auth_group_permissions"] == []
    assert "added" in aside.tables()


def test_following_restore_txt_brings_a_postgresql_site_back(postgres_site: Site, pg: PgCluster, tmp_path: Path) -> None:
    site = postgres_site
    fill(site)
    rows, uploads = site.dump_tables(), site.uploads()
    server = ["-h", str(pg.socket_dir), "-p", str(pg.port), "-U", "postgres"]
    subprocess.run([pg.bin_dir / "pg_dump", *server, "-Fc", "-Z0", "-f", tmp_path / "dump", site.database], check=True)
    version = str(pg.fetch("SHOW server_version")[0][0])
    info = DatabaseInfo("postgresql", "db.dump", "pg_dump-custom", version, version, 1, "UTF8", {"plpgsql": "1.0"})
    archive_with(tmp_path / "dump", info, site.media, tmp_path / "backup.zip")

    site.execute("DELETE FROM auth_group_permissions")
    site.execute("CREATE TABLE added (id int)")
    shutil.rmtree(site.media)

    environment = {"PATH": f"{pg.bin_dir}:{os.environ['PATH']}", "PGHOST": str(pg.socket_dir), "PGPORT": str(pg.port), "PGUSER": "postgres"}
    follow(site, tmp_path / "backup.zip", names={"DATABASE": site.database, "OWNER": pg.owner}, environment=environment)
    assert site.dump_tables() == rows
    assert site.uploads() == uploads
    assert pg.databases(site.database) == [site.database, f"{site.database}_before"]


def test_extensions_are_named_where_the_database_has_some() -> None:
    plain = DatabaseInfo("postgresql", "db.dump", "pg_dump-custom", "17.2", "17.2", 1, "UTF8", {"plpgsql": "1.0"})
    assert "extensions" not in restore_instructions(plain)
    assert "of version 17 or newer" in restore_instructions(plain)
    more = DatabaseInfo("postgresql", "db.dump", "pg_dump-custom", "17.2", "17.2", 1, "UTF8", {"plpgsql": "1.0", "citext": "1.6"})
    assert "these extensions: citext 1.6." in restore_instructions(more)


def test_instructions_are_plain_text_that_fits_a_terminal() -> None:
    info = DatabaseInfo("postgresql", "db.dump", "pg_dump-custom", "15.4", "15.4", 1, "UTF8", {"citext": "1.6", "pg_trgm": "1.6"})
    for text in (restore_instructions(SQLITE), restore_instructions(info)):
        assert text.isascii()
        assert max(map(len, text.splitlines())) <= 130
        assert "{" not in text.replace("${", "")
