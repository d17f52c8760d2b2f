"""One's own account, and the pages of the team: who sees them, who changes whom."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models.signals import pre_save
from django.urls import reverse

from timetracker.accounts.models import User
from timetracker.accounts.pages.forms import AccountForm, MemberForm
from timetracker.accounts.roles import Role, role_of
from timetracker.accounts.tests.conftest import Hire
from timetracker.siteconf.models import SiteSettings
from timetracker.staff_frame import PAGES
from timetracker.tests.people import browser_of

pytestmark = pytest.mark.django_db

FORM = {"full_name": "Nova Sample", "email": "Nova@Studio.Example", "role": "Member", "weekly_hours": "32.5"}


class UnreachableServer(BaseEmailBackend):
    """A mail server that nobody reaches."""

    def send_messages(self, email_messages: Any) -> int:
        """Fail as smtplib does."""
        raise ConnectionRefusedError(111, "Connection refused")


# --- one's own account ------------------------------------------------------------------------------------------------


def test_a_person_changes_her_name_and_time_zone_and_nothing_else(hire: Hire) -> None:
    robin = hire("robin", Role.MEMBER)
    form = {"full_name": "Robin Sample", "time_zone": "Pacific/Auckland", "weekly_hours": "1", "is_superuser": "on", "role": "Owner"}
    page = browser_of(robin).post(reverse("staff:account"), form, follow=True)
    assert b"Saved." in page.content
    robin = User.objects.get(pk=robin.pk)
    assert (robin.full_name, robin.time_zone) == ("Robin Sample", "Pacific/Auckland")
    assert robin.weekly_hours is None and not robin.is_superuser and role_of(robin) is Role.MEMBER


def test_an_unknown_time_zone_is_refused_and_what_was_typed_stays(hire: Hire) -> None:
    robin = hire("robin", Role.MEMBER, full_name="Robin")
    page = browser_of(robin).post(reverse("staff:account"), {"full_name": "Typed", "time_zone": "Moon/Base"}).content.decode()
    assert 'value="Typed"' in page and "Moon/Base is not one of the available choices" in page
    assert User.objects.get(pk=robin.pk).full_name == "Robin"


# --- who sees the team ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "codes"),
    [
        (Role.OWNER, {"team": 200, "invite": 200, "member": 200}),
        (Role.MANAGER, {"team": 200, "invite": 403, "member": 403}),
        (Role.BOOKKEEPER, {"team": 403, "invite": 403, "member": 403}),
        (Role.MEMBER, {"team": 403, "invite": 403, "member": 403}),
    ],
)
def test_each_role_reaches_by_url_what_it_may(hire: Hire, role: Role, codes: dict[str, int]) -> None:
    browser, other = browser_of(hire("robin", role)), hire("kim", Role.MEMBER)
    found = {name: browser.get(reverse(f"staff:{name}", args=[other.pk] if name == "member" else [])).status_code for name in codes}
    assert found == codes
    may_invite = codes["invite"] == 200
    for name in ("send", "link"):
        assert browser.post(reverse(f"staff:{name}", args=[other.pk])).status_code == (302 if may_invite else 403)


def test_navigation_leads_to_pages_that_there_are_and_that_she_may_see(hire: Hire) -> None:
    for role, leads in ((Role.OWNER, True), (Role.MEMBER, False)):
        browser = browser_of(hire(f"robin.{role.value}", role))
        html = browser.get(reverse("staff:account")).content.decode()
        assert (f'href="{reverse("staff:team")}"' in html, f'href="{reverse("admin:index")}"' in html) == (leads, leads)
        assert ('href="/import-export/"' in html) is leads
        for page in PAGES:
            address = reverse(f"staff:{page.name}")
            assert (f'href="{address}"' in html) == (browser.get(address).status_code == 200), address


def test_clients_people_are_not_of_the_team(hire: Hire) -> None:
    guest = User.objects.create_user("toni@bakery.example", full_name="Toni Client")
    browser = browser_of(hire("owner", Role.OWNER))
    assert b"Toni Client" not in browser.get(reverse("staff:team")).content
    assert browser.get(reverse("staff:member", args=[guest.pk])).status_code == 404


def test_a_form_writes_over_nothing_that_is_not_in_it(hire: Hire) -> None:
    owner, robin = hire("owner", Role.OWNER), hire("robin", Role.MEMBER)
    own = AccountForm({"full_name": "Robin Sample", "time_zone": "Europe/Berlin"}, instance=User.objects.get(pk=robin.pk))
    access = MemberForm({"role": "Manager", "weekly_hours": "20"}, instance=User.objects.get(pk=robin.pk), giver=owner)
    assert own.is_valid() and access.is_valid()
    # Meanwhile she sets a password.
    robin.set_password("a-new-password")
    robin.save()
    access.save()
    own.save()
    robin = User.objects.get(pk=robin.pk)
    assert robin.check_password("a-new-password") and not robin.is_active
    assert (robin.full_name, robin.time_zone, robin.weekly_hours) == ("Robin Sample", "Europe/Berlin", Decimal(20))


# --- invitations ------------------------------------------------------------------------------------------------------


def test_of_two_invitations_of_one_person_at_once_the_second_is_told(hire: Hire) -> None:
    owner = browser_of(hire("owner", Role.OWNER))

    def invited_meanwhile(instance: User, **_: Any) -> None:
        pre_save.disconnect(invited_meanwhile, sender=User)
        hire(instance.username, Role.MEMBER)

    pre_save.connect(invited_meanwhile, sender=User)
    page = owner.post(reverse("staff:invite"), FORM).content.decode()
    assert "Somebody saved something at this moment" in page and 'value="Nova@Studio.Example"' in page
    assert not mail.outbox


def test_inviting_makes_an_account_of_the_team_and_sends_a_link(hire: Hire) -> None:
    SiteSettings.objects.create(time_zone="Europe/Berlin")
    page = browser_of(hire("owner", Role.OWNER)).post(reverse("staff:invite"), FORM, follow=True)
    assert b"An invitation is on its way to nova@studio.example" in page.content
    nova = User.objects.get(username="nova@studio.example")
    assert (nova.email, nova.is_staff, nova.is_superuser, nova.has_usable_password()) == (nova.username, True, False, False)
    assert (role_of(nova), nova.weekly_hours, nova.time_zone) == (Role.MEMBER, Decimal("32.5"), "Europe/Berlin")
    assert [message.to for message in mail.outbox] == [[nova.email]]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"email": "Robin@Studio.example"}, "There is an account with this e-mail address already."),
        ({"email": "no address"}, "Enter a valid email address."),
        ({"role": "Emperor"}, "Emperor is not one of the available choices."),
        ({"weekly_hours": "169"}, "less than or equal to 168"),
        ({"full_name": ""}, "This field is required."),
    ],
)
def test_a_wrong_invitation_is_refused_and_nobody_is_made(hire: Hire, wrong: dict[str, str], said: str) -> None:
    hire("robin", Role.MEMBER)
    page = browser_of(hire("owner", Role.OWNER)).post(reverse("staff:invite"), FORM | wrong)
    assert said in page.content.decode() and User.objects.count() == 2 and not mail.outbox


def test_nobody_invites_her_better(hire: Hire) -> None:
    clerk = hire("clerk", Role.MEMBER)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["add_user", "view_user"]))
    page = browser_of(clerk).post(reverse("staff:invite"), FORM | {"role": "Owner"})
    assert b"Owner is not one of the available choices" in page.content and User.objects.count() == 1


def test_a_mail_that_fails_leaves_the_account_and_a_link_to_hand_over(hire: Hire, settings: Any) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.UnreachableServer"
    browser = browser_of(hire("owner", Role.OWNER))
    page = browser.post(reverse("staff:invite"), FORM, follow=True).content.decode()
    assert "was not sent. The mail server " in page and "EMAIL_URL" in page and "Errno" not in page and "hand the link over" in page
    nova = User.objects.get(username="nova@studio.example")
    shown = browser.post(reverse("staff:link", args=[nova.pk]), follow=True).content.decode()
    assert "<code>http://testserver/password/first/" in shown


# --- changing somebody ------------------------------------------------------------------------------------------------


def test_an_owner_changes_role_and_hours(hire: Hire) -> None:
    kim = hire("kim", Role.MEMBER)
    form = {"role": "Manager", "weekly_hours": "", "is_active": "on"}
    browser_of(hire("owner", Role.OWNER)).post(reverse("staff:member", args=[kim.pk]), form)
    kim = User.objects.get(pk=kim.pk)
    assert role_of(kim) is Role.MANAGER and kim.is_active and kim.weekly_hours is None


def test_who_is_switched_off_is_logged_out_and_her_account_stays(hire: Hire) -> None:
    kim = hire("kim", Role.MEMBER)
    hers = browser_of(kim)
    assert hers.get(reverse("staff:today")).status_code == 200
    browser = browser_of(hire("owner", Role.OWNER))
    browser.post(reverse("staff:member", args=[kim.pk]), {"role": "Member"})
    assert hers.get(reverse("staff:today")).status_code == 302
    assert b"switched off" in browser.get(reverse("staff:team")).content


def test_neither_herself_nor_an_administrator_is_changed(hire: Hire) -> None:
    owner, root = hire("owner", Role.OWNER), User.objects.create_superuser("root")
    browser = browser_of(owner)
    for person, said in ((owner, b"This is you"), (root, b"may do more than you")):
        address = reverse("staff:member", args=[person.pk])
        assert said in browser.get(address).content
        assert browser.post(address, {"role": "Member"}).status_code == 403
        assert browser.post(reverse("staff:link", args=[person.pk])).status_code == 403
        person.refresh_from_db()
        assert person.is_active
    assert role_of(User.objects.get(pk=owner.pk)) is Role.OWNER
