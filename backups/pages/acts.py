"""What people do on pages is written down before it happens: in the audit file, and in the admin's log."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest

from backups.audit import audit_record
from backups.links import progress_link
from backups.models import Backup
from backups.pages.place import Place, account_of
from backups.views import address_of

__all__ = ["act_audit", "act_record", "asker", "own_progress"]

# The admin knows three kinds of acts, and has an icon for each.
FLAGS: Mapping[str, int] = {"create": ADDITION, "upload": ADDITION, "delete": DELETION}


def asker(request: HttpRequest) -> str:
    """The name of who asks: what operations and rows keep as ``requested_by``."""
    return account_of(request).get_username()


def act_record(request: HttpRequest, action: str, *, archive: str = "", operation: str = "", detail: str = "") -> None:
    """Write down that the asking user is about to do ``action``: one word, such as create, download, restore or pin.

    To be called BEFORE the act. Raises :class:`~backups.exceptions.AuditUnwritable`: then the act MUST NOT happen. The entry in
    the admin's log stands at the archive's row, where there is one.
    """
    act_audit(request, action, archive=archive, operation=operation, detail=detail)
    row = Backup.objects.filter(name=archive).first() if archive else None
    about = ": ".join(filter(None, [action.capitalize(), detail]))
    LogEntry.objects.create(
        user_id=account_of(request).pk,
        content_type=ContentType.objects.get_for_model(Backup),
        object_id=str(row.pk) if row else None,
        object_repr=(archive or f"operation {operation[:8]}" if archive or operation else "backups")[:200],
        action_flag=FLAGS.get(action, CHANGE),
        # PostgreSQL takes no NUL, and the name of a file may come with one.
        change_message=about.replace("\0", ""),
    )


def act_audit(request: HttpRequest, action: str, *, archive: str = "", operation: str = "", detail: str = "") -> None:
    """The same in the audit file alone, for what Django's admin puts into its log by itself (schedules)."""
    audit_record(action, who=asker(request), address=address_of(request), archive=archive, operation=operation, detail=detail)


def own_progress(request: HttpRequest, operation: str, place: Place) -> str:
    """The path of the page that shows how ``operation`` goes, from which whoever asks now can cancel it, in their own name."""
    return progress_link(operation, may_cancel=True, account=asker(request), place=place.name)
