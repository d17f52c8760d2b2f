"""The admin of the backups app: one module per model. Django imports this package by itself; nobody else needs its names.

Pages that are more than a list or a form of one model stand in :mod:`backups.pages`; :class:`BackupAdmin` mounts them.
"""

from backups.admin.backups import BackupAdmin
from backups.admin.operations import OperationAdmin
from backups.admin.schedules import BackupScheduleAdmin

__all__ = ["BackupAdmin", "BackupScheduleAdmin", "OperationAdmin"]
