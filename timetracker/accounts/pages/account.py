"""One's own account."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.models import User
from timetracker.accounts.pages.forms import AccountForm
from timetracker.accounts.roles import role_of

__all__ = ["account"]


@require_http_methods(["GET", "HEAD", "POST"])
@team_page()
def account(request: TeamRequest) -> HttpResponse:
    """Name and time zone, and the way to a new password."""
    # Not the request's own: a refused form leaves its values in it, and the frame shows the name.
    form = AccountForm(request.POST or None, instance=User.objects.get(pk=request.user.pk))
    if form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("staff:account")
    return render(request, "staff/account.html", {"active": "account", "form": form, "role": role_of(request.user)})
