"""``manifest.json``: what an archive says of itself."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from backups.exceptions import ArchiveRejected
from backups.json_window import JsonWindow, Pieces
from backups.members import Member, Members, by_path, gathered
from backups.signature import Signature, sign, signature_state

__all__ = [
    "FORMAT",
    "LARGEST_COUNT",
    "DatabaseInfo",
    "Manifest",
    "Member",
    "Signature",
    "UploadsInfo",
    "manifest_digest",
    "manifest_from_json",
    "manifest_pieces",
    "manifest_to_json",
    "sign",
    "signature_state",
    "text_accepted",
]

FORMAT = "timetracker-backup/1"

# The dump's member and its format, per vendor.
DUMPS = {"postgresql": ("db.dump", "pg_dump-custom"), "sqlite": ("db.sqlite", "sqlite3")}
# Exactly these keys make the manifest of the Flask application's archives.
FLASK_KEYS = {"alembic_revision", "app_version", "created_at", "db_type"}
LARGEST_COUNT = 2**63 - 1
# The end of the one after it is no time at all any more by a clock further east.
LAST_YEAR = 9998
# What would write to a person's terminal more than text, and halves of UTF-16 pairs, which are no text at all.
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class DatabaseInfo:
    """The database that was dumped.

    ``vendor`` is Django's ``connection.vendor``; ``member`` is the archive's member with the dump; ``dump_format`` is
    ``pg_dump-custom`` or ``sqlite3``; ``size`` is the live database's size in bytes. ``extensions`` maps name to version.
    """

    vendor: str
    member: str
    dump_format: str
    server_version: str
    client_version: str
    size: int
    encoding: str
    extensions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UploadsInfo:
    """The uploads: whether they are in, how many files, bytes, and files that rows name but that do not exist.

    ``missing`` is raw text from the database: escape it before showing it.
    """

    included: bool
    count: int = 0
    bytes: int = 0
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """Format 1. ``rows`` is exact for the dump's own snapshot (table to count); ``migrations`` maps app to the applied names.

    ``members`` are all entries of the archive but ``manifest.json``, ``manifest.sig`` and ``SHA256SUMS``: packed where there may be many.
    """

    id: str
    created_at: datetime
    app_version: str
    trigger: str
    note: str
    pinned: bool
    database: DatabaseInfo
    migrations: dict[str, list[str]]
    rows: dict[str, int]
    uploads: UploadsInfo
    members: Sequence[Member]
    format: str = FORMAT


_MANIFEST_KEYS, _DATABASE_KEYS, _UPLOADS_KEYS, _MEMBER_KEYS = (
    frozenset(item.name for item in fields(shape)) for shape in (Manifest, DatabaseInfo, UploadsInfo, Member)
)


def manifest_to_json(manifest: Manifest) -> bytes:
    """Write a manifest as ``manifest.json``: UTF-8, indented, sorted keys, members sorted by path.

    The same manifest gives the same bytes always. Raises ValueError for a time without a zone and for text that is
    not Unicode (file names in another encoding).
    """
    return b"".join(manifest_pieces(manifest))


def manifest_pieces(manifest: Manifest) -> Iterator[bytes]:
    """What :func:`manifest_to_json` writes, in pieces."""
    if manifest.created_at.tzinfo is None:
        raise ValueError("Manifest.created_at must be aware.")
    data = asdict(replace(manifest, members=()))
    data["created_at"] = manifest.created_at.astimezone(UTC).isoformat()
    text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False)
    # Within a string of JSON no line ends, so this is the key of the object itself.
    head, empty, tail = text.partition('\n "members": []')
    yield head.encode()
    if manifest.members:
        yield from gathered(_members_to_json(manifest.members))
    else:
        yield empty.encode()
    yield f"{tail}\n".encode()


def _members_to_json(members: Sequence[Member]) -> Iterator[str]:
    """As ``json.dumps`` would write them: that one takes four times the time, and for 300,000 members 400 MB of memory."""
    quoted = json.JSONEncoder(ensure_ascii=False).encode
    before = '\n "members": ['
    for member in by_path(members):
        path, sha256 = quoted(member.path), quoted(member.sha256)
        yield f'{before}\n  {{\n   "path": {path},\n   "sha256": {sha256},\n   "size": {member.size}\n  }}'
        before = ","
    yield "\n ]"


def manifest_digest(manifest: Manifest) -> str:
    """SHA-256 (hex) over :func:`manifest_to_json`: two archives with the same one hold the same bytes in every member."""
    digest = hashlib.sha256()
    for piece in manifest_pieces(manifest):
        digest.update(piece)
    return digest.hexdigest()


def manifest_from_json(data: bytes | Pieces) -> Manifest:
    """Read ``manifest.json`` (whole or in pieces) as hostile input: every field's type and range is checked, and that the parts agree.

    Raises :class:`~backups.exceptions.ArchiveRejected`: not JSON, another format (named), the Flask application's
    manifest (said so), a field that is missing, unknown or out of range.
    """
    content = _parse([data] if isinstance(data, bytes) else data)
    if content.keys() == FLASK_KEYS:
        raise ArchiveRejected(
            f"this is an archive of the Flask TimeTracker (revision {content['alembic_revision']!a:.40}, "
            f"made {content['created_at']!a:.40}), not of this application; its format cannot be read here"
        )
    if content.get("format") != FORMAT:
        found = f"format {content['format']!r:.80}" if "format" in content else "no format at all"
        raise ArchiveRejected(f"manifest.json names {found}; this version reads {FORMAT!r}")
    top = _Fields(content, "", _MANIFEST_KEYS)
    manifest = Manifest(
        id=top.text("id", _ID),
        created_at=_time(top.text("created_at")),
        app_version=top.text("app_version"),
        trigger=top.text("trigger"),
        note=top.text("note"),
        pinned=top.flag("pinned"),
        database=_database(top.mapping("database")),
        migrations={app: _texts(names, f"migrations.{app}") for app, names in top.mapping("migrations").items()},
        rows={table: _count(number, f"rows.{table}") for table, number in top.mapping("rows").items()},
        uploads=_uploads(top.mapping("uploads")),
        members=top.members(),
    )
    _check_agreement(manifest)
    return manifest


def _parse(data: Pieces) -> dict[str, Any]:
    """Parse one JSON object to the text's end; keys that come twice, NaN and what is nested too deeply are refused."""
    window = JsonWindow(data)
    content: dict[str, Any] = {}
    try:
        window.take("{")
        mark = window.take("}") if window.next() == "}" else ","
        while mark == ",":
            key = window.value() if window.next() == '"' else window.take('"')
            if key in content:
                raise ValueError("a key comes twice in one object")
            window.take(":")
            content[key] = _parse_members(window) if key == "members" and window.next() == "[" else window.value()
            mark = window.take(",}")
        window.end()
    except (ValueError, RecursionError) as error:
        raise ArchiveRejected(f"manifest.json is not valid JSON: {error!s:.200}") from error
    return content


