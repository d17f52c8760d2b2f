"""Who is logged in, and who else of the client may look into the portal."""

from __future__ import annotations

from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from portal.access import PortalRequest, client_page
from portal.models import ClientPerson
from timetracker.accounts.models import User
from timetracker.accounts.pages.forms import AccountForm

__all__ = ["account"]

_SAID = {"changed": "Your password is changed.", "saved": "Saved."}


@require_http_methods(["GET", "HEAD", "POST"])
@client_page()
def account(request: PortalRequest) -> HttpResponseBase:
    """Name and time zone to change, the way to a new password, and the client's people."""
    # Not the request's own: a refused form leaves its values in it, and the frame shows the name.
    form = AccountForm(request.POST or None, instance=User.objects.get(pk=request.user.pk))
    if form.is_valid():
        form.save()
        return redirect(reverse("portal:account") + "?saved=1")
    people = ClientPerson.objects.filter(client=request.client, user__is_active=True, user__is_staff=False, user__is_superuser=False)
    said = next((sentence for word, sentence in _SAID.items() if word in request.GET), "")
    context = {"active": "account", "form": form, "said": said, "people": people.select_related("user").order_by("user__full_name", "pk")}
    return render(request, "portal/account.html", context)
