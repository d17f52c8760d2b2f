"""An archive outlives its application: standard tools open it, check it and, following RESTORE.txt, restore it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from backups.tests import BASE_DIR
from backups.tests.site import Site, populate
from backups.tests.warm import WarmSite
from backups.tests.wrecking import wreck


@pytest.fixture
def archived(site: Site) -> tuple[WarmSite, Path]:
    """A populated site, one file with a name that needs quoting, and its archive."""
    populate(site)
    (site.media / "a folder").mkdir()
    (site.media / "a folder" / "Größe & 'quote'.txt").write_text("ü")
    warm = WarmSite.of(site)
    return warm, warm.backups / warm.manage("backup_create").stdout.strip()


def run(*args: str | Path, cwd: Path | None = None) -> str:
    """Output of a program that must end well and complain of nothing."""
    ended = subprocess.run(list(map(str, args)), cwd=cwd, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert ended.returncode == 0, f"{args}: {ended.stdout}{ended.stderr}"
    assert ended.stderr == ""
    return ended.stdout


def test_standard_tools_open_and_check_the_archive(archived: tuple[WarmSite, Path], tmp_path: Path) -> None:
    site, archive = archived
    assert "No errors detected" in run("unzip", "-t", archive)
    run("unzip", "-q", archive, "-d", tmp_path)
    assert (tmp_path / "uploads" / "a folder" / "Größe & 'quote'.txt").read_text() == "ü"

    checked = run("sha256sum", "-c", "SHA256SUMS", cwd=tmp_path).splitlines()
    assert all(line.endswith(": OK") for line in checked)
    named = {line.removesuffix(": OK").removeprefix("\\") for line in checked}
    present = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert present - named == {"SHA256SUMS", "manifest.sig"}, "every other member is in SHA256SUMS"

    if site.cluster:
        contents = run(site.cluster.bin_dir / "pg_restore", "--list", tmp_path / "db.dump")
        assert "TABLE DATA public tracking_timeentry" in contents
    else:
        counted = run("sqlite3", tmp_path / "db.sqlite", "PRAGMA integrity_check; SELECT count(*) FROM tracking_timeentry")
        assert counted.split() == ["ok", "400"]


def test_damage_is_found_by_sha256sum_alone(archived: tuple[WarmSite, Path], tmp_path: Path) -> None:
    _, archive = archived
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path)
    (tmp_path / "settings.json").write_bytes((tmp_path / "settings.json").read_bytes() + b" ")
    ended = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "settings.json: FAILED" in ended.stdout


def commands_of(text: str) -> tuple[list[str], str]:
    """The lines to set at the top of RESTORE.txt, and its commands in the order in which it gives them."""
    indented = [line[4:] for line in text.splitlines() if re.match(r" {4}\S", line)]
    settings = [line for line in indented if re.match(r"(export )?[A-Z]+=", line)]
    return settings, "\n".join(line for line in indented if line not in settings)


def test_following_the_instructions_by_hand_restores_the_site(archived: tuple[WarmSite, Path], tmp_path: Path) -> None:
    site, archive = archived
    before, files = site.dump_tables(), site.uploads()
    wreck(site)
    files_wrecked = site.uploads()
    with zipfile.ZipFile(archive) as opened:
        settings, commands = commands_of(opened.read("RESTORE.txt").decode())

    values = {
        "ARCHIVE": archive.name,
        "FOLDER": "./restored by hand",
        "UPLOADS": str(site.media),
        "APPLICATION": str(BASE_DIR),
        "MANAGE": f"{sys.executable} {BASE_DIR / 'manage.py'}",
        "DATABASE": site.database,
    }
    env = site.env
    if site.cluster:
        values["OWNER"] = "timetracker"
        env |= {"PATH": f"{site.cluster.bin_dir}:{env['PATH']}"}
    names = {name for line in settings for name in re.findall(r"\b([A-Z]+)=", line)}
    assert names - {"PGHOST", "PGUSER"} == set(values), "the instructions name every value that they use"
    lines = [f'{name}="{value}"' for name, value in values.items()]
    if site.cluster:
        lines.append(f"export PGHOST={site.cluster.socket_dir} PGUSER=postgres PGPORT={site.cluster.port}")
    shutil.copy(archive, tmp_path)
    site.cool()  # step 3: nothing of the site runs
    ended = subprocess.run(
        ["sh", "-eu", "-c", "\n".join([*lines, commands])], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, f"{commands}\n{ended.stdout}{ended.stderr}"

    assert site.dump_tables() == before
    assert site.uploads() == files_wrecked | files
    if site.cluster:
        assert site.cluster.databases(site.database) == [site.database, f"{site.database}_before"], "the old one is kept aside"
    else:
        assert Path(f"{site.database}.before").exists()
        assert Path(site.database).stat().st_mode & 0o777 == 0o600
    # And the site runs on: with its owner's role, and with its migrations known.
    status = site.manage("backup_status").stdout
    assert re.search(r"Database +ok", status), status
    site.manage("backup_create")
