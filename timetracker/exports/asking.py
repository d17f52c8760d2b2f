"""Asking for an export, and giving it up."""

from __future__ import annotations

import logging
from functools import partial

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from timetracker.accounts.models import User
from timetracker.attachments import file_discard
from timetracker.exports.access import exports_of, may_export
from timetracker.exports.models import Export
from timetracker.progress import progress_cancel

__all__ = ["export_ask", "export_delete"]

logger = logging.getLogger(__name__)


def export_ask(user: User, scope: str) -> None:
    """Ask for an export, which takes the place of her one before; the one that she waits for already is not asked for again.

    Raises PermissionDenied.
    """
    if not may_export(user, scope):
        raise PermissionDenied(f"{user.get_username()} may not export {scope}.")
    before = exports_of(user).filter(scope=scope)
    for export in before.exclude(state__in=Export.PENDING):
        export_delete(export)
    try:
        with transaction.atomic():
            export = Export.objects.create(user=user, asked_by=_name(user), scope=scope)
            transaction.on_commit(partial(_wake, export), robust=True)
    except IntegrityError:
        # She waits for one.
        return
    logger.info("%s asked for an export: %s.", user.get_username(), scope)


def export_delete(export: Export) -> None:
    """Delete row and file; one that is being made is thrown away by whoever makes it."""
    if export.is_pending:
        progress_cancel(export.token.hex)
    name = export.stored_name
    export.delete()
    # Where that cannot be, the sweep tries again.
    transaction.on_commit(partial(file_discard, name), robust=True)


def _name(user: User) -> str:
    name, username = user.get_full_name(), user.get_username()
    return (username if name == username else f"{name} ({username})")[: Export._meta.get_field("asked_by").max_length]


def _wake(export: Export) -> None:
    """Let a worker begin at once. Where none can be told, the next tick begins it."""
    from timetracker.exports.tasks import make

    try:
        make.apply_async(retry=False)
    except Exception as error:  # each broker has errors of its own
        logger.warning("No worker could be told of the export %s: %s", export.token, error)
