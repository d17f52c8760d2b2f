"""Hostile archives, each made from a good one and wrong in one way: for the reader's tests and for whole commands.

>>> for case in HOSTILE.values():
...     path.write_bytes(case.build(Forgery.of(good)))

A :class:`Forgery` is a good archive taken apart. :meth:`Forgery.sealed` puts it together as its makers would: a manifest that
lists the members as they now are, its signature with this site's key, checksums, a ZIP. So what refuses a case is the check
that it aims at, and no other before it.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backups.archive import ArchiveWriter
from backups.manifest import DatabaseInfo, Manifest, UploadsInfo, sign

__all__ = ["HOSTILE", "Case", "Forgery", "Piece", "damaged_in", "make_archive", "zip_of"]

LOCAL = struct.Struct("<4sHHHHHLLLHH")
CENTRAL = struct.Struct("<4sHHHHHHLLLHHHHHLL")
END = struct.Struct("<4sHHHHLLH")
MADE_FROM_OTHERS = ("manifest.json", "manifest.sig", "SHA256SUMS")
REGULAR = (stat.S_IFREG | 0o600) << 16
ZEROS = 4 * 1024 * 1024


def make_archive(
    path: Path,
    *,
    database: bytes = b"SQLite format 3\x00 and so on",
    uploads: dict[str, bytes] | None = None,
    settings: bytes = b'{"company": "Example"}\n',
    info: DatabaseInfo | None = None,
    note: str = "",
) -> Manifest:
    """Write a good, signed archive with these contents to ``path``."""
    created_at = datetime(2025, 3, 4, 5, 6, 8, tzinfo=UTC)
    info = info or DatabaseInfo("sqlite", "db.sqlite", "sqlite3", "3.40.1", "3.40.1", len(database), "UTF-8")
    files = uploads or {}
    with ArchiveWriter(path, created_at=created_at) as writer:
        for name, content in files.items():
            writer.add_bytes(f"uploads/{name}", content)
        writer.add_bytes(info.member, database)
        writer.add_bytes("settings.json", settings)
        writer.add_bytes("RESTORE.txt", b"By hand.\n")
        manifest = Manifest(
            id="0123456789abcdef" * 2,
            created_at=created_at,
            app_version="1.0",
            trigger="manual",
            note=note,
            pinned=False,
            database=info,
            migrations={"tracking": ["0001_initial"]},
            rows={"tracking_timeentry": 3},
            uploads=UploadsInfo(True, len(files), sum(map(len, files.values()))),
            members=tuple(writer.members),
        )
        writer.finish(manifest)
    return manifest


def deflate(data: bytes) -> bytes:
    """A whole raw deflate stream."""
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    return deflater.compress(data) + deflater.flush()


def damaged_in(archive: Path, member: str) -> bytes:
    """A good archive with one bit of one member's bytes changed, in their middle."""
    with zipfile.ZipFile(archive) as opened:
        found = opened.getinfo(member)
    data = bytearray(archive.read_bytes())
    *_, name, extra = LOCAL.unpack_from(data, found.header_offset)
    data[found.header_offset + LOCAL.size + name + extra + found.compress_size // 2] ^= 1
    return bytes(data)


@dataclass
class Piece:
    """One member to be. ``packed`` is what lies in the file (default: deflated ``data``); ``local`` and ``central`` replace
    fields of the two headers by name, so that each can lie for itself. ``entry_only`` makes a second directory record for the
    bytes of the piece before it."""

    name: str
    data: bytes
    method: int = 8
    packed: bytes | None = None
    local: dict[str, Any] = field(default_factory=dict)
    central: dict[str, Any] = field(default_factory=dict)
    gap: bytes = b""
    entry_only: bool = False

    def __post_init__(self) -> None:
        """Deflate, unless the packed bytes are given."""
        if self.packed is None:
            self.packed = deflate(self.data) if self.method == 8 else self.data

    @property
    def fields(self) -> dict[str, Any]:
        """The headers' fields as an honest writer would set them."""
        return {
            "needed": 20,
            "flags": 0x0800,
            "method": self.method,
            "time": 0x28C4,
            "date": 0x5A64,
            "crc": zlib.crc32(self.data),
            "compressed_size": len(self.packed or b""),
            "size": len(self.data),
            "name": self.name.encode("utf-8", "surrogateescape"),
            "extra": b"",
        }


def _local_header(piece: Piece) -> bytes:
    f = piece.fields | piece.local
    fixed = (f["needed"], f["flags"], f["method"], f["time"], f["date"], f["crc"], f["compressed_size"], f["size"])
    return LOCAL.pack(b"PK\x03\x04", *fixed, len(f["name"]), len(f["extra"])) + bytes(f["name"]) + bytes(f["extra"])


def _central_record(piece: Piece, offset: int) -> bytes:
    f = piece.fields | {"made_by": 0x0314, "comment": b"", "disk": 0, "internal": 0, "external": REGULAR, "offset": offset}
    f |= piece.central
    fixed = (f["made_by"], f["needed"], f["flags"], f["method"], f["time"], f["date"], f["crc"], f["compressed_size"], f["size"])
    lengths = (len(f["name"]), len(f["extra"]), len(f["comment"]))
    record = CENTRAL.pack(b"PK\x01\x02", *fixed, *lengths, f["disk"], f["internal"], f["external"], f["offset"])
    return record + bytes(f["name"]) + bytes(f["extra"]) + bytes(f["comment"])


def zip_of(pieces: list[Piece], *, before_directory: bytes = b"", before_end: bytes = b"", comment: bytes = b"", **end: int) -> bytes:
    """Put a ZIP together. ``end`` replaces fields of the end record: count_here, count, size, start, disk."""
    body, directory = bytearray(), bytearray()
    offset = 0
    for piece in pieces:
        if not piece.entry_only:
            body += piece.gap
            offset = len(body)
            body += _local_header(piece) + (piece.packed or b"")
        directory += _central_record(piece, offset)
    body += before_directory
    f = {"disk": 0, "count_here": len(pieces), "count": len(pieces), "size": len(directory), "start": len(body)} | end
    record = END.pack(b"PK\x05\x06", f["disk"], 0, f["count_here"], f["count"], f["size"], f["start"], len(comment))
    return bytes(body + directory) + before_end + record + comment


@dataclass
class Forgery:
    """A good archive taken apart: its members without the three that are made from the others, and its manifest."""

    pieces: list[Piece]
    manifest: dict[str, Any]

    @classmethod
    def of(cls, archive: Path) -> Forgery:
        """Take a good archive apart (small ones: everything is held in memory)."""
        with zipfile.ZipFile(archive) as opened:
            pieces = [Piece(info.filename, opened.read(info)) for info in opened.infolist() if info.filename not in MADE_FROM_OTHERS]
            return cls(pieces, json.loads(opened.read("manifest.json")))

    def piece(self, name: str) -> Piece:
        """The member ``name``."""
        return next(piece for piece in self.pieces if piece.name == name)

    @property
    def upload(self) -> Piece:
        """The first upload; a good archive to forge must have one."""
        return next(piece for piece in self.pieces if piece.name.startswith("uploads/"))

    @property
    def dump(self) -> Piece:
        """The dump."""
        return self.piece(self.manifest["database"]["member"])

    def honest_manifest(self) -> dict[str, Any]:
        """The manifest with the members and the uploads as they now are."""
        members = [
            {"path": piece.name, "size": piece.fields["size"], "sha256": hashlib.sha256(piece.data).hexdigest()} for piece in self.pieces
        ]
        sizes = [piece.fields["size"] for piece in self.pieces if piece.name.startswith("uploads/")]
        uploads = self.manifest["uploads"] | {"included": True, "count": len(sizes), "bytes": sum(sizes)}
        return self.manifest | {"members": members, "uploads": uploads}

    def made_pieces(
        self, manifest: dict[str, Any] | bytes | None = None, *, signature: bytes | None = None, sums: bytes | None = None
    ) -> list[Piece]:
        """Manifest, signature and checksums as members; each can be given instead of made. An empty one is left out."""
        content = self.honest_manifest() if manifest is None else manifest
        data = content if isinstance(content, bytes) else json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode()
        if sums is None:
            listed = content.get("members", []) if isinstance(content, dict) else []
            digests = {member["path"]: member["sha256"] for member in listed} | {"manifest.json": hashlib.sha256(data).hexdigest()}
            sums = "".join(f"{digests[path]}  {path}\n" for path in sorted(digests)).encode("utf-8", "surrogateescape")
        made = [
            Piece("manifest.json", data),
            Piece("manifest.sig", sign(data) if signature is None else signature),
            Piece("SHA256SUMS", sums),
        ]
        return [piece for piece in made if piece.data]

    def sealed(self, manifest: dict[str, Any] | bytes | None = None, **made: bytes | None) -> bytes:
        """The whole archive; arguments as for :meth:`made_pieces`."""
        return zip_of(self.pieces + self.made_pieces(manifest, **made))


@dataclass(frozen=True)
class Case:
    """One way to be wrong: ``build`` makes the bytes, ``message`` is a part of what the refusal must say."""

    build: Callable[[Forgery], bytes]
    message: str


HOSTILE: dict[str, Case] = {}


def _hostile(message: str) -> Callable[[Callable[[Forgery], bytes]], Callable[[Forgery], bytes]]:
    def register(build: Callable[[Forgery], bytes]) -> Callable[[Forgery], bytes]:
        HOSTILE[build.__name__] = Case(build, message)
        return build

    return register


# --- the file as a whole ---------------------------------------------------------------------------------------------------


@_hostile("it is empty")
def empty(_: Forgery) -> bytes:
    return b""


@_hostile("it is not a ZIP archive")
def not_a_zip(_: Forgery) -> bytes:
    return b"Dear customer, your download link has expired.\n" * 40


@_hostile("it is truncated")
def cut_in_its_first_bytes(good: Forgery) -> bytes:
    return good.sealed()[:11]


@_hostile("its end record is not where it must be")
def cut_in_half(good: Forgery) -> bytes:
    data = good.sealed()
    return data[: len(data) // 2]


@_hostile("its end record is not where it must be")
def cut_by_one_byte(good: Forgery) -> bytes:
    return good.sealed()[:-1]


@_hostile("do not fit together")
def bytes_before(good: Forgery) -> bytes:
    return b"#!/bin/sh\n" + good.sealed()


@_hostile("its end record is not where it must be")
def bytes_after(good: Forgery) -> bytes:
    return good.sealed() + b"\n"


@_hostile("its end record is not where it must be")
def comment(good: Forgery) -> bytes:
    return zip_of(good.pieces + good.made_pieces(), comment=b"hello")


@_hostile("do not fit together")
def two_archives_in_one_file(good: Forgery) -> bytes:
    return good.sealed() * 2


@_hostile("belong to none")
def two_central_directories(good: Forgery) -> bytes:
    everything = good.pieces + good.made_pieces()
    other = b"".join(_central_record(piece, 0) for piece in everything)
    return zip_of(everything, before_directory=other)


@_hostile("do not fit together")
def bytes_between_directory_and_end(good: Forgery) -> bytes:
    return zip_of(good.pieces + good.made_pieces(), before_end=b"\x00" * 10)


@_hostile("bytes before its first member")
def bytes_before_with_offsets_that_know_them(good: Forgery) -> bytes:
    good.pieces[0].gap = b"\x00" * 7
    return good.sealed()


@_hostile("bytes after it belong to none")
def bytes_between_members(good: Forgery) -> bytes:
    good.pieces[1].gap = b"\x00" * 7
    return good.sealed()


@_hostile("its local header disagrees")
def gap_of_the_size_of_a_zip64_field(good: Forgery) -> bytes:
    good.pieces[1].gap = b"\x00" * 20
    return good.sealed()


@_hostile("overlaps what follows")
def two_members_of_the_same_bytes(good: Forgery) -> bytes:
    good.pieces.insert(1, Piece(good.pieces[0].name + "-again", good.pieces[0].data, entry_only=True))
    return good.sealed()


@_hostile("fewer members")
def end_record_with_more_members(good: Forgery) -> bytes:
    everything = good.pieces + good.made_pieces()
    return zip_of(everything, count=len(everything) + 1, count_here=len(everything) + 1)


@_hostile("holds more than its end record says")
def end_record_with_fewer_members(good: Forgery) -> bytes:
    everything = good.pieces + good.made_pieces()
    return zip_of(everything, count=len(everything) - 1, count_here=len(everything) - 1)


@_hostile("more than BACKUPS_MAX_MEMBERS")
def zip64_end_record_with_billions_of_members(good: Forgery) -> bytes:
    return _with_zip64_end(good, count=2**32)


@_hostile("disagree")
def zip64_end_record_that_says_otherwise(good: Forgery) -> bytes:
    return _with_zip64_end(good, start=0, size=2)


@_hostile("ZIP64 record that is not there")
def end_record_without_its_zip64_record(good: Forgery) -> bytes:
    return zip_of(good.pieces + good.made_pieces(), count=0xFFFF, count_here=0xFFFF)


@_hostile("several disks")
def split_archive(good: Forgery) -> bytes:
    return zip_of(good.pieces + good.made_pieces(), disk=1)


def _with_zip64_end(good: Forgery, **wrong: int) -> bytes:
    everything = good.pieces + good.made_pieces()
    plain = zip_of(everything)
    _, _, _, _, count, size, start, _ = END.unpack(plain[-END.size :])
    f = {"count": count, "size": size, "start": start} | wrong
    record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, f["count"], f["count"], f["size"], f["start"])
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(plain) - END.size, 1)
    short = 0xFFFF if "count" in wrong else count
    return zip_of(everything, before_end=record + locator, count=short, count_here=short)


