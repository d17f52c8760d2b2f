"""The golden archives of every format restore, for ever: with the key that signed them, or trusted by hand."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.archive import ArchiveReader
from backups.tests.golden import LARGEST, PASSWORD, SIGNING_KEY, UPLOADS, golden_archives
from backups.tests.site import SiteTemplates
from backups.tests.warm import WarmSite

ARCHIVES = golden_archives()


def vendor_of(archive: Path) -> str:
    return archive.stem.split("-")[1]


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.stem)
def archive(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def blank(request: pytest.FixtureRequest, archive: Path, site_templates: SiteTemplates) -> Iterator[WarmSite]:
    """An installation that was never used, on the archive's engine."""
    cluster = request.getfixturevalue("pg") if vendor_of(archive) == "postgresql" else None
    site = WarmSite.of(site_templates.blank(cluster))
    yield site
    site.close()


def assert_golden(site: WarmSite) -> None:
    """What the golden archives hold, however old they are, as today's code sees it."""
    code = f"""
from django.contrib.auth import authenticate
from django.http import HttpRequest
from timetracker.tracking.models import TimeEntry
user = authenticate(HttpRequest(), username='golden', password={PASSWORD!r})
print(user.is_superuser)
for entry in TimeEntry.objects.order_by('started_at'):
    print(entry.notes, entry.project.client.name, entry.project.name, entry.task.name, entry.started_at.isoformat())
    print(entry.ended_at - entry.started_at)
"""
    assert site.manage("shell", "--verbosity", "0", "--command", code).stdout.splitlines() == [
        "True",
        "Day 1: 10 m × 4 m Gold & Söhne Façade Measure 2025-03-01T08:00:00+00:00",
        "8:30:00",
        "Day 2: 10 m × 4 m Gold & Söhne Façade Measure 2025-03-02T08:00:00+00:00",
        "8:30:00",
        "Day 3: 10 m × 4 m Gold & Söhne Façade Measure 2025-03-03T08:00:00+00:00",
        "8:30:00",
    ]
    assert {name: (site.media / name).read_text() for name in site.uploads()} == UPLOADS
    assert site.manage("migrate", "--check").returncode == 0


def test_there_is_a_small_golden_archive_of_each_engine() -> None:
    assert [path.name for path in ARCHIVES if path.name.startswith("format1-")] == ["format1-postgresql.zip", "format1-sqlite.zip"]
    for path in ARCHIVES:
        assert path.stat().st_size < LARGEST
        with zipfile.ZipFile(path) as opened:
            assert opened.testzip() is None


def test_golden_archive_restores_with_the_key_that_signed_it(archive: Path, blank: WarmSite) -> None:
    blank.extra_env["BACKUPS_SIGNING_KEYS"] = f"a-newer-key,{SIGNING_KEY}"
    verified = blank.manage("backup_verify", archive)
    assert "signature valid" in verified.stdout
    blank.manage("backup_restore", archive, "--no-input")
    assert_golden(blank)


def test_golden_archive_restores_on_a_new_machine(archive: Path, blank: WarmSite) -> None:
    refused = blank.manage("backup_restore", archive, "--no-input", check=False)
    assert refused.returncode == 5
    blank.manage("backup_restore", archive, "--no-input", "--trust-unsigned")
    assert_golden(blank)


def test_golden_archive_says_what_it_is(archive: Path) -> None:
    with archive.open("rb") as source, ArchiveReader(source, name=archive.name) as reader:
        manifest = reader.manifest
        assert manifest.format == f"timetracker-backup/{archive.stem[len('format') : archive.stem.index('-')]}"
        assert manifest.database.vendor == vendor_of(archive)
        assert manifest.rows["tracking_timeentry"] == 3
        assert manifest.uploads.count == len(UPLOADS)
        assert reader.settings(), "the settings are there to read"
