"""The manifest: what is written is read back, everything else is refused; the signature says who wrote it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from backups.exceptions import ArchiveRejected
from backups.manifest import (
    DatabaseInfo,
    Manifest,
    Member,
    UploadsInfo,
    manifest_from_json,
    manifest_to_json,
    sign,
    signature_state,
)

MANIFEST = Manifest(
    id="0123456789abcdef" * 2,
    created_at=datetime(2025, 3, 4, 5, 6, 7, 890123, tzinfo=UTC),
    app_version="1.2.3",
    trigger="manual",
    note="vor dem Umzug\nnach Zürich",
    pinned=True,
    database=DatabaseInfo("postgresql", "db.dump", "pg_dump-custom", "15.4", "15.4", 2**40, "UTF8", {"citext": "1.6"}),
    migrations={"tracking": ["0001_initial", "0002_tags"], "auth": []},
    rows={"tracking_timeentry": 2_000_000, "auth_user": 0},
    uploads=UploadsInfo(True, 2, 2**32 + 3, ("receipts/gone.pdf", "strange\x1bname")),
    members=(
        Member("uploads/b.png", 2**32, "b" * 64),
        Member("db.dump", 5, "d" * 64),
        Member("uploads/ä.pdf", 3, "a" * 64),
    ),
)


def with_change(change: Callable[[dict[str, Any]], object]) -> bytes:
    content = json.loads(manifest_to_json(MANIFEST))
    change(content)
    return json.dumps(content).encode()


def test_manifest_is_read_back_as_it_was_written() -> None:
    expected = replace(MANIFEST, members=tuple(sorted(MANIFEST.members, key=lambda member: member.path)))
    assert manifest_from_json(manifest_to_json(MANIFEST)) == expected


def test_same_manifest_gives_the_same_bytes_whatever_its_order() -> None:
    reordered = replace(
        MANIFEST,
        members=MANIFEST.members[::-1],
        rows=dict(reversed(MANIFEST.rows.items())),
        migrations=dict(reversed(MANIFEST.migrations.items())),
        created_at=MANIFEST.created_at.astimezone(timezone(timedelta(hours=-7))),
    )
    data = manifest_to_json(MANIFEST)
    assert manifest_to_json(reordered) == data
    assert "Zürich".encode() in data
    assert b'\n "created_at": "2025-03-04T05:06:07.890123+00:00",\n' in data


@pytest.mark.parametrize("members", [(), MANIFEST.members, (Member('a "name"\\', 0, ""),)])
def test_members_are_written_as_json_writes_everything(members: tuple[Member, ...]) -> None:
    data = manifest_to_json(replace(MANIFEST, note='\n "members": []', members=members)).decode()
    assert data == json.dumps(json.loads(data), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert len(json.loads(data)["members"]) == len(members)


def test_manifest_without_a_time_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="aware"):
        manifest_to_json(replace(MANIFEST, created_at=datetime(2025, 3, 4)))  # noqa: DTZ001


def test_flask_manifest_is_refused_as_what_it_is() -> None:
    data = b'{"alembic_revision": "0a1b", "app_version": "3.4", "created_at": "2024-05-06", "db_type": "sqlite"}'
    with pytest.raises(ArchiveRejected, match="archive of the Flask TimeTracker") as refused:
        manifest_from_json(data)
    assert "0a1b" in refused.value.message
    assert refused.value.exit_code == 5


def test_unknown_format_is_refused_by_its_name_before_its_fields() -> None:
    with pytest.raises(ArchiveRejected, match="'timetracker-backup/9'.*'timetracker-backup/1'"):
        manifest_from_json(b'{"format": "timetracker-backup/9", "other": []}')


WRONG = {
    "id with other digits": lambda m: m.update(id="x" * 32),
    "id too short": lambda m: m.update(id="0123"),
    "time without zone": lambda m: m.update(created_at="2025-03-04T05:06:07"),
    "time in another zone": lambda m: m.update(created_at="2025-03-04T05:06:07+02:00"),
    "time that is none": lambda m: m.update(created_at="yesterday"),
    "number as text": lambda m: m.update(note=5),
    "text as flag": lambda m: m.update(pinned="yes"),
    "escape sequence": lambda m: m.update(note="\x1b[2J"),
    "half a surrogate pair": lambda m: m.update(note="\ud800"),
    "field missing": lambda m: m.pop("trigger"),
    "field unknown": lambda m: m.update(extra=1),
    "database no object": lambda m: m.update(database=[]),
    "database field missing": lambda m: m["database"].pop("encoding"),
    "vendor unknown": lambda m: m["database"].update(vendor="oracle"),
    "dump of the other vendor": lambda m: m["database"].update(member="db.sqlite"),
    "dump format of the other vendor": lambda m: m["database"].update(dump_format="sqlite3"),
    "size negative": lambda m: m["database"].update(size=-1),
    "size a flag": lambda m: m["database"].update(size=True),
    "extension without version": lambda m: m["database"].update(extensions={"citext": None}),
    "migrations a list": lambda m: m.update(migrations=[]),
    "migrations of an app no list": lambda m: m.update(migrations={"auth": "0001_initial"}),
    "migration no text": lambda m: m.update(migrations={"auth": [1]}),
    "rows negative": lambda m: m["rows"].update(auth_user=-1),
    "rows beyond 63 bits": lambda m: m["rows"].update(auth_user=2**63),
    "rows a fraction": lambda m: m["rows"].update(auth_user=1.0),
    "uploads no object": lambda m: m.update(uploads=None),
    "uploads counted wrong": lambda m: m["uploads"].update(count=3),
    "uploads summed wrong": lambda m: m["uploads"].update(bytes=1),
    "uploads though left out": lambda m: m["uploads"].update(included=False),
    "missing file no text": lambda m: m["uploads"].update(missing=[1]),
    "members no list": lambda m: m.update(members={}),
    "member no object": lambda m: m["members"].append("db.dump"),
    "member with another field": lambda m: m["members"][0].update(mode=0o777),
    "member with a short hash": lambda m: m["members"][0].update(sha256="ab"),
    "member with capitals in its hash": lambda m: m["members"][0].update(sha256="A" * 64),
    "member with a negative size": lambda m: m["members"][0].update(size=-3),
    "member twice": lambda m: m["members"].append(m["members"][0]),
    "dump not listed": lambda m: m["members"].pop(0),
    "two dumps listed": lambda m: m["members"].append({"path": "db.sqlite", "size": 1, "sha256": "a" * 64}),
}


@pytest.mark.parametrize("name", WRONG)
def test_manifest_with_a_wrong_field_is_refused(name: str) -> None:
    data = with_change(WRONG[name])
    with pytest.raises(ArchiveRejected):
        manifest_from_json(data)
    manifest_from_json(with_change(lambda m: None))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b"{", b"\xff{}", b'{"format": NaN}', b'{"format": 1e999}', b'{"a": 1, "a": 2}', b"[" * 100_000, b"9" * 10_000],
    ids=["empty", "list", "null", "cut off", "not UTF-8", "NaN", "fraction", "key twice", "nested", "long number"],
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveRejected):
        manifest_from_json(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)
PATHS = [
    (key, *inner)
    for key, value in json.loads(manifest_to_json(MANIFEST)).items()
    for inner in ([()] + ([(name,) for name in value] if isinstance(value, dict) else []))
]


@given(path=st.sampled_from(PATHS), value=json_values)
def test_any_value_in_any_field_is_read_as_the_same_manifest_or_refused(path: tuple[str, ...], value: Any) -> None:
    def change(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    data = with_change(change)
    try:
        manifest = manifest_from_json(data)
    except ArchiveRejected:
        return
    assert json.loads(manifest_to_json(manifest)) == json.loads(data)


def test_signature_of_the_first_key_is_valid(settings: Settings) -> None:
    settings.BACKUPS_SIGNING_KEYS = ["new", "old"]
    assert signature_state(b"data", sign(b"data")) == "valid"
    first = sign(b"data")
    settings.BACKUPS_SIGNING_KEYS = ["new"]
    assert sign(b"data") == first


def test_signature_of_a_later_key_is_valid(settings: Settings) -> None:
    settings.BACKUPS_SIGNING_KEYS = ["old"]
    signature = sign(b"data")
    settings.BACKUPS_SIGNING_KEYS = ["new", "old"]
    assert signature_state(b"data", signature) == "valid"


def test_signature_of_another_key_is_unknown(settings: Settings) -> None:
    settings.BACKUPS_SIGNING_KEYS = ["theirs"]
    signature = sign(b"data")
    settings.BACKUPS_SIGNING_KEYS = ["ours"]
    assert signature_state(b"data", signature) == "unknown key"


def test_no_signature_is_missing() -> None:
    assert signature_state(b"data", None) == "missing"


def test_default_key_follows_the_secret_key_and_its_fallbacks(settings: Settings) -> None:
    settings.BACKUPS_SIGNING_KEYS = []
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "first", []
    signature = sign(b"data")
    assert b"first" not in signature
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]
    assert signature_state(b"data", signature) == "valid"
    settings.SECRET_KEY_FALLBACKS = []
    assert signature_state(b"data", signature) == "unknown key"


def test_changed_data_under_a_known_key_is_refused() -> None:
    with pytest.raises(ArchiveRejected, match="edited or damaged"):
        signature_state(b"Data", sign(b"data"))


@pytest.mark.parametrize("signature", [b"", b"\n", b"hmac-sha256 0 0\n", b"hmac-md5 " + b"0" * 16 + b" " + b"0" * 64 + b"\n"])
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(ArchiveRejected, match="not a signature"):
        signature_state(b"data", signature)
    with pytest.raises(ArchiveRejected, match="not a signature"):
        signature_state(b"data", sign(b"data") + b"x")
