"""Gentle backups on whole sites: the priority of what they start, of the worker that made them, and that they still end when told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backups.tests.faults import Call, FaultProxy
from backups.tests.servers import S3Server
from backups.tests.site import Site, populate
from backups.tests.test_killed import assert_tidy
from backups.tests.test_s3_site import in_bucket
from backups.tests.workers import Worker, ask, in_the_site, journal_of, journals, wait_until

GENTLE = f"nice {min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)}, best-effort: prio 7"
MB = 1_000_000


@dataclass
class Spied:
    """A site on PostgreSQL whose ``pg_dump`` writes down with which priority each dump runs."""

    site: Site
    notes: Path

    @property
    def dumps(self) -> list[str]:
        """The priority of each dump so far."""
        return self.notes.read_text().splitlines()


@pytest.fixture
def spied(postgres_site: Site, tmp_path: Path) -> Spied:
    populate(postgres_site)
    cluster = postgres_site.cluster
    assert cluster
    spies = tmp_path / "bin"
    spies.mkdir()
    for program in ("pg_restore", "psql"):
        (spies / program).symlink_to(cluster.bin_dir / program)
    notes = tmp_path / "dumps"
    spy = spies / "pg_dump"
    note = f'case "$*" in *--snapshot*) echo "nice $(nice), $(ionice -p $$)" >> {notes};; esac'
    spy.write_text(f'#!/bin/sh\n{note}\nexec {cluster.bin_dir}/pg_dump "$@"\n')
    spy.chmod(0o755)
    postgres_site.extra_env["BACKUPS_PG_BIN_DIRS"] = str(spies)
    return Spied(postgres_site, notes)


def usual() -> str:
    """The priority that these tests have themselves."""
    script = 'echo "nice $(nice), $(ionice -p $$)"'
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def nice_values(process: int) -> set[int]:
    """The nice values of all threads of a process."""
    stats = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/stat")]
    return {int(stat.rpartition(")")[2].split()[16]) for stat in stats}


def done(site: Site, operation: str) -> dict[str, Any]:
    """The journal of an operation that has succeeded."""
    wait_until(lambda: journal_of(site, operation)["status"] in ("done", "failed"), f"the end of {operation[:8]}")
    journal = journal_of(site, operation)
    assert (journal["status"], journal["error"]) == ("done", "")
    return journal


# --- what has which priority ----------------------------------------------------------------------------------------------


def test_a_gentle_backup_dumps_at_a_low_priority_and_is_as_good_as_any(spied: Spied) -> None:
    gentle = spied.site.manage("backup_create", "--gentle").stdout.strip()
    spied.site.manage("backup_create")
    assert spied.dumps == [GENTLE, usual()]
    assert usual() != GENTLE, "this needs room below the priority that the tests have"
    before = spied.site.dump_tables()
    spied.site.execute("UPDATE tracking_project SET name = 'gone'")
    spied.site.manage("backup_restore", gentle, "--no-input", "--trust-unsigned")
    assert spied.site.dump_tables() == before


def test_backups_of_schedules_are_gentle_and_the_worker_has_its_own_priority_back(spied: Spied) -> None:
    site = spied.site
    site.execute("UPDATE backups_backupschedule SET last_due_at = now() - interval '2 days'")
    with Worker(site).running() as worker:
        wait_until(lambda: any(journal["kind"] == "create" for journal in journals(site)), "the tick's backup")
        (scheduled,) = (journal for journal in journals(site) if journal["kind"] == "create")
        assert done(site, scheduled["id"])["arguments"]["trigger"].startswith("schedule:")
        assert spied.dumps == [GENTLE]

        done(site, ask(site, "create", gentle=True)["id"])
        assert spied.dumps == [GENTLE] * 2

        own = {os.getpriority(os.PRIO_PROCESS, 0)}
        wait_until(lambda: all(nice_values(process) == own for process in worker.pool()), "the end of the gentle threads")
        done(site, ask(site, "create")["id"])
        assert spied.dumps == [GENTLE] * 2 + [usual()]


def test_a_rate_that_is_too_low_for_the_site_is_lifted_and_said_to_be(sqlite_site: Site) -> None:
    populate(sqlite_site)
    sqlite_site.extra_env["BACKUPS_GENTLE_RATE"] = "1"
    code = (
        "from backups import pace\n"
        "from backups.services.create import backup_create\n"
        "pace.LIMITED_SECONDS = -1\n"
        "print(*backup_create(gentle=True).warnings)"
    )
    assert in_the_site(sqlite_site, code) == "BACKUPS_GENTLE_RATE was lifted after 4 hours: it is too low for this site."


def test_a_gentle_check_of_all_archives_finds_what_any_finds(sqlite_site: Site) -> None:
    populate(sqlite_site)
    good, bad = (sqlite_site.manage("backup_create", "--no-uploads").stdout.strip() for _ in range(2))
    with (sqlite_site.backups / bad).open("r+b") as archive:
        archive.seek(5000)
        archive.write(bytes(100))
    ended = sqlite_site.manage("backup_verify", "--gentle", "--all", check=False)
    assert ended.returncode == 5
    assert f"{good}  whole" in ended.stdout
    assert f"{bad}  BROKEN" in ended.stdout


# --- ending ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "size", "rate"),
    [
        # Longer than any test may take.
        ("dump", 1000 * MB, 1),
        # Seconds until there, and seconds there.
        ("verify", 400 * MB, 100),
    ],
)
def test_a_gentle_backup_that_waits_for_its_rate_ends_when_told_and_leaves_nothing(site: Site, stage: str, size: int, rate: int) -> None:
    populate(site)
    with (site.media / "large.bin").open("wb") as large:
        large.truncate(size)
    process = site.popen("backup_create", "--gentle", "--json", env={"BACKUPS_GENTLE_RATE": str(rate)})
    assert process.stdout
    for line in process.stdout:
        event = json.loads(line)
        if event["stage"] == stage and event["done"]:
            break
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 143, stderr
    assert "Traceback" not in stderr
    assert list(site.backups.glob("*.zip")) == []
    assert_tidy(site)


def test_a_gentle_backup_that_is_ended_while_it_is_sent_leaves_nothing_in_the_bucket_and_nothing_here(
    sqlite_site: Site, bucket: str, s3_server: S3Server, s3_proxy: FaultProxy, s3_client: Any
) -> None:
    site = in_bucket(sqlite_site, bucket, s3_server, s3_proxy)
    process = site.popen("backup_create", "--gentle", env={"BACKUPS_GENTLE_RATE": "100"})
    s3_proxy.fail("PUT", r"\.zip\.partial", Call(lambda: process.send_signal(signal.SIGTERM)), times=1)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 143, stderr
    stored = [item["Key"] for item in s3_client.list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert [key for key in stored if ".zip" in key] == []
    assert list((site.state / "unsaved").glob("*")) == []
    assert list((site.state / "outbox").glob("*")) == []
