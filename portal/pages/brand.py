"""The portal's style sheet and logo. Both are for everybody, since the login page shows them."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from portal.branding import brand_sheet, logo_digest, sheet_digest
from timetracker.attachments import storage_asked
from timetracker.siteconf.models import SiteSettings

__all__ = ["logo", "sheet"]

logger = logging.getLogger(__name__)

_PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
_keep = cache_control(public=True, max_age=365 * 86400, immutable=True)


@require_safe
@_keep
def sheet(request: HttpRequest, colour: str, digest: str) -> HttpResponse:
    """The style sheet of a colour (six digits), without a query; 404 where the digest is not its own."""
    found = f"#{colour}"
    if digest != sheet_digest(found):
        raise Http404("This is no style sheet of the portal.")
    return HttpResponse(brand_sheet(found), content_type="text/css; charset=utf-8", headers={"X-Content-Type-Options": "nosniff"})


@require_safe
@_keep
def logo(request: HttpRequest, digest: str) -> FileResponse:
    """The company's logo, as a picture and nothing else; 404 where there is none, or another one."""
    site = SiteSettings.load()
    kind = _PICTURES.get(PurePosixPath(site.logo.name or "").suffix.lower())
    if not kind or digest != logo_digest(site):
        raise Http404("There is no such logo.")
    try:
        with storage_asked():
            content = site.logo.open("rb")
    except OSError as error:
        logger.error("The logo cannot be read: %s", error)
        raise Http404("The logo is missing.") from error
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
    return FileResponse(content, content_type=kind, headers=headers)
