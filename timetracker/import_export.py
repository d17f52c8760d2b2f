"""What goes into the site and out of it as a whole: for now, the restore from a full archive."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import permission_required, user_passes_test
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

__all__ = ["import_export"]


@never_cache
@require_safe
@user_passes_test(lambda user: user.is_active and user.is_staff, login_url="admin:login")
@permission_required("backups.restore_backup", raise_exception=True)
def import_export(request: HttpRequest) -> HttpResponse:
    """``/import-export/``: for staff who may restore. Where restores by pages are switched off, it says so and leads nowhere."""
    return render(request, "import_export.html", {"may_restore": getattr(settings, "BACKUPS_ALLOW_WEB_RESTORE", True)})
