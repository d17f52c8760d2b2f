"""What other apps hear of a restore."""

from __future__ import annotations

import subprocess

import pytest

from backups.tests.site import Site

LISTENER = """
import sys

import django

django.setup()

from backups.exceptions import BackupError
from backups.gate import is_database_restore_in_progress
from backups.services.restore import backup_restore
from backups.signals import restore_begins, restore_ended


def tell(*words):
    print(*words, "in progress" if is_database_restore_in_progress() else "gate open", flush=True)


def begins(sender, kind, **others):
    tell("begins", kind)


def ended(sender, kind, outcome, **others):
    tell("ended", kind, outcome)
    return "A sentence of another app."


def failing(sender, **others):
    raise LookupError("a mistake of another app")


restore_begins.connect(begins)
restore_ended.connect(ended)
restore_ended.connect(failing)
try:
    print("notes", backup_restore(archive=sys.argv[1], strategy=sys.argv[2]).notes)
except BackupError as error:
    print("refused", error.exit_code)
"""


def heard(site: Site, strategy: str) -> list[str]:
    archive = site.manage("backup_create").stdout.strip()
    process = site.run_python("-c", LISTENER, archive, strategy, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert stderr.count("LookupError: a mistake of another app") == 1, "a receiver that fails stops nothing, and is logged once"
    return list(stdout.splitlines())


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("auto", ["begins restore in progress", "ended restore new gate open", "notes ['A sentence of another app.']"]),
        ("in-place", ["begins restore in progress", "ended restore old gate open", "refused 3"]),
    ],
    ids=["restored", "refused"],
)
def test_other_apps_hear_of_the_beginning_and_the_end_whatever_the_outcome(sqlite_site: Site, strategy: str, words: list[str]) -> None:
    assert heard(sqlite_site, strategy) == words
