"""The audit file: appended to before the act, chained so that a change shows, and no act without it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_django import Settings

from backups.audit import LONGEST, audit_check, audit_record
from backups.exceptions import AuditUnwritable
from backups.tests import BASE_DIR

pytestmark = pytest.mark.usefixtures("own_state")


@pytest.fixture
def file(settings: Settings) -> Path:
    """The audit file, which is not there yet."""
    return Path(settings.BACKUPS_STATE_DIR) / "audit.log"


def record(action: str = "download", **values: str) -> None:
    audit_record(action, **{"who": "ada", "address": "192.0.2.7", **values})


def test_a_line_says_who_did_what_from_where_and_to_what(file: Path) -> None:
    record("restore", archive="backup_20260301_080000_98b10547.zip", operation="f" * 32, detail="merge\nthe uploads")
    said = json.loads(file.read_text())
    assert said.pop("at").endswith("+00:00")
    assert said == {
        "action": "restore", "who": "ada", "address": "192.0.2.7", "archive": "backup_20260301_080000_98b10547.zip",
        "operation": "f" * 32, "detail": "merge\nthe uploads", "previous": "",
    }  # fmt: skip
    assert file.read_bytes().count(b"\n") == 1, "a line feed in a value must not begin another line"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_each_line_carries_the_hash_of_the_one_before_as_sha256sum_counts_it(file: Path) -> None:
    for action in ("download", "pin", "delete"):
        record(action)
    lines = file.read_bytes().splitlines(keepends=True)
    for before, line in zip(lines, lines[1:], strict=False):
        counted = subprocess.run(["sha256sum"], input=before, capture_output=True, check=True).stdout.split()[0].decode()
        assert json.loads(line)["previous"] == counted
    assert audit_check() == []


@pytest.mark.parametrize("change", ["edit", "remove", "insert", "swap", "first"])
def test_a_change_in_the_middle_shows(file: Path, change: str) -> None:
    for number in range(6):
        record("pin", detail=str(number))
    lines = file.read_bytes().splitlines(keepends=True)
    match change:
        case "edit":
            lines[2] = lines[2].replace(b"ada", b"bob")
        case "remove":
            del lines[3]
        case "insert":
            lines.insert(3, lines[2].replace(b"ada", b"bob"))
        case "swap":
            lines[2], lines[3] = lines[3], lines[2]
        case "first":
            del lines[0]
    file.write_bytes(b"".join(lines))
    found = {"edit": 4, "remove": 4, "insert": 4, "swap": 3, "first": 1}[change]
    assert audit_check()[0] == found
    record("pin")
    assert audit_check()[0] == found, "what comes later does not heal it"


@pytest.mark.parametrize("cut", [1, 30, 90])
def test_a_line_that_a_power_cut_left_unfinished_stops_nothing_and_stays(file: Path, cut: int) -> None:
    record("pin")
    record("delete")
    whole = file.read_bytes()
    os.truncate(file, len(whole) - cut)
    record("download")
    record("verify")
    lines = file.read_bytes().splitlines()
    assert len(lines) == 4
    assert lines[1] == whole.splitlines()[1][: len(lines[1])]
    assert audit_check() == []
    file.write_bytes(file.read_bytes().replace(lines[1], b"{}"))
    assert audit_check() == [3]


def test_many_processes_and_threads_write_whole_lines_in_one_chain(file: Path) -> None:
    code = (
        "import sys, django; django.setup()\n"
        "from django.conf import settings; settings.BACKUPS_STATE_DIR = sys.argv[1]\n"
        "from backups.audit import audit_record\n"
        "for number in range(40): audit_record('pin', who=sys.argv[2], address='', detail='x' * number * 20)\n"
    )
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "timetracker.settings_for_tests", "PYTHONPATH": str(BASE_DIR)}
    others = [subprocess.Popen([sys.executable, "-c", code, str(file.parent), f"process {number}"], env=env) for number in range(3)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: record("pin", detail=str(number)), range(80)))
    assert [other.wait(timeout=120) for other in others] == [0, 0, 0]
    assert len(file.read_bytes().splitlines()) == 3 * 40 + 80
    assert audit_check() == []


def test_values_that_somebody_can_choose_do_not_make_a_line_too_long(file: Path) -> None:
    record("upload", detail="é" * 1_000_000)
    assert len(json.loads(file.read_text())["detail"]) == LONGEST
    record("pin")
    assert audit_check() == []


def test_without_a_file_there_is_nothing_to_find() -> None:
    assert audit_check() == []


def test_what_cannot_be_written_is_refused_in_three_sentences(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(AuditUnwritable, match="cannot be written into the audit file, so it was not begun: Is a directory") as refusal:
        record()
    assert refusal.value.exit_code == 3
    assert "Free some space" in refusal.value.next_step


def test_a_link_that_somebody_has_put_there_is_not_followed(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir()
    (tmp_path / "elsewhere").write_text("as it was")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditUnwritable):
        record()
    assert (tmp_path / "elsewhere").read_text() == "as it was"


def test_a_disk_that_runs_full_in_the_middle_of_a_line_leaves_none_of_it(file: Path) -> None:
    record()
    before = file.read_bytes()
    # Files of this process may grow to the middle of the next line, and no further.
    code = (
        "import resource, signal, sys, django; django.setup()\n"
        "from django.conf import settings; settings.BACKUPS_STATE_DIR = sys.argv[1]\n"
        "from backups.audit import audit_record\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "audit_record('pin', who='ada', address='', detail='y' * 500)\n"
    )
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "timetracker.settings_for_tests", "PYTHONPATH": str(BASE_DIR)}
    failed = subprocess.run(
        [sys.executable, "-c", code, str(file.parent), str(len(before) + 100)], env=env, capture_output=True, text=True, timeout=120
    )
    assert "AuditUnwritable" in failed.stderr
    assert file.read_bytes() == before
    record()
    assert audit_check() == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_the_hash_is_that_of_the_line_with_its_line_feed(file: Path) -> None:
    record()
    record()
    first, second = file.read_bytes().splitlines(keepends=True)
    assert json.loads(second)["previous"] == hashlib.sha256(first).hexdigest()
    shutil.rmtree(file.parent)
    assert audit_check() == []
