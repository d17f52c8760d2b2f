"""What goes by itself: exports that have expired, and files that belong to none."""

from __future__ import annotations

import logging
import re

from django.core.files.storage import default_storage
from django.db.models import Q
from django.utils import timezone

from timetracker.attachments import file_discard
from timetracker.exports.asking import export_delete
from timetracker.exports.models import FOLDER, Export

__all__ = ["GONE", "exports_sweep"]

logger = logging.getLogger(__name__)

GONE = "The file is not there any more, most likely since a restore. Ask for it again."
# What the files are called; anything else there is not ours to delete.
_NAME = re.compile(r"\A([0-9a-f]{32})(?:_\w+)?\.zip\Z")


def exports_sweep() -> tuple[int, int]:
    """Delete what has expired, files that belong to no export, and say of rows without a file that it is gone.

    Returns how many files without a row there were, and how many rows without a file.
    """
    for export in Export.objects.filter(expires_at__lte=timezone.now()).exclude(state=Export.State.MAKING):
        export_delete(export)
    # Files first: a row is there before its file is.
    there = _files()
    rows = {export.stored_name: export for export in Export.objects.all()}
    alone = [name for name in there if name not in rows or rows[name].state in (Export.State.QUEUED, Export.State.FAILED)]
    for name in alone:
        logger.info("The file %s belongs to no export, and is deleted.", name)
        file_discard(name)
    lost = [
        export.pk
        for name, export in rows.items()
        if export.state == Export.State.READY and name not in there and not default_storage.exists(name)
    ]
    still = Q(pk__in=lost, state=Export.State.READY)
    return len(alone), Export.objects.filter(still).update(state=Export.State.FAILED, reason=GONE, size=0)


def _files() -> set[str]:
    """The names of all exports in the storage."""
    try:
        _, names = default_storage.listdir(FOLDER)
    except FileNotFoundError:
        return set()
    return {f"{FOLDER}/{name}" for name in names if _NAME.match(name)}