# --- headers ---------------------------------------------------------------------------------------------------------------


@_hostile("is encrypted")
def encrypted(good: Forgery) -> bytes:
    good.upload.local["flags"] = good.upload.central["flags"] = 0x0801
    return good.sealed()


@_hostile("feature of ZIP that this format does not")
def data_descriptor(good: Forgery) -> bytes:
    good.upload.local["flags"] = good.upload.central["flags"] = 0x0808
    return good.sealed()


@_hostile("only stored and deflated")
def unknown_method(good: Forgery) -> bytes:
    good.upload.local["method"] = good.upload.central["method"] = 12
    return good.sealed()


@_hostile("stored, but with two different sizes")
def stored_with_two_sizes(good: Forgery) -> bytes:
    good.upload.local["method"] = good.upload.central["method"] = 0
    return good.sealed()


@_hostile("extra field other than")
def unicode_path_field(good: Forgery) -> bytes:
    other = b"\x01" + struct.pack("<L", zlib.crc32(good.upload.name.encode())) + b"uploads/other"
    good.upload.local["extra"] = good.upload.central["extra"] = struct.pack("<HH", 0x7075, len(other)) + other
    return good.sealed()


@_hostile("overlaps what follows")
def zip64_size_that_the_local_header_cannot_hold(good: Forgery) -> bytes:
    good.upload.central |= {"needed": 45, "size": 0xFFFFFFFF, "extra": struct.pack("<HHQ", 1, 8, 2**32)}
    good.upload.local |= {"needed": 45, "size": 0xFFFFFFFF}
    return good.sealed()