def _parse_members(window: JsonWindow) -> Members | ArchiveRejected:
    """The list of members, or what is wrong with the first that is none: the format, which may follow, is judged before."""
    members = Members()
    fault: ArchiveRejected | None = None
    window.take("[")
    mark = window.take("]") if window.next() == "]" else ","
    while mark == ",":
        item = window.value()
        try:
            members.append(_member(item))
        except ArchiveRejected as error:
            fault = fault or error
        mark = window.take(",]")
    return fault or members


def _wrong(where: str, wanted: str) -> ArchiveRejected:
    return ArchiveRejected(f"manifest.json: {where:.200} must be {wanted}")


class _Fields:
    """One object of the manifest, with exactly the keys of ``shape``; each method checks the type of what it returns."""

    def __init__(self, content: object, where: str, shape: frozenset[str]) -> None:
        self.where = f"{where}." if where else ""
        if not isinstance(content, dict):
            raise _wrong(where, "a list of objects")
        for key in sorted(shape ^ content.keys()):
            problem = "is missing" if key in shape else "is unknown to this version"
            raise ArchiveRejected(f"manifest.json: {self.where}{key!r:.100} {problem}")
        self.content: dict[str, Any] = content

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        return _text(self.content[key], self.where + key, pattern)

    def count(self, key: str) -> int:
        return _count(self.content[key], self.where + key)

    def flag(self, key: str) -> bool:
        value = self.content[key]
        if not isinstance(value, bool):
            raise _wrong(self.where + key, "true or false")
        return value

    def items(self, key: str) -> list[Any]:
        value = self.content[key]
        if not isinstance(value, list):
            raise _wrong(self.where + key, "a list")
        return value

    def members(self) -> Members:
        value = self.content["members"]
        if isinstance(value, ArchiveRejected):
            raise value
        if not isinstance(value, Members):
            raise _wrong("members", "a list")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.content[key]
        if not isinstance(value, dict):
            raise _wrong(self.where + key, "an object")
        for name in value:
            _text(name, f"a key of {self.where}{key}")
        return value


