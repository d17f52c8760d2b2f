"""What ends an import. Each message is for the person who imports: what is wrong, in which line where there is one, and what to do."""

from __future__ import annotations

__all__ = ["CHANGED", "FileRefused", "ImportOvertaken", "ImportStopped", "Unfit"]

CHANGED = "Something has changed since the file was checked, so nothing was imported. Check it again."


class ImportStopped(Exception):
    """Nothing was imported; the import can be begun again."""


class FileRefused(ImportStopped):
    """The file as a whole cannot be read."""


class ImportOvertaken(Exception):
    """The import was cancelled, or begun again by another worker: what this one has written is taken back, and nothing is told."""


class Unfit(ValueError):
    """A value that a row cannot have."""