@_hostile("several disks")
def member_on_another_disk(good: Forgery) -> bytes:
    good.upload.central["disk"] = 1
    return good.sealed()


@_hostile("holds comments")
def comment_of_a_member(good: Forgery) -> bytes:
    good.upload.central["comment"] = b"x"
    return good.sealed()


@_hostile("a link, a folder or a device")
def symlink(good: Forgery) -> bytes:
    good.pieces.insert(0, Piece("uploads/link", b"/etc/passwd", central={"external": (stat.S_IFLNK | 0o777) << 16}))
    return good.sealed()


@_hostile("a link, a folder or a device")
def device(good: Forgery) -> bytes:
    good.pieces.insert(0, Piece("uploads/null", b"", central={"external": (stat.S_IFCHR | 0o666) << 16}))
    return good.sealed()


@_hostile("a link, a folder or a device")
def folder_by_its_attribute(good: Forgery) -> bytes:
    good.pieces.insert(0, Piece("uploads/folder", b"", central={"external": 0x10}))
    return good.sealed()


def _disagreeing(name: str, value: Any) -> None:
    def build(good: Forgery) -> bytes:
        good.upload.local[name] = value(good.upload) if callable(value) else value
        return good.sealed()

    HOSTILE[f"local_header_with_another_{name}"] = Case(build, "its local header disagrees")


