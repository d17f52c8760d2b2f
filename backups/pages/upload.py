"""Bringing an archive here: in pieces that go on where they stopped, by a plain form, or from a folder on the server.

The pieces go their way without a page (``start``, then ``PATCH`` for each, ``HEAD`` to learn how far it is, ``finish``):
``static/backups/upload.js`` speaks it, and anything else may that has the session and its CSRF token. What has come lies in the
quarantine (:mod:`backups.quarantine`) until the workers take it in; a page never looks into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadhandler import FileUploadHandler, SkipFile, StopUpload
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.request import UnreadablePostError
from django.shortcuts import render
from django.urls import URLPattern
from django.utils import timezone
from django.utils.timesince import timesince
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST

from backups.conf import conf
from backups.exceptions import BackupError, PreflightRefused
from backups.pages.acts import act_record, asker, own_progress
from backups.pages.ask import task_request
from backups.pages.place import Place, may, page_path
from backups.preflight import size_human
from backups.quarantine import (
    PIECE,
    FormUpload,
    OffsetWrong,
    Upload,
    quarantine_free,
    upload_append,
    upload_begin,
    upload_discard,
    upload_find,
    upload_taken_by,
    uploads_of,
)
from backups.services.upload import import_files, upload_preflight

__all__ = ["urls"]

# Bytes that are read from a connection, and written, at once.
BLOCK = 256 * 1024
# Seconds without a byte after which a browser counts as gone: without an end its connection would keep a thread of the server.
SILENCE = 60.0

_SHA256 = re.compile(r"[0-9a-f]{64}|")


def urls(place: Place) -> list[URLPattern]:
    """The pages of this module in ``place``."""
    return [
        page_path(place, "upload/", page, "upload"),
        page_path(place, "upload/start/", start, "upload-start"),
        page_path(place, "upload/path/", from_folder, "upload-path"),
        page_path(place, "upload/<operation:upload_id>/", piece, "upload-piece"),
        page_path(place, "upload/<operation:upload_id>/finish/", finish, "upload-finish"),
        page_path(place, "upload/<operation:upload_id>/discard/", discard, "upload-discard"),
    ]


# --- the page, and its plain form ---------------------------------------------------------------------------------------------


# Exempt here and checked in _received: before the body is read it has to be known who sends it, and where it is to go.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, *, place: Place) -> HttpResponse:
    """Choose a file, see what is unfinished, or take one from the server's folder; with POST, the plain form's file."""
    may(request, "add")
    if request.method != "POST":
        return _page(request, place)
    receiver = _Receiver(request)
    request.upload_handlers = [receiver]
    _end_silence(request)
    try:
        response: HttpResponse = _received(request, place, receiver)
    except BackupError as error:
        return _page(request, place, error=error)
    finally:
        receiver.close()
    return response


class _Receiver(FileUploadHandler):
    """Writes the form's file into the quarantine while it comes, and never into memory or a folder for all."""

    chunk_size = BLOCK

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self._asking = request
        self._incoming: FormUpload | None = None
        self._error: BackupError | None = None
        self.is_kept = self._is_complete = False

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin, with the first file of the field ``archive``; there is no other."""
        super().new_file(*args, **kwargs)
        if self._incoming or self._error or self.field_name != "archive":
            raise SkipFile
        with self._stopping():
            upload_preflight(int(self._asking.META.get("CONTENT_LENGTH") or 0))
            self._incoming = FormUpload(name=str(self.file_name), owner=asker(self._asking))

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write it."""
        if self._incoming:
            with self._stopping():
                self._incoming.write(raw_data)

    def file_complete(self, file_size: int) -> None:
        """Nothing goes on to ``request.FILES``."""
        self._is_complete = True

    def finish(self) -> Upload:
        """The upload that has come whole. Raises BackupError: what stopped it, or that there was none."""
        if self._error:
            raise self._error
        if not self._incoming or not self._is_complete:
            raise PreflightRefused("No file has come.", next_step="Choose the archive, then try again.")
        upload = self._incoming.finish()
        self.is_kept = True
        return upload

    def close(self) -> None:
        """Throw away what has come and is not to be kept."""
        if self._incoming and not self.is_kept:
            self._incoming.discard()

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """Write no more after an error, but read the rest: a browser shows no answer before it has sent everything."""
        try:
            yield
        except BackupError as error:
            self._error = error
            raise StopUpload(connection_reset=False) from error


@csrf_protect
def _received(request: HttpRequest, place: Place, receiver: _Receiver) -> HttpResponse:
    """Runs when the form was read to its end, and its token is right."""
    act_record(request, "upload", detail=f"{receiver.file_name or 'no file'}, by a form")
    upload = receiver.finish()
    return HttpResponseRedirect(_asked(request, place, {"upload": upload.id}))


