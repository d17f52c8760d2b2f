"""What a person sees on a real terminal: questions and results stand alone, whatever the bar draws."""

from __future__ import annotations

import os
import pty

import pytest

from backups.tests.site import Site, populate

ERASED = b"\x1b[2K"


class Terminal:
    """``manage.py`` of a site on a pseudo-terminal that is its stdin, stdout and stderr."""

    def __init__(self, site: Site, *args: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = site.popen(*args, env={"TERM": "xterm", "COLUMNS": "100"}, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._ours, line.encode() + b"\n")

    def read_until(self, end: bytes) -> bytes:
        """What appears, up to ``end``."""
        seen = b""
        while not seen.endswith(end):
            seen += os.read(self._ours, 1)
        return seen

    def read_all(self) -> bytes:
        """What appears until the command ends."""
        seen = b""
        # Linux says EIO where a terminal's other side is closed.
        while chunk := self._read():
            seen += chunk
        return seen

    def _read(self) -> bytes:
        try:
            return os.read(self._ours, 65536)
        except OSError:
            return b""


def drawn_and_left(seen: bytes) -> tuple[bytes, bytes]:
    """What was drawn up to the last erased line, and what stays on the screen below it."""
    drawn, _, left = seen.rpartition(ERASED)
    return drawn, left


@pytest.fixture
def backed_up(sqlite_site: Site) -> tuple[Site, str]:
    """A populated site and the name of its backup."""
    populate(sqlite_site)
    return sqlite_site, sqlite_site.manage("backup_create").stdout.strip()


def test_nothing_is_drawn_over_a_question(backed_up: tuple[Site, str]) -> None:
    site, name = backed_up
    with Terminal(site, "backup_restore", name) as terminal:
        asked = terminal.read_until(b"Type restore to go on: ")
        assert asked.startswith(f"This replaces the live data by {name}.".encode())
        assert b"\x1b" not in asked
        terminal.type("restore")
        drawn, left = drawn_and_left(terminal.read_all())
    # Which stages are drawn hangs on how long each takes.
    assert "━".encode() in drawn
    assert left.startswith(b"Restored (swap):")
    assert b"\x1b" not in left


def test_the_bar_is_gone_before_a_result(backed_up: tuple[Site, str]) -> None:
    site, _ = backed_up
    with Terminal(site, "backup_verify", "--all") as terminal:
        seen = terminal.read_all()
    drawn, left = drawn_and_left(seen)
    assert b"verify" in drawn
    assert b"whole:" not in drawn
    assert left.count(b"whole:") == 1