_disagreeing("needed", 10)
_disagreeing("flags", 0)
_disagreeing("method", 0)
_disagreeing("time", 1)
_disagreeing("date", 1)
_disagreeing("crc", 1)
_disagreeing("compressed_size", 1)
_disagreeing("size", 1)
_disagreeing("name", lambda piece: b"uploads/" + b"x" * (len(piece.name.encode()) - 8))


# --- members ---------------------------------------------------------------------------------------------------------------


@_hostile("is in its manifest, but not in the archive")
def member_missing(good: Forgery) -> bytes:
    made = good.made_pieces()
    good.pieces.remove(good.upload)
    return zip_of(good.pieces + made)


@_hostile("is not in its manifest")
def member_added(good: Forgery) -> bytes:
    return zip_of([*good.pieces, Piece("uploads/added.txt", b"added"), *good.made_pieces()])


@_hostile("is there twice")
def member_twice(good: Forgery) -> bytes:
    return zip_of([*good.pieces, Piece(good.upload.name, b"another content"), *good.made_pieces()])


@_hostile("is there twice")
def member_twice_at_both_ends(good: Forgery) -> bytes:
    made = good.made_pieces()
    return zip_of([Piece(good.upload.name, b"another content"), *good.pieces, *made])


@_hostile("lists a member twice")
def manifest_that_lists_a_member_twice(good: Forgery) -> bytes:
    manifest = good.honest_manifest()
    manifest["members"].insert(0, manifest["members"][-1])
    return good.sealed(manifest)