def _page(request: HttpRequest, place: Place, *, error: BackupError | None = None) -> HttpResponse:
    free = None
    try:
        free = quarantine_free()
    except BackupError as fault:
        error = error or fault
    context = {
        **place.context(request),
        "title": "Upload an archive",
        "error": error,
        "uploads": list(_listed(request, place)),
        "most": None if free is None else size_human(min(free, conf.max_upload_gb * 10**9)),
        "folder": conf.import_dir,
        "files": [{"path": file.path, "size": size_human(file.size)} for file in import_files()],
        # What was chosen or typed, where the page tells why that was refused.
        "path": request.POST.get("path", ""),
        "other": request.POST.get("other", ""),
        "urls": {"page": place.url("upload"), "start": place.url("upload-start"), "path": place.url("upload-path")},
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
    }
    return render(request, "backups/upload.html", context, status=409 if error else 200)


def _listed(request: HttpRequest, place: Place) -> Iterator[dict[str, Any]]:
    for upload in uploads_of(asker(request)):
        # One may be taken in, or thrown away in another window, while this is written.
        with suppress(FileNotFoundError):
            yield _shown(request, upload, place)


def _shown(request: HttpRequest, upload: Upload, place: Place) -> dict[str, Any]:
    """An upload as the page tells of it."""
    operation = upload_taken_by(upload)
    is_fresh = timezone.now() - upload.touched_at < timedelta(minutes=1)
    return {
        "name": upload.name,
        "came": size_human(upload.offset),
        "size": size_human(upload.size),
        "percent": int(100 * upload.offset / upload.size),
        "touched_at": upload.touched_at,
        "touched": "just now" if is_fresh else f"{timesince(upload.touched_at)} ago",
        "is_whole": upload.is_whole,
        "progress": own_progress(request, operation, place) if operation else "",
        "finish": place.url("upload-finish", upload.id),
        "discard": place.url("upload-discard", upload.id),
    }


# --- in pieces ----------------------------------------------------------------------------------------------------------------


@require_POST
def start(request: HttpRequest, *, place: Place) -> HttpResponse:
    """Begin an upload, or find the one that was begun with the same file; says where it goes on.

    Takes ``name``, ``size`` in bytes and ``last_modified`` in milliseconds; answers with 201, or 422 and why not.
    """
    may(request, "add")
    size, modified = _number(request.POST.get("size")), _number(request.POST.get("last_modified", "0"))
    name = request.POST.get("name", "")
    if size is None or modified is None:
        return HttpResponse("size and last_modified are whole numbers.\n", status=400, content_type="text/plain")
    try:
        upload_preflight(size)
        act_record(request, "upload", detail=f"{name}, {size} bytes, begins or goes on")
        upload = upload_begin(name=name, size=size, owner=asker(request), last_modified=modified)
    except BackupError as error:
        return _fault(error)
    facts = {
        "name": upload.name,
        "size": upload.size,
        "offset": upload.offset,
        "piece": PIECE,
        "pieces": place.url("upload-piece", upload.id),
        "finish": place.url("upload-finish", upload.id),
    }
    return JsonResponse(facts, status=201)


@require_http_methods(["HEAD", "PATCH", "DELETE"])
def piece(request: HttpRequest, upload_id: str, *, place: Place) -> HttpResponse:
    """``PATCH`` writes a piece at ``Upload-Offset``; ``HEAD`` says how far the upload is; ``DELETE`` throws it away.

    Each answer has ``Upload-Offset``, the byte at which to go on. 409: the piece does not begin there. 507: the disk is full.
    """
    may(request, "add")
    upload = _own(request, upload_id)
    if request.method == "DELETE":
        try:
            _discarded(request, upload)
        except BackupError as error:
            return _fault(error, status=409)
        return HttpResponse(status=204)
    if request.method == "HEAD":
        return _at(upload, HttpResponse())
    return _patched(request, upload)


