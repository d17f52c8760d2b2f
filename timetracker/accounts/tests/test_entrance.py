"""The team's ways in: login, links to passwords, and who is led elsewhere."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core import mail
from django.db import connection
from django.http import HttpResponse
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from timetracker.accounts.access import team_page
from timetracker.accounts.invitations import invitation_link, invitation_send
from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.accounts.tests.conftest import PASSWORD, Hire
from timetracker.staff_urls import urlpatterns
from timetracker.tests.mailed_links import NEW_PASSWORD, SITE, link_in_mail, use_link
from timetracker.tests.people import browser_of

ENTRANCE = {"login", "logout", "forgotten", "forgotten_sent", "new_password", "invitation"}
# What is there for one person alone, and for everybody else not: 404, whoever asks. See timetracker/exports/tests/test_pages.py.
NOBODYS = {"export_file"}

pytestmark = pytest.mark.django_db


def log_in(username: str, password: str = PASSWORD, *, wanted: str = "") -> Any:
    """Fill in the login form."""
    return Browser().post(reverse("staff:login"), {"username": username, "password": password, "next": wanted})


# --- login ------------------------------------------------------------------------------------------------------------


def test_login_takes_no_query_to_be_shown(hire: Hire) -> None:
    for visitor in (browser_of(hire("robin")), Browser()):
        with CaptureQueriesContext(connection) as queries:
            page = visitor.get(reverse("staff:login"))
        assert page.status_code == 200 and not len(queries)


@pytest.mark.parametrize("name", ["robin", "robin@studio.example", "Robin@Studio.Example"])
def test_the_team_logs_in_with_name_or_address(hire: Hire, name: str) -> None:
    hire("robin", Role.MEMBER)
    assert log_in(name).headers["Location"] == reverse("staff:today")
    assert log_in(name, wanted=reverse("staff:account")).headers["Location"] == reverse("staff:account")
    assert log_in(name, wanted="https://elsewhere.example/").headers["Location"] == reverse("staff:today")


def test_an_address_of_two_accounts_is_nobodys_name(hire: Hire) -> None:
    hire("robin")
    User.objects.create_user("robin2", "robin@studio.example", PASSWORD)
    assert b"do not go together" in log_in("robin@studio.example").content


def test_a_clients_person_is_led_to_the_portal(db: None) -> None:
    User.objects.create_user("toni@bakery.example", "toni@bakery.example", PASSWORD)
    assert log_in("toni@bakery.example", wanted=reverse("staff:team")).headers["Location"] == reverse("portal:dashboard")


@pytest.mark.parametrize("name", [str(pattern.name) for pattern in urlpatterns if pattern.name not in ENTRANCE | NOBODYS])
def test_every_page_but_the_entrance_sends_strangers_to_the_login_and_clients_to_the_portal(hire: Hire, name: str) -> None:
    pattern = next(each for each in urlpatterns if each.name == name)
    args = {"pk": 1, "item": 1, "scope": "own", "token": UUID(int=1)}
    address = reverse(f"staff:{name}", kwargs={key: value for key, value in args.items() if f":{key}>" in str(pattern.pattern)})
    guest = browser_of(User.objects.create_user("toni@bakery.example"))
    ask, wanted = ("get", address)
    if Browser().get(address).status_code == 405:
        ask, wanted = "post", reverse("staff:today")
    stranger = getattr(Browser(), ask)(address)
    assert (stranger.status_code, stranger.headers["Location"]) == (302, f"{reverse('staff:login')}?next={wanted}")
    assert getattr(guest, ask)(address).headers["Location"] == reverse("portal:dashboard")
    htmx = getattr(Browser(), ask)(address, headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/?edit=2"})
    assert htmx.headers["HX-Redirect"] == f"{reverse('staff:login')}?next=/%3Fedit%3D2"


def test_each_page_of_the_team_decides_who_may_see_it() -> None:
    """A view that forgets ``team_page`` would be open to everybody."""
    checked: Any = team_page()(lambda request: HttpResponse())
    # Within the wrapper of never_cache.
    marker = checked.__wrapped__.__code__
    for pattern in urlpatterns:
        if pattern.name not in ENTRANCE | NOBODYS:
            view: Any = pattern.callback
            codes = set()
            while view is not None:
                codes.add(view.__code__)
                view = getattr(view, "__wrapped__", None)
            assert marker in codes, pattern.name


def test_an_unknown_time_zone_of_an_account_breaks_no_page(hire: Hire) -> None:
    robin = hire("robin", Role.MEMBER, time_zone="Moon/Tranquillity")
    assert browser_of(robin).get(reverse("staff:today")).status_code == 200
    assert b"Moon/Tranquillity" in browser_of(robin).get(reverse("staff:account")).content


# --- invitations ------------------------------------------------------------------------------------------------------


@pytest.fixture
def invited(hire: Hire) -> User:
    """Somebody without a password yet."""
    user = hire("new@studio.example", Role.MEMBER, full_name="Nova Sample")
    user.set_unusable_password()
    user.email = user.username
    user.save()
    return user


def test_invitation_sets_the_password_logs_in_and_works_once(invited: User, hire: Hire) -> None:
    invitation_send(invited, address=SITE, inviter=hire("owner", Role.OWNER))
    (message,) = mail.outbox
    assert message.to == [invited.email] and f"{SITE}/login/" in message.body and "Nova Sample" in message.body
    browser = Browser()
    assert use_link(browser, link_in_mail()).headers["Location"] == reverse("staff:today")
    assert browser.get(reverse("staff:today")).status_code == 200
    assert b"This link does not work" in use_link(Browser(), link_in_mail(), "another long password").content
    assert log_in(invited.username, NEW_PASSWORD).status_code == 302


def test_invitation_is_good_for_a_day(invited: User, monkeypatch: pytest.MonkeyPatch) -> None:
    link = invitation_link(invited, address="")
    now = datetime.now()
    for later, is_good in ((timedelta(hours=23, minutes=59), True), (timedelta(days=1, minutes=1), False)):
        monkeypatch.setattr(PasswordResetTokenGenerator, "_now", lambda self, later=later: now + later)
        assert Browser().get(link, follow=True).context["validlink"] == is_good


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}, {"email": ""}])
def test_no_invitation_for_who_is_not_of_the_team_or_switched_off(invited: User, change: dict[str, object]) -> None:
    link = invitation_link(invited, address="")
    User.objects.filter(pk=invited.pk).update(**change)
    assert b"This link does not work" in use_link(Browser(), link).content
    with pytest.raises(ValueError, match="switched off"):
        invitation_link(User.objects.get(pk=invited.pk), address="")


def test_an_invitation_never_replaces_a_password(hire: Hire) -> None:
    with pytest.raises(ValueError, match="has a password already"):
        invitation_link(hire("robin", Role.MEMBER), address="")


def test_links_of_one_kind_are_none_of_another(invited: User) -> None:
    uid, token = invitation_link(invited, address="").split("/")[-3:-1]
    for name in ("staff:new_password", "portal:invitation", "portal:new_password"):
        assert b"This link does not work" in Browser().get(reverse(name, args=[uid, token])).content


# --- passwords --------------------------------------------------------------------------------------------------------


def ask_for_link(address: str) -> None:
    """Fill in the form for a forgotten password; the answer never says whether the address is known."""
    answer = Browser().post(reverse("staff:forgotten"), {"email": address}, follow=True)
    assert b"If we know your address" in answer.content


def test_forgotten_password_is_replaced_by_a_link_that_works_once(hire: Hire, settings: Any) -> None:
    settings.SITE_URL = SITE
    robin = hire("robin", Role.MEMBER)
    ask_for_link("Robin@Studio.example")
    ask_for_link("Robin@Studio.example")
    (message,) = mail.outbox
    assert message.to == [robin.email] and link_in_mail().startswith(f"{SITE}/password/new/") and "log in as robin" in message.body
    browser = Browser()
    assert use_link(browser, link_in_mail()).headers["Location"] == reverse("staff:today")
    assert b"This link does not work" in use_link(Browser(), link_in_mail()).content
    assert log_in("robin").status_code == 200 and log_in("robin", NEW_PASSWORD).status_code == 302


def test_no_link_is_sent_to_strangers_clients_and_who_has_no_password(invited: User, hire: Hire) -> None:
    User.objects.create_user("toni@bakery.example", "toni@bakery.example", PASSWORD)
    User.objects.filter(pk=hire("gone").pk).update(is_active=False)
    for address in ("nobody@studio.example", "toni@bakery.example", invited.email, "gone@studio.example"):
        ask_for_link(address)
    assert not mail.outbox


def test_no_link_of_the_team_sets_the_password_of_a_client(hire: Hire) -> None:
    robin = hire("robin", Role.MEMBER)
    ask_for_link(robin.email)
    User.objects.filter(pk=robin.pk).update(is_staff=False)
    assert b"This link does not work" in use_link(Browser(), link_in_mail()).content


def test_password_is_changed_with_the_old_one_and_other_sessions_end(hire: Hire) -> None:
    robin = hire("robin", Role.MEMBER)
    browser, elsewhere = browser_of(robin), browser_of(robin)
    form = {"old_password": "wrong", "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    address = reverse("staff:change_password")
    assert b"Your old password was entered incorrectly" in browser.post(address, form).content
    assert b"Your password is changed." in browser.post(address, form | {"old_password": PASSWORD}, follow=True).content
    assert elsewhere.get(reverse("staff:today")).status_code == 302


def test_logout_takes_a_post(hire: Hire) -> None:
    browser = browser_of(hire("robin", Role.MEMBER))
    assert browser.get(reverse("staff:logout")).status_code == 405
    assert browser.post(reverse("staff:logout")).headers["Location"] == reverse("staff:login")
    assert browser.get(reverse("staff:today")).status_code == 302
