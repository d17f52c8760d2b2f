"""A note is what somebody typed, whatever that is: no backup fails for it, and no terminal obeys it."""

from __future__ import annotations

import json

import pytest

from backups.archive import ArchiveReader
from backups.manifest import text_accepted
from backups.tests.site import Site


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("first line\r\nsecond line", "first line\nsecond line"),
        ("one\rtwo\tthree\n", "one\ntwo\tthree\n"),
        ("\x1b[31mred\x07", "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"),
        ("b\udcfcro", "b\N{REPLACEMENT CHARACTER}ro"),
        ("Büro €", "Büro €"),
    ],
    ids=["lines of a browser", "other lines", "control characters", "no text", "text"],
)
def test_a_note_is_kept_as_far_as_it_is_text(sqlite_site: Site, typed: str, kept: str) -> None:
    assert text_accepted(typed) == kept
    archive = sqlite_site.manage("backup_create", "--note", typed).stdout.strip()
    with (sqlite_site.backups / archive).open("rb") as source, ArchiveReader(source, name=archive) as reader:
        assert reader.manifest.note == kept
    (row,) = sqlite_site.fetch("SELECT note FROM backups_backup")
    assert row == (kept,)


def test_the_list_has_one_line_for_an_archive_whatever_its_note(sqlite_site: Site) -> None:
    note = "line one\nbackup_20200101_000000_deadbeef.zip  fake " + "and more " * 60
    archive = sqlite_site.manage("backup_create", "--note", note).stdout.strip()
    shown = sqlite_site.manage("backup_list").stdout.splitlines()
    assert [line.split()[0] for line in shown[1:]] == [archive]
    assert len(shown[1]) < 250
    listed = json.loads(sqlite_site.manage("backup_list", "--json").stdout.splitlines()[-1])
    assert listed["archives"][0]["note"] == note
