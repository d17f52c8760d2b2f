"""Documents of a client: the list, the files, and the forms."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.attachments import attachment_answer, attachment_followed
from timetracker.careful_forms import form_saved, go_on, row_to_change
from timetracker.clients.models import Client, Document
from timetracker.clients.pages.forms import DocumentForm
from timetracker.lists import page_of

__all__ = ["document", "document_add", "document_delete", "document_edit", "documents"]


@require_safe
@team_page("clients.view_document")
def documents(request: TeamRequest, pk: int) -> HttpResponse:
    """All documents of a client, page by page."""
    client = get_object_or_404(Client, pk=pk)
    page = page_of(request, client.documents.select_related("uploaded_by"))
    return render(request, "staff/documents.html", {"active": "clients", "client": client, "page": page, "documents": page})


@require_safe
@team_page("clients.view_document")
def document(request: TeamRequest, pk: int) -> HttpResponseBase:
    """The file."""
    return attachment_answer(get_object_or_404(Document, pk=pk).file)


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("clients.add_document")
def document_add(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Add one; whoever does is recorded."""
    client = get_object_or_404(Client, pk=pk)
    new = Document(client=client, uploaded_by=request.user)
    form = DocumentForm(request.POST, request.FILES, instance=new) if request.method == "POST" else DocumentForm(instance=new)
    if form.is_bound and form.is_valid() and (saved := form_saved(form)):
        messages.success(request, f"{saved} is saved.")
        return go_on(request, _address(client.pk))
    return render(request, "staff/document_form.html", {"active": "clients", "form": form, "client": client})


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("clients.change_document")
def document_edit(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Change its title, who sees it, or the file."""
    with row_to_change(request, Document.objects.select_related("client"), pk) as found:
        form = DocumentForm(request.POST, request.FILES, instance=found) if request.method == "POST" else DocumentForm(instance=found)
        if form.is_bound and form.is_valid() and form_saved(form):
            messages.success(request, f"{found} is saved.")
            return go_on(request, _address(found.client_id))
    kept = get_object_or_404(Document, pk=pk)
    return render(request, "staff/document_form.html", {"active": "clients", "form": form, "client": found.client, "document": kept})


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("clients.delete_document")
def document_delete(request: TeamRequest, pk: int) -> HttpResponse:
    """Ask, and delete the row with its file."""
    with row_to_change(request, Document.objects.all(), pk) as found:
        back = _address(found.client_id)
        if request.method == "POST":
            with attachment_followed(found, "file"):
                found.delete()
            messages.success(request, f"{found} is deleted.")
            return redirect(back)
    context = {"active": "clients", "name": str(found), "kind": "document with its file", "back": back}
    return render(request, "staff/delete.html", context)


def _address(client_id: int) -> str:
    return reverse("staff:client", args=[client_id]) + "#documents"
