"""JSON in pieces is read as the same JSON whole, and as strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backups.exceptions import ArchiveRejected
from backups.json_window import JsonWindow
from backups.manifest import Manifest, manifest_from_json, manifest_to_json
from backups.tests.test_manifest import MANIFEST

MARKS = [b",", b"}", b"]", b"[", b"{", b'"', b":", b" ", b"\n", b"0", b"1e5", b"null", b"\xef\xbb\xbf"]
NO_JSON = [b"", b" ", b"{", b"tru", b"1 2", b"[1,]", b'{"a": 1, "a": 2}', b'"\xff"', b'"\xc3', b'"a\nb"', b"[" * 100_000]
# json.loads reads them.
NOT_HERE = [b"NaN", b"-Infinity", b"1.5", b"1e5"]
DATA = manifest_to_json(replace(MANIFEST, note='Zürich 🙂 \\ "quoted" 12'))


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def read_or_none(data: bytes, size: int) -> Manifest | None:
    try:
        return manifest_from_json(pieces_of(data, size))
    except ArchiveRejected:
        return None


def value_of(data: bytes, size: int) -> Any:
    window = JsonWindow(pieces_of(data, size))
    value = window.value()
    window.end()
    return value


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_manifest_in_pieces_is_the_manifest(size: int) -> None:
    assert manifest_from_json(pieces_of(DATA, size)) == manifest_from_json(DATA)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


@given(value=values, size=st.integers(1, 9), indent=st.sampled_from([None, 1]))
@example(value=1234567, size=1, indent=None)
def test_any_value_in_pieces_is_read_as_json_reads_it(value: Any, size: int, indent: int | None) -> None:
    assert value_of(json.dumps(value, indent=indent, ensure_ascii=False).encode(), size) == value


@given(
    place=st.integers(0, len(DATA)),
    left_out=st.integers(0, 3),
    put_in=st.binary(max_size=2) | st.sampled_from(MARKS),
    size=st.sampled_from([1, 50, 10_000]),
)
def test_edited_manifest_is_read_only_where_json_reads_it_and_then_as_the_same(place: int, left_out: int, put_in: bytes, size: int) -> None:
    data = DATA[:place] + put_in + DATA[place + left_out :]
    manifest = read_or_none(data, size)
    assert manifest == read_or_none(data, len(data))
    if manifest is None:
        return
    content, again = json.loads(data), json.loads(manifest_to_json(manifest))
    content["members"].sort(key=lambda member: member["path"])
    # One moment can be written in several ways.
    assert again | {"created_at": ""} == content | {"created_at": ""}


@pytest.mark.parametrize("data", NO_JSON + NOT_HERE)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_is_no_json_is_refused_in_pieces_too(data: bytes, size: int) -> None:
    with pytest.raises((ValueError, RecursionError)):
        value_of(data, size)


@pytest.mark.parametrize("format", ["timetracker-backup/1", "timetracker-backup/2"])
def test_another_format_is_named_though_its_members_come_first(format: str) -> None:
    content = json.loads(DATA)
    members = content.pop("members")
    data = json.dumps({"members": [{"another": "shape"}, *members], **content, "format": format}).encode()
    with pytest.raises(ArchiveRejected, match="names format" if format.endswith("2") else "'another' is unknown"):
        manifest_from_json(data)
