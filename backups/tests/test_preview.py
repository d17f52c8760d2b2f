"""A preview says everything a restore would do, and touches nothing: as a command, and as pages ask for it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backups.tests.site import Site, populate
from backups.tests.warm import WarmSite
from backups.tests.workers import in_the_site

MAKE_CHIEF = """
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser('chief', password='then')
get_user_model().objects.create_user('clerk', password='same', is_staff=True)
"""
CHANGE_EVERYTHING = """
from django.contrib.auth import get_user_model
from timetracker.clients.models import Client
from timetracker.tracking.models import TimeEntry
users = get_user_model().objects
chief = users.get(username='chief')
chief.set_password('now')
chief.save()
clerk = users.get(username='clerk')
clerk.is_superuser = True
clerk.save()
users.create_superuser('hired', password='later')
Client.objects.create(name='Won after the backup')
for entry in TimeEntry.objects.order_by('pk')[:3]:
    entry.notes = 'changed after the backup'
    entry.save()
TimeEntry.objects.filter(pk__in=TimeEntry.objects.order_by('-pk').values('pk')[:5]).delete()
"""


def shell(site: Site, code: str) -> None:
    site.manage("shell", "--verbosity", "0", "--command", code)


def contents(site: WarmSite) -> dict[str, Any]:
    """Everything there is: each file of DATA_DIR by its SHA-256 and mode; on PostgreSQL rows and databases too."""
    files = {
        str(path.relative_to(site.data_dir)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in site.data_dir.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal", ".djcache"))
    }
    server = {"databases": site.cluster.databases(), "rows": site.dump_tables()} if site.cluster else {"rows": site.dump_tables()}
    return files | server


# What the engines have no part in is tried on one of them.
on_sqlite = pytest.mark.parametrize("site", ["sqlite"], indirect=True)


@pytest.fixture
def changed(site: Site) -> Iterator[tuple[WarmSite, str]]:
    """A site that has moved on since its backup."""
    populate(site)
    warm = WarmSite.of(site)
    shell(warm, MAKE_CHIEF)
    archive = warm.manage("backup_create", "--note", "Friday evening").stdout.strip()
    shell(warm, CHANGE_EVERYTHING)
    files = sorted(path for path in warm.media.rglob("*") if path.is_file())
    files[0].unlink()
    files[1].unlink()
    files[1].write_bytes(b"changed after the backup")
    (warm.media / "new.txt").write_text("uploaded after the backup")
    yield warm, archive


def line(text: str, start: str) -> str:
    """The one line of a preview that begins so."""
    (found,) = [each for each in text.splitlines() if each.startswith(start)]
    return found


def test_preview_says_what_a_restore_would_do_and_touches_nothing(changed: tuple[WarmSite, str]) -> None:
    site, archive = changed
    before = contents(site)
    said = site.manage("backup_restore", archive, "--dry-run").stdout
    assert contents(site) == before
    # Where it is from.
    assert re.search(r"^Archive   [0-9a-f]{8}, made \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(manual\), note: Friday evening$", said, re.M)
    assert site.vendor in line(said, "From")
    assert "valid" in line(said, "Signature")
    # Rows per model: now, in the archive, the difference.
    assert re.search(r"^tracking\.TimeEntry +395 +400 +\+5$", said, re.M), said
    assert re.search(r"^clients\.Client +14 +13 +-1$", said, re.M), said
    assert "django_session" not in said
    # What would be lost.
    lost = said[said.index("Would be lost") :]
    assert re.search(r"^tracking\.TimeEntry +3$", lost, re.M), said
    assert re.search(r"^clients\.Client +1$", lost, re.M), said
    # Who could log in afterwards.
    assert "Account   chief has another password in the archive." in said
    assert "Account   clerk is not superuser in the archive." in said
    assert "Account   hired does not exist in the archive and could not log in afterwards." in said
    assert "Everyone must log in again." in said
    assert "No migration needs to run." in said
    # Uploads, and how it would go.
    uploads = re.search(r"Uploads   1 added, 1 changed, (\d+) equal; 1 that the archive does not have", said)
    assert uploads, said
    assert int(uploads[1]) == len(site.uploads()) - 2
    strategy = line(said, "Strategy")
    assert "swap" in strategy
    assert ("pg_restore" in strategy) if site.cluster else ("sqlite" in strategy)
    # A role without pg_read_all_settings cannot know the disk of its server.
    if site.cluster:
        assert re.search(r"^Space     [\d.]+ [kM]B needed on the disk of the database, free space unknown\.$", said, re.M), said
    assert re.search(r"^Space     [\d.]+ [kM]B needed on the disk of /\S+, [\d.]+ [kMGT]B free\.$", said, re.M), said
    assert re.search(r"closed for about \d+\.\d s", strategy)
    assert said.rstrip().endswith("Nothing was changed. To restore, run the same command without --dry-run.")


@on_sqlite
def test_preview_for_one_account_tells_of_that_account_alone(changed: tuple[WarmSite, str]) -> None:
    site, archive = changed
    for username, expected in (
        ("chief", ["Account   chief has another password in the archive."]),
        ("hired", ["Account   hired does not exist in the archive and could not log in afterwards."]),
        ("nobody", ["Account   nobody has no account, neither now nor in the archive."]),
    ):
        said = site.manage("backup_restore", archive, "--dry-run", "--as", username).stdout
        assert [each for each in said.splitlines() if each.startswith("Account")] == expected


@on_sqlite
def test_preview_as_json_is_one_event_with_the_same_facts(changed: tuple[WarmSite, str]) -> None:
    site, archive = changed
    *events, result = map(json.loads, site.manage("backup_restore", archive, "--dry-run", "--json").stdout.splitlines())
    assert result["event"] == "result"
    assert {event["event"] for event in events} <= {"stage", "progress", "warning", "note"}
    assert result["rows"]["tracking_timeentry"] == [395, 400]
    assert result["newer"]["tracking.TimeEntry"] == 3
    assert result["archive"]["note"] == "Friday evening"
    assert result["plan"]["strategy"] == "swap"
    assert result["uploads"]["added"] == 1
    assert {account["username"] for account in result["accounts"]} == {"chief", "clerk", "hired"}


@on_sqlite
def test_preview_of_a_restore_without_uploads_says_that_they_stay(changed: tuple[WarmSite, str]) -> None:
    site, archive = changed
    said = site.manage("backup_restore", archive, "--dry-run", "--uploads", "skip").stdout
    assert "Uploads   stay as they are." in said
    bare = site.manage("backup_create", "--no-uploads").stdout.strip()
    assert "Uploads   stay as they are." in site.manage("backup_restore", bare, "--dry-run").stdout
    refused = site.manage("backup_restore", bare, "--no-input", "--uploads", "exact", check=False)
    assert refused.returncode == 3
    assert "--uploads skip" in refused.stderr


@on_sqlite
def test_preview_of_a_damaged_archive_is_the_same_refusal(changed: tuple[WarmSite, str], tmp_path: Path) -> None:
    site, archive = changed
    data = bytearray((site.backups / archive).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.zip").write_bytes(bytes(data))
    before = contents(site)
    refused = site.manage("backup_restore", tmp_path / "flipped.zip", "--dry-run", check=False)
    assert refused.returncode == 5
    assert contents(site) == before


@on_sqlite
def test_question_without_the_right_answer_changes_nothing(changed: tuple[WarmSite, str]) -> None:
    site, archive = changed
    before = contents(site)
    for answer in ("", "yes\n", "undo\n"):
        declined = site.manage("backup_restore", archive, input=answer, check=False)
        assert declined.returncode == 2
        assert "add --dry-run" in declined.stderr
        assert contents(site) == before
    site.manage("backup_restore", archive, input="restore\n")
    assert site.fetch("SELECT count(*) FROM tracking_timeentry") == [(400,)]


# --- as a page asks for it ------------------------------------------------------------------------------------------------

# Runs the request as the worker does, and prints its journal.
WORK = """
import json
from dataclasses import asdict
from backups.journal import Journal, journal_find
from backups.services.request import operation_work
kind, archive, arguments, by = sys.argv[1:]
journal = Journal(kind=kind, archive=archive, arguments=json.loads(arguments), requested_by=by)
journal.save()
operation_work(journal.id)
print(json.dumps(asdict(journal_find(journal.id))))
"""


def worked(site: Site, kind: str, archive: str, by: str = "", **arguments: object) -> dict[str, Any]:
    """The journal of a request that a worker has done."""
    journal: dict[str, Any] = json.loads(in_the_site(site, WORK, kind, archive, json.dumps(arguments), by))
    return journal


@on_sqlite
def test_preview_that_a_page_asks_for_is_in_its_journal_and_leaves_nothing_else(changed: tuple[WarmSite, str]) -> None:
    site, archive = changed
    before = site.dump_tables(), site.uploads(), sorted((site.state / "staging").glob("*"))
    site.execute("UPDATE backups_backup SET verified_at = NULL, problem = 'db.dump was damaged.'")
    journal = worked(site, "preview", archive, "chief", uploads="merge")
    ((verified, problem),) = site.fetch(f"SELECT verified_at, problem FROM backups_backup WHERE name = '{archive}'")
    assert verified and not problem, "every byte of it was read"
    assert (site.dump_tables(), site.uploads(), sorted((site.state / "staging").glob("*"))) == before
    assert (journal["status"], journal["error"]) == ("done", "")
    report = journal["report"]
    assert report["rows"]["tracking_timeentry"] == [395, 400]
    assert report["newer"] == {"clients.Client": 1, "tracking.TimeEntry": 3, "accounts.User": report["newer"]["accounts.User"]}
    assert report["signature"] == "valid"
    assert (report["uploads"]["added"], report["uploads"]["changed"], report["uploads"]["others"]) == (1, 1, 1)
    assert report["own"] == {
        "username": "chief",
        "could_log_in": True,
        "sentence": "with the password of then, which is another one",
    }
    assert "chief" in report["administrators"]
    assert {account["username"] for account in report["accounts"]} == {"chief", "clerk", "hired"}, "all staff, not the asking one alone"


@on_sqlite
@pytest.mark.parametrize(
    ("username", "could", "sentence"),
    [
        ("clerk", True, "but no longer as a superuser"),
        ("hired", False, "the archive has no account of that name"),
        ("nobody", False, "the archive has no account of that name"),
    ],
)
def test_preview_says_whether_who_asks_could_log_in(changed: tuple[WarmSite, str], username: str, could: bool, sentence: str) -> None:
    site, archive = changed
    own = worked(site, "preview", archive, username, uploads="merge")["report"]["own"]
    assert (own["could_log_in"], own["sentence"]) == (could, sentence)


@on_sqlite
def test_preview_takes_an_archive_of_another_site_and_says_that_its_key_is_unknown(changed: tuple[WarmSite, str]) -> None:
    site, archive = changed
    site.secret_key = "another site's"
    journal = worked(site, "preview", archive, uploads="merge")
    assert (journal["status"], journal["report"]["signature"]) == ("done", "unknown key")


def test_preview_that_is_refused_keeps_what_to_do(changed: tuple[WarmSite, str]) -> None:
    site, archive = changed
    path = site.backups / archive
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    journal = worked(site, "preview", archive, uploads="merge")
    assert journal["status"] == "failed"
    assert journal["error"].startswith(archive)
    assert journal["report"] == {
        "state": "Nothing was changed.",
        "next_step": "Choose another archive: manage.py backup_list",
        "is_refusal": False,
    }


@on_sqlite
def test_restore_from_a_preview_refuses_another_archive_and_a_second_time(changed: tuple[WarmSite, str]) -> None:
    site, archive = changed
    first, second = (worked(site, "preview", archive, uploads="merge")["id"] for _ in range(2))
    other = site.manage("backup_create").stdout.strip()
    mine = (site.backups / archive).read_bytes()
    (site.backups / archive).write_bytes((site.backups / other).read_bytes())
    before = site.dump_tables()

    def refused(previewed: str, because: str) -> None:
        kept = site.manage("backup_status").stdout
        journal = worked(site, "restore", archive, previewed=previewed)
        assert journal["status"] == "failed"
        assert because in journal["error"]
        assert (site.dump_tables(), site.manage("backup_status").stdout) == (before, kept)

    refused(first, "is not what was previewed")
    (site.backups / archive).write_bytes(mine)
    # That one was begun, and failed: whoever sees that it failed must not be surprised by another one of the same form.
    refused(first, "A restore has been begun from this preview already.")
    assert worked(site, "restore", archive, previewed=second)["status"] == "done"
    assert site.fetch("SELECT count(*) FROM tracking_timeentry") == [(400,)]
    before = site.dump_tables()
    # A form that was sent twice: what the first one keeps for undo would be gone.
    refused(second, "The data was replaced after the preview was made.")
    refused("0" * 32, "There is no preview")


def test_undo_of_one_restore_undoes_nothing_else(changed: tuple[WarmSite, str]) -> None:
    site, archive = changed
    before = site.dump_tables()
    restored = worked(site, "restore", archive)["id"]
    assert worked(site, "undo", "", undoes=restored)["status"] == "done"
    assert site.dump_tables() == before
    again = worked(site, "undo", "", undoes=restored)
    assert again["status"] == "failed"
    assert "this would undo something else" in again["error"]
    assert site.dump_tables() == before
