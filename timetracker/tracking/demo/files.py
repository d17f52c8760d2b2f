"""The way into the uploads: files that are taken back when the rows are not committed."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage

__all__ = ["DemoFiles", "remove_empty_folders"]


class DemoFiles:
    """Writes files to the default storage and remembers them: name to the SHA-256 of the content (hex)."""

    def __init__(self, storage: Storage = default_storage) -> None:
        self._storage = storage
        self.hashes: dict[str, str] = {}
        self.bytes = 0

    def save(self, name: str, content: bytes) -> str:
        """Write a file and return its name, which is another one where ``name`` is taken."""
        stored = self._storage.save(name, ContentFile(content))
        self.hashes[stored] = hashlib.sha256(content).hexdigest()
        self.bytes += len(content)
        return stored

    def discard(self) -> None:
        """Delete every file that was written."""
        for name in self.hashes:
            self._storage.delete(name)
        remove_empty_folders(self._storage, self.hashes)


def remove_empty_folders(storage: Storage, names: dict[str, str]) -> None:
    """Remove the folders of files that are gone, from the deepest up, where nothing else is in them."""
    folders = {parent for name in names for parent in PurePosixPath(name).parents if parent.name}
    for folder in sorted(folders, key=lambda path: (-len(path.parts), path)):
        if storage.exists(str(folder)) and storage.listdir(str(folder)) == ([], []):
            storage.delete(str(folder))