def _patched(request: HttpRequest, upload: Upload) -> HttpResponse:
    offset, length = _number(request.headers.get("Upload-Offset")), _number(request.META.get("CONTENT_LENGTH"))
    if offset is None or not length:
        return HttpResponse("A piece has a Content-Length and an Upload-Offset.\n", status=400, content_type="text/plain")
    if length > PIECE:
        return HttpResponse(f"A piece has {PIECE} bytes or fewer.\n", status=413, content_type="text/plain")
    _end_silence(request)
    try:
        upload_append(upload, offset, _blocks(request))
        response = HttpResponse(status=204)
    except OffsetWrong:
        response = HttpResponse(status=409)
    except ValueError as error:
        response = HttpResponse(f"{error}\n", status=400, content_type="text/plain")
    except PreflightRefused as error:
        response = _fault(error, status=507)
    except FileNotFoundError as error:
        raise Http404 from error
    except UnreadablePostError:
        # The browser is gone, or silent for too long: it asks how far it has come, should it come back.
        return HttpResponse(status=408)
    with suppress(OSError):
        # The answer is read when the piece is sent to its end.
        for _ in _blocks(request):
            pass
    return _at(upload, response)


def _at(upload: Upload, response: HttpResponse) -> HttpResponse:
    try:
        response.headers["Upload-Offset"] = str(upload.offset)
    except FileNotFoundError as error:
        raise Http404 from error
    response.headers["Upload-Length"] = str(upload.size)
    return response


def _blocks(request: HttpRequest) -> Iterator[bytes]:
    while block := request.read(BLOCK):
        yield block


def _end_silence(request: HttpRequest) -> None:
    """Let the reading fail after :data:`SILENCE` seconds without a byte, where the server is one that hands its connection over.

    gunicorn does, and itself waits for ever.
    """
    connection = request.META.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(SILENCE)


# --- taking it in, and throwing it away ---------------------------------------------------------------------------------------


@require_POST
def finish(request: HttpRequest, upload_id: str, *, place: Place) -> HttpResponse:
    """Ask the workers to take the upload in; ``sha256`` is what the browser has counted, empty where it has not.

    Leads to the progress: as JSON (``next``) to who wants JSON, else by going there.
    """
    may(request, "add")
    upload = _own(request, upload_id)
    sha256 = request.POST.get("sha256", "").lower()
    if not _SHA256.fullmatch(sha256):
        return HttpResponse("sha256 has 64 hex digits.\n", status=400, content_type="text/plain")
    try:
        if operation := upload_taken_by(upload):
            where = own_progress(request, operation, place)
        else:
            act_record(request, "upload", detail=upload.name)
            where = _asked(request, place, {"upload": upload.id, "sha256": sha256})
    except BackupError as error:
        return _fault(error) if _wants_json(request) else _page(request, place, error=error)
    return JsonResponse({"next": where}) if _wants_json(request) else HttpResponseRedirect(where)


@require_POST
def from_folder(request: HttpRequest, *, place: Place) -> HttpResponse:
    """Ask the workers to take in a file of the import folder: ``path`` is the one chosen, ``other`` one that was typed."""
    may(request, "add")
    path = request.POST.get("other", "").strip() or request.POST.get("path", "")
    try:
        if not path:
            raise PreflightRefused("No file was chosen.", next_step="Choose one of the folder, or type its path.")
        act_record(request, "upload", detail=f"{path}, of the import folder")
        return HttpResponseRedirect(_asked(request, place, {"path": path}))
    except BackupError as error:
        return _page(request, place, error=error)


@require_POST
def discard(request: HttpRequest, upload_id: str, *, place: Place) -> HttpResponse:
    """Throw an upload away, for browsers whose forms know no ``DELETE``."""
    may(request, "add")
    upload = _own(request, upload_id)
    try:
        _discarded(request, upload)
    except BackupError as error:
        return _page(request, place, error=error)
    messages.success(request, f"The upload {upload.name} was thrown away.")
    return HttpResponseRedirect(place.url("upload"))


def _discarded(request: HttpRequest, upload: Upload) -> None:
    if upload_taken_by(upload):
        raise PreflightRefused(f"{upload.name} is being taken in.", next_step="Cancel that first.")
    act_record(request, "discard", detail=f"the upload {upload.name}")
    upload_discard(upload)


def _asked(request: HttpRequest, place: Place, arguments: dict[str, str]) -> str:
    """Ask the workers, and return where to see how it goes. Raises BackupError."""
    journal = task_request("upload", arguments=arguments, requested_by=asker(request))
    return own_progress(request, journal.id, place)


def _own(request: HttpRequest, upload_id: str) -> Upload:
    """The upload, if the asking user began it; whether there is another's, nobody is told."""
    upload = upload_find(upload_id, owner=asker(request))
    if upload is None:
        raise Http404("There is no such upload of yours: it was taken in, thrown away, or idle for too long.")
    return upload


def _number(text: str | None) -> int | None:
    """A whole number that is not negative; None for anything else."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 20 else None


def _wants_json(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def _fault(error: BackupError, *, status: int = 422) -> JsonResponse:
    return JsonResponse({"error": error.message, "state": error.state, "next_step": error.next_step}, status=status)
