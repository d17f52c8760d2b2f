"""The archive, format 1: everything that other modules use of it.

:class:`ArchiveWriter` makes one, :class:`MemberSpool` compresses the dump beside it, :class:`ArchiveReader` checks and unpacks
one as hostile input. The bytes themselves are described in :mod:`backups.archive_layout`.
"""

from backups.archive_layout import ARCHIVE_NAME, BATCH, archive_name, check_member_name
from backups.archive_reader import ArchiveReader, Part
from backups.archive_spool import MemberSpool
from backups.archive_writer import ArchiveWriter

__all__ = ["ARCHIVE_NAME", "BATCH", "ArchiveReader", "ArchiveWriter", "MemberSpool", "Part", "archive_name", "check_member_name"]
