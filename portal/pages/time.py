"""Time entries: filtered, page by page, and as CSV."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from portal.access import PortalRequest, client_page
from portal.entry_csv import columns_of, rows_of
from portal.figures import entries_of, time_sums, with_standing
from portal.forms import TimeFilter
from timetracker.csv_text import csv_answer
from timetracker.lists import ROWS_PER_PAGE, asked_of
from timetracker.tracking.days import today_in

__all__ = ["time_csv", "time_entries"]


@require_safe
@client_page("portal_shows_time")
def time_entries(request: PortalRequest) -> HttpResponse:
    """Time entries, page by page; htmx asks for the rows alone."""
    form = _asked(request)
    context: dict[str, object] = {"active": "time", "form": form}
    if form.is_valid():
        entries = form.chosen(entries_of(request.client), zone=request.zone)
        sums = time_sums(entries, request.client)
        # Of a page far back, the rows before it are counted off as numbers alone.
        pages = Paginator(entries.values_list("pk", flat=True), ROWS_PER_PAGE)
        # Counted with the sums; saves a query.
        pages.count = sums.count
        page = pages.get_page(request.GET.get("page"))
        context |= {
            "sums": sums,
            "page": page,
            "entries": with_standing(entries_of(request.client).filter(pk__in=list(page)), request.client),
            "asked": asked_of(request),
            "is_filtered": any(form.cleaned_data.values()),
        }
    # Going back in the browser's history asks for the whole page.
    is_part = request.htmx and not request.htmx.history_restore_request
    response = render(request, "portal/time_rows.html" if is_part else "portal/time.html", context)
    patch_vary_headers(response, ["HX-Request", "HX-History-Restore-Request"])
    return response


@require_safe
@client_page("portal_shows_time")
def time_csv(request: PortalRequest) -> StreamingHttpResponse:
    """The same entries as a file, all of them; 404 where the address asks for what there is not."""
    form = _asked(request)
    if not form.is_valid():
        raise Http404("There is no such list.")
    client = request.client
    entries = form.chosen(entries_of(client), zone=request.zone)
    name = f"time_{today_in(request.zone)}.csv"
    return csv_answer(name, columns_of(client), rows_of(entries, client, zone=request.zone))


def _asked(request: PortalRequest) -> TimeFilter:
    """The filter that the address asks for. Raises Http404 where it names what is not the client's."""
    form = TimeFilter(request.GET, client=request.client)
    if not form.is_valid() and form.names_what_is_not_there:
        raise Http404("The project or the person is not this client's.")
    return form
