"""What an unlucky administrator meets: nothing is lost for it, and nothing untrue is said."""

from __future__ import annotations

import json
import os
from pathlib import Path

from backups.tests.site import Site, populate
from backups.tests.wrecking import wreck

# Dies before the third rename of the switch: a part of the live uploads then lies in the staging folder alone.
DIES_IN_THE_SWITCH = """
import itertools, os, signal, sys
import backups.uploads.switch as switch
from django.core.management import execute_from_command_line
rename, calls = switch.rename, itertools.count(1)
def dying(source, target):
    if next(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
switch.rename = dying
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


def dead_in_the_switch(site: Site) -> tuple[Path, dict[str, str]]:
    """Kill a restore while the uploads are switched; return its journal and the uploads that were live before."""
    populate(site)
    archive = site.manage("backup_create").stdout.strip()
    wreck(site)
    before = site.uploads()
    process = site.run_python("-c", DIES_IN_THE_SWITCH, "backup_restore", archive, "--no-input", "--uploads", "exact")
    process.communicate(timeout=300)
    assert process.returncode == -9
    assert site.uploads() != before
    return max((site.state / "journal").glob("*.json"), key=os.path.getmtime), before


def all_files(site: Site) -> set[str]:
    """Contents of all files below MEDIA_ROOT, in staging folders too."""
    return {path.read_bytes().hex() for path in site.media.rglob("*") if path.is_file()}


def test_uploads_of_an_operation_whose_journal_is_damaged_are_never_swept_away(sqlite_site: Site) -> None:
    site = sqlite_site
    journal, _ = dead_in_the_switch(site)
    files, whole = all_files(site), journal.read_bytes()
    journal.write_bytes(whole[:200])

    assert "is damaged" in site.manage("backup_status").stdout
    refused = site.manage("backup_status", "--recover", check=False)
    assert refused.returncode == 7
    assert "is damaged" in refused.stderr
    assert json.loads(site.manage("backup_status", "--json").stdout)["gate"]["state"] == "closed"
    site.manage("backup_create")
    assert all_files(site) >= files

    journal.write_bytes(whole)
    assert "was undone" in site.manage("backup_status", "--recover").stdout


def test_uploads_displaced_by_an_operation_that_was_never_judged_stay_after_the_gate_was_forced_open(sqlite_site: Site) -> None:
    site = sqlite_site
    journal, _ = dead_in_the_switch(site)
    files = all_files(site)
    forced = site.manage("backup_status", "--force-open", input="open the gate\n")
    assert f".backups-{journal.stem[:8]}/old" in forced.stdout
    site.manage("backup_create")
    site.manage("backup_status", "--recover")
    assert all_files(site) >= files
