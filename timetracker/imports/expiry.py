"""What was brought goes after a week: rows, their files, and files of no row."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.core.files.storage import default_storage
from django.utils import timezone

from timetracker.attachments import file_discard, storage_asked
from timetracker.imports.models import FOLDER, Import
from timetracker.imports.running import import_discard

__all__ = ["imports_expire"]

logger = logging.getLogger(__name__)

# How old a file without a row is at least: before that, its row may be about to be written.
_YOUNG = timedelta(hours=1)


def imports_expire() -> tuple[int, int]:
    """Delete rows that have expired, with their files, and then files in :data:`FOLDER` that no row names; return how many of each.

    After a restore there are such files: those that were brought later than the archive, whose rows are gone.
    """
    rows = 0
    for row in Import.objects.filter(expires_at__lte=timezone.now()).order_by("pk").iterator():
        import_discard(row)
        rows += 1
    return rows, _orphans_delete()


def _orphans_delete() -> int:
    try:
        _, names = default_storage.listdir(FOLDER)
    except FileNotFoundError:
        return 0
    named = {name for pair in Import.objects.values_list("file", "problems").iterator() for name in pair}
    deleted = 0
    for name in (f"{FOLDER}{name}" for name in names):
        if name not in named and _age(name) > _YOUNG:
            deleted += file_discard(name)
    return deleted


def _age(name: str) -> timedelta:
    """How long ago the file was written; nothing where the storage cannot say."""
    try:
        with storage_asked():
            return timezone.now() - default_storage.get_modified_time(name)
    except OSError as error:
        logger.warning("Nobody knows how old the file %s is, which belongs to no import: %s", name, error)
        return timedelta(0)
