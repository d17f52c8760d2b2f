"""``manifest.json``: what an archive says of itself, and the signature over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["FORMAT", "DatabaseInfo", "Manifest", "Member", "UploadsInfo"]

FORMAT = "timetracker-backup/1"


@dataclass(frozen=True)
class Member:
    """One entry of the archive: its path in the ZIP, its size in bytes (not compressed) and its SHA-256 (hex)."""

    path: str
    size: int
    sha256: str


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
    """The uploads: whether they are in, how many files, bytes, and files that rows name but that do not exist."""

    included: bool
    count: int = 0
    bytes: int = 0
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """Format 1. ``rows`` is exact for the dump's own snapshot (table to count); ``migrations`` maps app to the applied names."""

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
    members: tuple[Member, ...]
    format: str = FORMAT
