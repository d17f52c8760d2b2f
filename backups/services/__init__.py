"""One verb, one module: create, restore, undo, recover, verify, preview, status.

Every service takes keywords only, returns a dataclass and raises :class:`~backups.exceptions.BackupError`. Commands,
pages and tasks call these and nothing below them.
"""
