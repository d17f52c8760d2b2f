"""The store: where archives live. :func:`archive_store` gives it, over whatever ``STORAGES["backups"]`` names.

Services ask for :func:`archive_store` and know no more than :class:`ArchiveStore`. Three variants exist: a folder
(:mod:`~backups.storage.local`), an S3 bucket (:mod:`~backups.storage.s3`), and every other backend of Django or
django-storages (:mod:`~backups.storage.other`). :func:`publish` puts one finished file under its name, for a
destination that is no store.
"""

from backups.exceptions import NameTaken
from backups.storage.base import ArchiveStore, StoredArchive, is_archive_name
from backups.storage.choose import archive_store
from backups.storage.local import publish

__all__ = ["ArchiveStore", "NameTaken", "StoredArchive", "archive_store", "is_archive_name", "publish"]
