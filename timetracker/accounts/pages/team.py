"""The team: who is in it, in which role, and how somebody comes in or goes."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.invitations import invitation_link, invitation_send, may_be_invited
from timetracker.accounts.links import site_address
from timetracker.accounts.models import User
from timetracker.accounts.pages.forms import InvitationForm, MemberForm
from timetracker.accounts.roles import may_change, role_of
from timetracker.accounts.roles import team as everybody
from timetracker.careful_forms import form_saved
from timetracker.mail_faults import mail_fault

__all__ = ["invite", "link", "member", "send", "team"]


@require_safe
@team_page("accounts.view_user")
def team(request: TeamRequest) -> HttpResponse:
    """Everybody, those who are switched off last."""
    rows = [(person, role_of(person), may_be_invited(person)) for person in everybody()]
    return render(request, "staff/team.html", {"active": "team", "rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("accounts.add_user")
def invite(request: TeamRequest) -> HttpResponse:
    """Make an account, and send its person a link of one day."""
    form = InvitationForm(request.POST or None, giver=request.user)
    person = form_saved(form) if form.is_valid() else None
    if isinstance(person, User):
        _send(request, person)
        return redirect("staff:team")
    return render(request, "staff/invite.html", {"active": "team", "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("accounts.change_user")
def member(request: TeamRequest, pk: int) -> HttpResponse:
    """Role, hours and access of one person."""
    person = get_object_or_404(everybody(), pk=pk)
    may = may_change(request.user, person)
    form = MemberForm(request.POST or None, instance=person, giver=request.user)
    if request.method == "POST" and not may:
        raise PermissionDenied(f"{request.user.get_username()} may not change {person.get_username()}.")
    if form.is_valid():
        form.save()
        messages.success(request, f"{person} is saved.")
        return redirect("staff:team")
    context = {"active": "team", "form": form, "person": person, "role": role_of(person), "may": may, "is_new": may_be_invited(person)}
    return render(request, "staff/member.html", context)


@require_POST
@team_page("accounts.change_user")
def send(request: TeamRequest, pk: int) -> HttpResponse:
    """Send the invitation once more."""
    person = _to_invite(request, pk)
    _send(request, person)
    return redirect("staff:member", pk=pk)


@require_POST
@team_page("accounts.change_user")
def link(request: TeamRequest, pk: int) -> HttpResponse:
    """Show the link, for a site that sends no mail."""
    person = _to_invite(request, pk)
    try:
        address = invitation_link(person, address=site_address(request))
    except ValueError as error:
        messages.error(request, f"There is no link: {error}")
    else:
        messages.success(request, format_html("For {}, once and for a day: <code>{}</code>", person, address))
    return redirect("staff:member", pk=pk)


def _to_invite(request: TeamRequest, pk: int) -> User:
    """The person. Raises PermissionDenied: who holds her link can become her."""
    person = get_object_or_404(everybody(), pk=pk)
    if not may_change(request.user, person):
        raise PermissionDenied(f"{request.user.get_username()} may not invite {person.get_username()}.")
    return person


def _send(request: TeamRequest, person: User) -> None:
    """Send the invitation, and say what has become of it."""
    try:
        invitation_send(person, address=site_address(request), inviter=request.user)
    except ValueError as error:
        messages.error(request, f"No invitation was sent: {error}")
    except OSError as error:
        advice = "Until then open her page here, and hand the link over yourself."
        messages.error(request, f"The account is made, but the mail to {person.email} was not sent. {mail_fault(error)} {advice}")
    else:
        messages.success(request, f"An invitation is on its way to {person.email}. Its link works once, for a day.")
