"""What goes into the site and out of it as a whole: files that are brought in, exports, and the restore from a full archive."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.models import User
from timetracker.exports.access import EVERYTHING
from timetracker.imports.fields import fields_for
from timetracker.imports.models import Import
from timetracker.imports.pages.forms import UploadForm
from timetracker.imports.permissions import kinds_for

__all__ = ["import_export", "leads_somewhere"]

_RESTORE = "backups.restore_backup"
# The latest of her files.
_SHOWN = 50


@require_safe
@team_page()
def import_export(request: TeamRequest) -> HttpResponse:
    """``/import-export/``: a section for each thing that she may do. Where restores by pages are switched off, it says so."""
    if not leads_somewhere(request.user):
        raise PermissionDenied(f"{request.user.get_username()} may neither import, export nor restore.")
    kinds = kinds_for(request.user)
    context = {
        "active": "import-export",
        "kinds": kinds,
        "form": UploadForm(user=request.user),
        "column_names": [
            (kind.label, [field.label for field in fields_for(kind, request.user)]) for kind in kinds if kind != Import.Kind.DATA
        ],
        "imports": Import.objects.filter(by=request.user, expires_at__gt=timezone.now())[:_SHOWN] if kinds else [],
        "shows_restore": request.user.has_perm(_RESTORE),
        "may_restore": getattr(settings, "BACKUPS_ALLOW_WEB_RESTORE", True),
    }
    return render(request, "import_export.html", context)


def leads_somewhere(user: User | AnonymousUser) -> bool:
    """Whether there is anything on the page for her."""
    return isinstance(user, User) and (bool(kinds_for(user)) or user.has_perm(EVERYTHING) or user.has_perm(_RESTORE))