@_hostile("is there twice")
def manifest_twice(good: Forgery) -> bytes:
    made = good.made_pieces()
    return zip_of([*good.pieces, *made, made[0]])


@_hostile("is a file and a folder at once")
def file_and_folder_at_once(good: Forgery) -> bytes:
    good.pieces += [Piece("uploads/both", b"file"), Piece("uploads/both/inner", b"inner")]
    return good.sealed()


@_hostile("is a file and a folder at once")
def file_and_folder_with_names_between_them(good: Forgery) -> bytes:
    names = ("uploads/both/inner", "uploads/both-/more", "uploads/both", "uploads/both.txt", "uploads/both.txt.old")
    good.pieces += [Piece(name, b"content") for name in names]
    return good.sealed()


@_hostile("does not match its SHA-256")
def content_exchanged(good: Forgery) -> bytes:
    upload = good.upload
    made = good.made_pieces()
    good.pieces[good.pieces.index(upload)] = Piece(upload.name, bytes(len(upload.data)))
    return zip_of(good.pieces + made)


@_hostile("does not match its CRC-32")
def wrong_crc(good: Forgery) -> bytes:
    good.upload.local["crc"] = good.upload.central["crc"] = 1
    return good.sealed()


@_hostile("bytes, in its manifest")
def size_other_than_in_the_manifest(good: Forgery) -> bytes:
    made = good.made_pieces()
    good.upload.data += b"more"
    good.upload.packed = deflate(good.upload.data)
    return zip_of(good.pieces + made)


