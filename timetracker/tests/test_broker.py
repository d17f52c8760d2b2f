"""The broker of files: what is sent arrives once and whole, and what is damaged does no harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.exceptions import ChannelError

from timetracker.broker import Channel, Transport


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "messages"
    folder.mkdir()
    return folder


@pytest.fixture
def channel(folder: Path) -> Iterator[Any]:
    options = {"data_folder_in": str(folder), "data_folder_out": str(folder), "control_folder": str(folder.parent / "control")}
    with Connection(transport=Transport, transport_options=options) as connection:  # type: ignore[no-untyped-call]
        yield connection.channel()


def test_a_message_is_taken_once_by_its_queue(channel: Channel, folder: Path) -> None:
    channel._put("backups", {"body": "one"})
    with pytest.raises(Empty):
        channel._get("other")
    assert channel._get("backups") == {"body": "one"}
    with pytest.raises(Empty):
        channel._get("backups")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b'{"body": "cut o', b"\xff\xfe"])
def test_a_damaged_message_is_thrown_away_and_the_next_one_taken(channel: Channel, folder: Path, content: bytes) -> None:
    (folder / "0_cut.backups.msg").write_bytes(content)
    channel._put("backups", {"body": "one"})
    assert channel._get("backups") == {"body": "one"}
    assert list(folder.iterdir()) == []


def test_a_message_that_cannot_be_put_leaves_nothing_behind(channel: Channel, folder: Path) -> None:
    # A queue's name that makes the last step fail, the renaming.
    with pytest.raises(ChannelError):
        channel._put("/nowhere/backups", {"body": "one"})
    assert list(folder.iterdir()) == []


def test_a_message_that_is_being_written_is_not_taken(channel: Channel, folder: Path) -> None:
    (folder / ".1_half.partial").write_bytes(b'{"body": "on')
    with pytest.raises(Empty):
        channel._get("backups")
