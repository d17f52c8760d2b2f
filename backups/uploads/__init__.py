"""``MEDIA_ROOT`` as one tree of files: listed for an archive, staged beside the live one, switched by names, and undone.

In the order of a restore: :func:`uploads_plan` (into the journal), :func:`uploads_staging`, the archive's files into ``new/``,
:func:`uploads_ready`, for mode ``merge`` :func:`uploads_merge` and :func:`uploads_top_up`, then
:func:`uploads_sync`, :func:`uploads_foresee` (and the journal's save) and :func:`uploads_switch`.
What other programs wrote between the last look and the switch follows by :func:`uploads_catch_up`.
:func:`uploads_settle` finishes or undoes that after a crash at any instant. What was displaced stays in the staging folder:
:func:`uploads_kept` describes it and :func:`uploads_adopt_kept` makes it the staged tree of an undo.
"""

from backups.uploads.discard import uploads_discard, uploads_sweep
from backups.uploads.kept import kept_size, uploads_adopt_kept, uploads_kept, uploads_kept_discard
from backups.uploads.staging import (
    Added,
    uploads_catch_up,
    uploads_merge,
    uploads_plan,
    uploads_ready,
    uploads_staging,
    uploads_sync,
    uploads_top_up,
)
from backups.uploads.switch import uploads_foresee, uploads_settle, uploads_switch, uploads_unswitch
from backups.uploads.tree import UploadFile, UploadsDifference, printable, uploads_compare, uploads_list, uploads_root

__all__ = [
    "Added",
    "UploadFile",
    "UploadsDifference",
    "kept_size",
    "printable",
    "uploads_adopt_kept",
    "uploads_catch_up",
    "uploads_compare",
    "uploads_discard",
    "uploads_foresee",
    "uploads_kept",
    "uploads_kept_discard",
    "uploads_list",
    "uploads_merge",
    "uploads_plan",
    "uploads_ready",
    "uploads_root",
    "uploads_settle",
    "uploads_staging",
    "uploads_sweep",
    "uploads_switch",
    "uploads_sync",
    "uploads_top_up",
    "uploads_unswitch",
]