@_hostile("holds more than its")
def bomb_that_claims_to_be_small(good: Forgery) -> bytes:
    good.pieces.append(Piece("uploads/bomb", bytes(100), packed=deflate(bytes(ZEROS))))
    return good.sealed()


@_hostile("more than BACKUPS_MAX_RATIO")
def bomb_beyond_the_ratio(good: Forgery) -> bytes:
    bomb = Piece("uploads/bomb", b"", packed=deflate(bytes(ZEROS)))
    bomb.local["size"] = bomb.central["size"] = 0xFFFFFFFE
    good.pieces.append(bomb)
    return good.sealed()


@_hostile("more than BACKUPS_MAX_BYTES")
def bomb_of_claims_beyond_the_sum(good: Forgery) -> bytes:
    for number in range(1100):
        # Each claims 2^32 bytes, with the ZIP64 fields that such a size needs.
        large = struct.pack("<HHQQ", 1, 16, 2**32, 5)
        sizes = {"needed": 45, "size": 0xFFFFFFFF, "compressed_size": 0xFFFFFFFF, "extra": large}
        good.pieces.append(Piece(f"uploads/bomb{number}", b"", packed=b"\x00" * 5, local=sizes, central=sizes))
    return good.sealed()


@_hostile("bytes instead of")
def content_shorter_than_claimed(good: Forgery) -> bytes:
    piece = Piece("uploads/short", b"claimed to be longer", packed=deflate(b"short"))
    good.pieces.append(piece)
    return good.sealed()


@_hostile("ends before its last byte")
def bytes_after_the_deflated_data(good: Forgery) -> bytes:
    good.upload.packed = deflate(good.upload.data) + b"hidden"
    return good.sealed()


@_hostile("its deflated data ends early")
def deflated_data_without_its_end(good: Forgery) -> bytes:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    good.upload.packed = deflater.compress(good.upload.data) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return good.sealed()


@_hostile("its deflated data is damaged")
def deflated_data_that_is_none(good: Forgery) -> bytes:
    good.upload.packed = b"\xff" * 40
    return good.sealed()


# --- names -----------------------------------------------------------------------------------------------------------------


def _named(case: str, name: str, message: str) -> None:
    def build(good: Forgery) -> bytes:
        good.pieces.insert(0, Piece(name, b"escaped"))
        return good.sealed()

    HOSTILE[case] = Case(build, message)


_named("traversal", "uploads/../../escaped.txt", "'..'")
_named("traversal_from_the_top", "../escaped.txt", "'..'")
_named("traversal_in_the_middle", "uploads/a/../../../escaped.txt", "'..'")
_named("traversal_at_the_end", "uploads/..", "'..'")
_named("traversal_by_backslash", "uploads\\..\\..\\escaped.txt", "holds a backslash")
_named("absolute_path", "/tmp/escaped.txt", "is an absolute path")  # noqa: S108 - a name that must be refused
_named("drive_letter", "C:/escaped.txt", "is an absolute path")
_named("name_with_an_empty_part", "uploads//escaped.txt", "holds an empty part")
_named("name_with_a_dot", "uploads/./escaped.txt", "holds an empty part")
_named("name_of_a_folder", "uploads/folder/", "holds an empty part")
_named("name_with_nul", "uploads/a\x00.txt", "control character")
_named("name_with_a_line_break", "uploads/a\nb.txt", "control character")
_named("name_with_an_escape_sequence", "uploads/\x1b[2J.txt", "control character")
_named("name_that_is_too_long", "uploads/" + "/".join(["x" * 200] * 20), "is longer than")
_named("part_that_is_too_long", "uploads/" + "x" * 256, "part longer than")
_named("name_of_the_staging_folder", "uploads/.backups-01234567/x", "reserved for staging")
_named("unknown_member_at_the_top", "install.sh", "is none that this format knows")
_named("empty_name", "", "holds an empty part")


@_hostile("name is not UTF-8")
def name_that_is_not_utf8(good: Forgery) -> bytes:
    good.upload.local["name"] = good.upload.central["name"] = b"uploads/" + b"\xff" * (len(good.upload.name.encode()) - 8)
    return good.sealed()


