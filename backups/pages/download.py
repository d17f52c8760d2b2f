"""Downloading an archive: a page that gives a link, and the link's file, whole or in ranges.

Between the two lies no redirect: a browser that holds ``form-action`` against where a form leads would stop it.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import URLPattern
from django.views.decorators.http import require_http_methods

from backups.conf import conf
from backups.downloads import (
    LINK_SECONDS,
    DownloadLink,
    download_claim,
    download_claimed,
    download_etag,
    download_link_read,
    download_token,
)
from backups.exceptions import ArchiveNotFound, PreflightRefused
from backups.models import Backup
from backups.pages.acts import act_audit, act_record
from backups.pages.confirm import password_asked
from backups.pages.place import Place, account_of, may, page_path, way_back
from backups.preflight import size_human
from backups.ranges import BytesOf, RangeNotSatisfiable, etag_matches, range_asked
from backups.storage import archive_store

__all__ = ["urls"]


def urls(place: Place) -> list[URLPattern]:
    """The pages of this module."""
    return [
        page_path(place, "archives/<archive:archive>/download/", download, "download"),
        # The name at its end is for programs that call the file after the address.
        page_path(place, "archives/download/<str:token>/<archive:archive>", download_file, "download-file"),
    ]


# --- the page -------------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def download(request: HttpRequest, *, place: Place, archive: str) -> HttpResponse:
    """POST: the password where it is due, then a page that begins the download by itself. GET: a button that posts."""
    may(request, "download")
    if not archive_store().exists(archive):
        raise Http404(f"There is no archive {archive}.")
    title = f"Download {archive}"
    context = {**place.context(request), "title": title, "archive": archive, "size": _size_said(archive), "list": way_back(request)}
    if request.method != "POST":
        return render(request, "backups/download.html", context)
    asked = password_asked(
        request,
        place=place,
        title=title,
        sentences=(
            f"The file{context['size']} holds all data of this site, of every client, and its uploads.",
            "Keep it where you would keep those.",
        ),
        button="Download",
        back=context["list"],
    )
    if asked:
        return asked
    act_record(request, "download", archive=archive)
    token = download_token(archive, account=account_of(request).pk)
    return render(request, "backups/download.html", {**context, "file": place.url("download-file", token, archive)})


def _size_said(archive: str) -> str:
    """The size as the row knows it, in brackets; empty where there is no row."""
    size = Backup.objects.filter(name=archive).values_list("size", flat=True).first()
    return "" if size is None else f" ({size_human(size)})"


# --- the file -------------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD"])
def download_file(request: HttpRequest, *, place: Place, token: str, archive: str) -> HttpResponseBase:
    """The archive's bytes, for one download: whole or from anywhere on, and then the rest of it, behind its first byte. Else 410."""
    may(request, "download")
    link = download_link_read(token)
    if link is None:
        return _gone(request, place, archive)
    if (link.account, link.archive) != (str(account_of(request).pk), archive):
        raise Http404("This link was made for another account, or another archive.")
    store = archive_store()
    with ExitStack() as held:
        try:
            file = held.enter_context(store.open(archive))
        except ArchiveNotFound as error:
            raise Http404(error.message) from error
        size = file.seek(0, os.SEEK_END)
        etag = download_etag(link, file, size)
        is_known = any(etag_matches(request.headers.get(name, ""), etag) for name in ("If-Match", "If-Range"))
        # Who asks for a part and names no ETag goes on with what the link has begun, if it is still the same.
        is_plain = "Range" in request.headers and "If-Range" not in request.headers
        is_begun = link.is_claimed and (is_known or (is_plain and download_claimed(link) == etag))
        if not is_begun and not link.is_open:
            return _gone(request, place, archive)
        if request.headers.get("If-Match", "*") != "*" and not is_known:
            return HttpResponse(status=412)
        if request.method == "HEAD":
            return HttpResponse(headers=_headers(archive, etag, size))
        try:
            part = range_asked(request.headers.get("Range", ""), size) if is_known or "If-Range" not in request.headers else None
        except RangeNotSatisfiable:
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
        goes_on = is_begun and part is not None and part[0] > 0
        if not goes_on:
            if not _begun(request, link, etag):
                return _gone(request, place, archive)
            if elsewhere := conf.direct_downloads and store.download_url(archive, seconds=LINK_SECONDS, file_name=archive):
                return HttpResponseRedirect(elsewhere)
        start, stop = part or (0, size)
        headers = _headers(archive, etag, stop - start)
        if part:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        held.pop_all()  # the response closes it
        return StreamingHttpResponse(BytesOf(file, start, stop), status=206 if part else 200, headers=headers)


def _begun(request: HttpRequest, link: DownloadLink, etag: str) -> bool:
    """Claim the link; False where somebody was quicker."""
    try:
        if not (link.is_open and download_claim(link, etag)):
            return False
    except OSError as error:
        raise PreflightRefused(
            f"The download cannot begin, since that cannot be noted: {error.strerror} ({conf.state_dir}).",
            next_step="Free some space there, or make it writable for the user that the site runs as; then ask for the download again.",
        ) from error
    act_audit(request, "download-begun", archive=link.archive)
    return True


def _headers(archive: str, etag: str, length: int) -> dict[str, str]:
    return {
        "Content-Type": "application/zip",
        "Content-Length": str(length),
        "Content-Disposition": f'attachment; filename="{archive}"',
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "X-Content-Type-Options": "nosniff",
    }


def _gone(request: HttpRequest, place: Place, archive: str) -> HttpResponse:
    """Say that the link is used or too old, with a button for another."""
    shown = {"title": "This link is used up", "archive": archive, "again": place.url("download", archive), "list": way_back(request)}
    return render(request, "backups/download_gone.html", {**place.context(request), **shown}, status=410)
