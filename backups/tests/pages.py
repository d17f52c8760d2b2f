"""The URLs of a site that the tests' visitors use: its own, and a page whose answer tells whether it is of one state of the data.

The page reads :mod:`backups.tests.ledger` in several queries with pauses in between, so that a restore has every chance to
come into its middle.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path, reverse

from backups.tests.ledger import ledger_file

SLICES = 4
# Seconds between two queries.
PAUSE = 0.003


def ledger(request: HttpRequest) -> HttpResponse:
    """What the ledger holds, or with POST a new note in it."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    if request.method == "POST":
        return JsonResponse({"id": _write(request), "process": os.getpid()})
    generations, rows, total = set(), 0, 0
    with connection.cursor() as cursor:
        for part in range(SLICES):
            cursor.execute("SELECT generation FROM ledger_book")
            generations |= {generation for (generation,) in cursor.fetchall()}
            cursor.execute("SELECT generation, amount FROM ledger WHERE id %% %s = %s", [SLICES, part])
            for generation, amount in cursor.fetchall():
                generations.add(generation)
                rows, total = rows + 1, total + amount
            time.sleep(PAUSE)
            generations.add(int(ledger_file(Path(settings.MEDIA_ROOT)).read_text()))
    return JsonResponse({"generations": sorted(generations), "rows": rows, "total": total, "process": os.getpid()})


def _write(request: HttpRequest) -> str:
    note = uuid.uuid4().hex
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO ledger_note VALUES (%s, %s, %s)", [note, request.user.get_username(), request.POST.get("words", "")])
    return note


urlpatterns = [path("ledger/", ledger), path("", include("timetracker.urls"))]
