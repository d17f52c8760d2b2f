"""Which variant fits the backend that ``STORAGES["backups"]`` names."""

from __future__ import annotations

import sys
from pathlib import Path

from django.core.files.storage import FileSystemStorage, Storage, storages

from backups.storage.base import ArchiveStore
from backups.storage.local import LocalStore
from backups.storage.other import OtherStore

__all__ = ["archive_store"]


def archive_store() -> ArchiveStore:
    """The store of this site, from its settings; nothing is contacted or created yet."""
    storage = storages["backups"]
    if _is_s3(storage):
        # boto3 takes a third of a second to import: only sites that use it pay.
        from backups.storage.s3 import S3Store

        return S3Store(storage)
    # A working path() proves nothing: InMemoryStorage has one and no file behind it.
    if isinstance(storage, FileSystemStorage):
        return LocalStore(Path(storage.location))
    return OtherStore(storage)


def _is_s3(storage: Storage) -> bool:
    """Whether it is django-storages' S3 backend or a subclass; its module is loaded if so."""
    module = sys.modules.get("storages.backends.s3")
    return module is not None and isinstance(storage, module.S3Storage)