def text_accepted(text: str) -> str:
    """What a manifest takes of a text that somebody has typed: all of it, with one kind of line end, and U+FFFD for what is no text."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def _text(value: object, where: str, pattern: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or _FORBIDDEN.search(value):
        raise _wrong(where, "text without control characters")
    if pattern is not None and pattern.fullmatch(value) is None:
        raise _wrong(where, f"text of the form {pattern.pattern}")
    return value


def _texts(value: object, where: str) -> list[str]:
    if not isinstance(value, list):
        raise _wrong(where, "a list of texts")
    return [_text(item, where) for item in value]


def _count(value: object, where: str) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST_COUNT:
        raise _wrong(where, "a whole number from 0 to 2^63-1")
    return value


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _wrong("created_at", "a time in ISO 8601") from error
    if moment.utcoffset() != timedelta(0):
        raise _wrong("created_at", "a time in UTC")
    if not 1970 <= moment.year <= LAST_YEAR:
        raise _wrong("created_at", f"a time from 1970 to {LAST_YEAR}")
    return moment


def _database(content: dict[str, Any]) -> DatabaseInfo:
    found = _Fields(content, "database", _DATABASE_KEYS)
    info = DatabaseInfo(
        vendor=found.text("vendor"),
        member=found.text("member"),
        dump_format=found.text("dump_format"),
        server_version=found.text("server_version"),
        client_version=found.text("client_version"),
        size=found.count("size"),
        encoding=found.text("encoding"),
        extensions={name: _text(version, f"database.extensions.{name}") for name, version in found.mapping("extensions").items()},
    )
    if info.vendor not in DUMPS:
        raise _wrong("database.vendor", " or ".join(DUMPS))
    if (info.member, info.dump_format) != DUMPS[info.vendor]:
        raise _wrong("database.member and database.dump_format", f"{' and '.join(DUMPS[info.vendor])} for {info.vendor}")
    return info


def _uploads(content: dict[str, Any]) -> UploadsInfo:
    found = _Fields(content, "uploads", _UPLOADS_KEYS)
    missing = found.items("missing")
    # Whatever a row may name, control characters too: a strange row must not make the archive unreadable.
    if any(not isinstance(name, str) or _SURROGATE.search(name) for name in missing):
        raise _wrong("uploads.missing", "a list of texts")
    return UploadsInfo(found.flag("included"), found.count("count"), found.count("bytes"), tuple(missing))


def _member(content: object) -> Member:
    found = _Fields(content, "members", _MEMBER_KEYS)
    return Member(path=found.text("path"), size=found.count("size"), sha256=found.text("sha256", _SHA256))


def _check_agreement(manifest: Manifest) -> None:
    """Refuse a manifest whose parts contradict each other."""
    members = Members.packed(manifest.members)
    known_dumps = {member.encode() for member, _ in DUMPS.values()}
    dumps = []
    count = total = 0
    previous: bytes | None = None
    for place in members.by_path():
        path = members.path(place)
        if path == previous:
            raise ArchiveRejected("manifest.json lists a member twice")
        previous = path
        if path in known_dumps:
            dumps.append(path.decode())
        elif path.startswith(b"uploads/"):
            count += 1
            total += members.size(place)
    if dumps != [manifest.database.member]:
        raise ArchiveRejected(f"manifest.json must list {manifest.database.member} and no other dump")
    if (count, total) != (manifest.uploads.count, manifest.uploads.bytes) or (count and not manifest.uploads.included):
        raise ArchiveRejected("manifest.json: uploads.count and uploads.bytes must be those of the members below uploads/")