@_hostile("in its manifest, but not in the archive")
def manifest_that_lists_a_traversal(good: Forgery) -> bytes:
    manifest = good.honest_manifest()
    manifest["members"].append({"path": "uploads/../x", "size": 0, "sha256": hashlib.sha256().hexdigest()})
    manifest["uploads"]["count"] += 1
    return good.sealed(manifest)


# --- manifest, signature, checksums ----------------------------------------------------------------------------------------


@_hostile("has no manifest.json")
def no_manifest(good: Forgery) -> bytes:
    return zip_of(good.pieces)


@_hostile("timetracker-backup/2")
def unknown_format(good: Forgery) -> bytes:
    return good.sealed(good.honest_manifest() | {"format": "timetracker-backup/2"})


@_hostile("no format at all")
def manifest_of_something_else(good: Forgery) -> bytes:
    return good.sealed({"name": "some extension", "manifest_version": 3})


@_hostile("archive of the Flask TimeTracker")
def flask_archive(_: Forgery) -> bytes:
    manifest = {"alembic_revision": "0a1b2c3d", "app_version": "3.4.0", "created_at": "2024-05-06T07:08:09", "db_type": "sqlite"}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("db.sqlite3", b"SQLite format 3\x00")
        archive.writestr("settings.json", "{}")
        archive.writestr("manifest.json", json.dumps(manifest, indent=2))
        archive.writestr("uploads/logo.png", b"\x89PNG")
    return buffer.getvalue()


@_hostile("does not match its signature")
def manifest_edited(good: Forgery) -> bytes:
    signature = sign(good.made_pieces()[0].data)
    return good.sealed(good.honest_manifest() | {"note": "edited"}, signature=signature)


@_hostile("--trust-unsigned")
def signature_missing(good: Forgery) -> bytes:
    return good.sealed(signature=b"")


@_hostile("--trust-unsigned")
def signature_of_another_key(good: Forgery) -> bytes:
    data = good.made_pieces()[0].data
    return good.sealed(signature=b"hmac-sha256 0123456789abcdef " + hmac.new(b"other", data, "sha256").hexdigest().encode() + b"\n")


@_hostile("manifest.sig is not a signature")
def signature_that_is_none(good: Forgery) -> bytes:
    return good.sealed(signature=b"trust me\n")


@_hostile("SHA256SUMS and manifest.json disagree")
def checksums_of_other_contents(good: Forgery) -> bytes:
    sums = good.made_pieces()[2].data
    return good.sealed(sums=sums.replace(sums[:64], b"0" * 64))


@_hostile("has no SHA256SUMS")
def no_checksums(good: Forgery) -> bytes:
    return good.sealed(sums=b"")


@_hostile("not valid JSON")
def manifest_that_is_no_json(good: Forgery) -> bytes:
    return good.sealed(b"format = timetracker-backup/1\n")


@_hostile("a key comes twice")
def manifest_with_a_key_twice(good: Forgery) -> bytes:
    data = good.made_pieces()[0].data
    return good.sealed(data.rstrip()[:-1] + b', "format": "timetracker-backup/1"}')


@_hostile("not valid JSON")
def manifest_nested_without_end(good: Forgery) -> bytes:
    return good.sealed(b"[" * 200_000)


@_hostile("more than the")
def manifest_that_is_too_large(good: Forgery) -> bytes:
    return good.sealed(good.made_pieces()[0].data + b" " * (80 * 1024 * 1024))


@_hostile("and no other dump")
def two_dumps(good: Forgery) -> bytes:
    good.pieces.append(Piece("db.dump" if good.dump.name == "db.sqlite" else "db.sqlite", b"another dump"))
    return good.sealed()


@_hostile("lists a member that is made from it")
def manifest_that_lists_itself(good: Forgery) -> bytes:
    manifest = good.honest_manifest()
    manifest["members"].append({"path": "manifest.json", "size": 1, "sha256": "0" * 64})
    return good.sealed(manifest)
