"""The ways in: login, invitation, forgotten and new passwords, and who is kept out."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core import mail
from django.db import connection
from django.http import HttpResponse
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backups import gate
from portal.access import client_page
from portal.invitations import invitation_link, invitation_send
from portal.tests.conftest import PASSWORD, Side, make_person
from portal.urls import urlpatterns
from timetracker.accounts.models import User
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings
from timetracker.tests.mailed_links import NEW_PASSWORD, SITE, link_in_mail, use_link

ENTRANCE = {"login", "logout", "forgotten", "forgotten_sent", "new_password", "invitation", "brand_sheet", "logo"}

pytestmark = pytest.mark.django_db


def log_in(browser: Browser, username: str, password: str = PASSWORD) -> HttpResponse:
    """Fill in the login form."""
    response: Any = browser.post(reverse("portal:login"), {"username": username, "password": password})
    return response  # type: ignore[no-any-return]


def is_logged_in(browser: Browser) -> bool:
    """Whether the browser has a session of somebody."""
    return "_auth_user_id" in browser.session


# --- who is let in ----------------------------------------------------------------------------------------------------


def test_login_takes_the_query_of_its_look_to_be_shown_and_none_during_a_restore(browser: Browser) -> None:
    for restoring, expected in ((False, 1), (True, 0)):
        if restoring:
            gate.gate_raise("restore-of-the-test", "restore")
        try:
            for visitor in (browser, Browser()):
                with CaptureQueriesContext(connection) as queries:
                    page = visitor.get(reverse("portal:login"))
                assert page.status_code == 200 and len(queries) == expected
        finally:
            gate.gate_open()


def test_a_clients_person_logs_in_with_her_address_in_any_capitals(own: Side) -> None:
    browser = Browser()
    assert log_in(browser, "Toni@Bakery.Example").headers["Location"] == reverse("portal:dashboard")
    assert browser.get(reverse("portal:dashboard")).status_code == 200


def test_wrong_password_and_unknown_address_look_the_same(own: Side) -> None:
    browser = Browser()
    answers = [log_in(browser, own.user.username, "wrong"), log_in(browser, "nobody@bakery.example", "wrong")]
    texts = [re.sub(r'value="[^"]*"', "", answer.content.decode()) for answer in answers]
    assert texts[0] == texts[1] and "do not go together" in texts[0]
    assert not is_logged_in(browser)


@pytest.mark.parametrize("rights", [{"is_staff": True}, {"is_superuser": True}, {}])
def test_an_account_without_a_client_is_not_let_in(rights: dict[str, bool]) -> None:
    User.objects.create_user("robin", "robin@studio.example", PASSWORD, **rights)
    browser = Browser()
    assert b"the clients&#x27; entrance" in log_in(browser, "robin").content
    assert not is_logged_in(browser)


def test_a_person_who_becomes_staff_loses_the_portal_at_once(browser: Browser, own: Side) -> None:
    User.objects.filter(pk=own.user.pk).update(is_staff=True)
    page = browser.get(reverse("portal:dashboard"))
    assert page.status_code == 403 and b"The portal is for clients" in page.content
    assert own.client.name.encode() not in page.content


def test_a_person_who_is_switched_off_is_logged_out_and_kept_out(browser: Browser, own: Side) -> None:
    User.objects.filter(pk=own.user.pk).update(is_active=False)
    assert browser.get(reverse("portal:dashboard")).status_code == 302
    assert b"do not go together" in log_in(Browser(), own.user.username).content


def test_every_page_but_the_entrance_asks_for_a_login_and_leads_back(own: Side) -> None:
    keys = {"invoice": [own.invoice.pk], "invoice_pdf": [own.invoice.pk], "document": [own.document.pk], "month": [2025, 3]}
    pages = [str(pattern.name) for pattern in urlpatterns if pattern.name not in ENTRANCE]
    assert len(pages) == 14
    for name in pages:
        address = reverse(f"portal:{name}", args=keys.get(name, []))
        response = Browser().get(address)
        assert (response.status_code, response.headers["Location"]) == (302, f"{reverse('portal:login')}?next={address}")


def test_htmx_is_led_to_the_login_as_a_whole_page(own: Side) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/portal/time/?page=2"}
    response = Browser().get(reverse("portal:time"), {"page": "3"}, headers=headers)
    assert response.headers["HX-Redirect"] == f"{reverse('portal:login')}?next=/portal/time/%3Fpage%3D2"


@pytest.mark.parametrize("off", ["active", "portal_enabled"])
@pytest.mark.parametrize("page", ["dashboard", "projects", "time", "report", "invoices", "documents", "account", "change_password"])
def test_where_the_portal_is_off_the_person_is_told_so_and_sees_nothing(browser: Browser, own: Side, off: str, page: str) -> None:
    SiteSettings.objects.create(company_name="Example Studio", company_email="office@studio.example")
    Client.objects.filter(pk=own.client.pk).update(**{off: False})
    response = browser.get(reverse(f"portal:{page}"))
    html = response.content.decode()
    assert response.status_code == 403 and "is not open" in html and "office@studio.example" in html
    assert "Project SB" not in html and "<nav" not in html


def test_htmx_loads_the_page_anew_where_the_portal_was_switched_off(browser: Browser, own: Side) -> None:
    Client.objects.filter(pk=own.client.pk).update(portal_enabled=False)
    response = browser.get(reverse("portal:time"), headers={"HX-Request": "true"})
    assert response.headers["HX-Refresh"] == "true" and not response.content


def test_objects_are_closed_too_where_the_portal_is_off(browser: Browser, own: Side) -> None:
    Client.objects.filter(pk=own.client.pk).update(portal_enabled=False)
    for address in (reverse("portal:invoice", args=[own.invoice.pk]), reverse("portal:document", args=[own.document.pk])):
        assert browser.get(address).status_code == 403


def test_logout_asks_for_a_post_and_ends_the_session(browser: Browser) -> None:
    assert browser.get(reverse("portal:logout")).status_code == 405
    assert browser.post(reverse("portal:logout")).headers["Location"] == reverse("portal:login")
    assert not is_logged_in(browser)


def test_a_foreign_address_is_not_followed_after_the_login(own: Side) -> None:
    form = {"username": own.user.username, "password": PASSWORD, "next": "https://evil.example/"}
    assert Browser().post(reverse("portal:login"), form).headers["Location"] == reverse("portal:dashboard")


def test_each_page_of_the_portal_decides_who_may_see_it() -> None:
    """A view that forgets ``client_page`` would be open to everybody."""
    marker = client_page()(lambda request: HttpResponse()).__code__
    for pattern in urlpatterns:
        if pattern.name not in ENTRANCE:
            view: Any = pattern.callback
            codes = set()
            while view is not None:
                codes.add(view.__code__)
                view = getattr(view, "__wrapped__", None)
            assert marker in codes, pattern.name


# --- invitations ------------------------------------------------------------------------------------------------------


@pytest.fixture
def invited(own: Side) -> Side:
    """The person has no password yet."""
    own.user.set_unusable_password()
    own.user.save()
    return own


def test_invitation_sets_the_password_logs_in_and_works_once(invited: Side) -> None:
    SiteSettings.objects.create(company_name="Example & Studio")
    invitation_send(invited.person, address=SITE)
    (message,) = mail.outbox
    assert message.to == [invited.user.email] and message.subject == "Your access to the client portal of Example & Studio"
    assert invited.client.name in message.body and f"{SITE}/portal/login/" in message.body
    invited.person.refresh_from_db()
    assert invited.person.invited_at is not None

    browser, link = Browser(), link_in_mail()
    assert use_link(browser, link).headers["Location"] == reverse("portal:dashboard")
    assert browser.get(reverse("portal:dashboard")).status_code == 200
    assert b"This link does not work" in use_link(Browser(), link, "another long password").content
    assert log_in(Browser(), invited.user.username, NEW_PASSWORD).status_code == 302


def test_opening_an_invitation_twice_does_not_use_it_up(invited: Side) -> None:
    link = invitation_link(invited.person, address=SITE)
    Browser().get(link.removeprefix(SITE), follow=True)
    assert use_link(Browser(), link).status_code == 302


def test_invitation_is_good_for_a_day(invited: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    link = invitation_link(invited.person, address=SITE)
    now = datetime.now()
    for later, is_good in ((timedelta(hours=23, minutes=59), True), (timedelta(days=1, minutes=1), False)):
        monkeypatch.setattr(PasswordResetTokenGenerator, "_now", lambda self, later=later: now + later)
        assert Browser().get(link.removeprefix(SITE), follow=True).context["validlink"] == is_good


def test_invitation_ends_when_the_address_or_the_password_changes(invited: Side) -> None:
    link = invitation_link(invited.person, address=SITE)
    User.objects.filter(pk=invited.user.pk).update(email="other@bakery.example")
    assert b"This link does not work" in use_link(Browser(), link).content


def test_weak_password_is_refused_and_the_link_still_works(invited: Side) -> None:
    browser, link = Browser(), invitation_link(invited.person, address=SITE)
    assert b"This password is too short" in use_link(browser, link, "short").content
    assert use_link(browser, link).status_code == 302


@pytest.mark.parametrize("change", [{"is_staff": True}, {"is_superuser": True}, {"is_active": False}])
def test_no_link_sets_the_password_of_the_team_or_of_somebody_switched_off(invited: Side, change: dict[str, bool]) -> None:
    link = invitation_link(invited.person, address=SITE)
    User.objects.filter(pk=invited.user.pk).update(**change)
    assert b"This link does not work" in use_link(Browser(), link).content
    invited.user.refresh_from_db()
    with pytest.raises(ValueError, match="belongs to the team"):
        invitation_link(invited.person, address=SITE)
    with pytest.raises(ValueError, match="belongs to the team"):
        invitation_send(invited.person, address=SITE)
    assert not mail.outbox


def test_links_of_one_kind_or_person_are_none_of_another(own: Side, other: Side) -> None:
    uid, token = invitation_link(own.person, address="").split("/")[-3:-1]
    other_uid = invitation_link(other.person, address="").split("/")[-3]
    for name, owner in (("new_password", uid), ("invitation", other_uid)):
        assert b"This link does not work" in Browser().get(reverse(f"portal:{name}", args=[owner, token])).content
    assert b"This link does not work" in Browser().get(reverse("portal:invitation", args=["%%%", token])).content


# --- passwords --------------------------------------------------------------------------------------------------------


def ask_for_link(address: str) -> None:
    """Fill in the form for a forgotten password; the answer never says whether the address is known."""
    response = Browser().post(reverse("portal:forgotten"), {"email": address})
    assert response.headers["Location"] == reverse("portal:forgotten_sent")
    assert b"If we know your address" in Browser().get(reverse("portal:forgotten_sent")).content


def test_forgotten_password_is_replaced_by_a_link_that_works_once(own: Side) -> None:
    invitation_send(own.person, address=SITE)
    ask_for_link(own.user.email.upper())
    assert mail.outbox[-1].to == [own.user.email]
    link = link_in_mail()
    browser = Browser()
    assert use_link(browser, link).status_code == 302
    assert is_logged_in(browser)
    assert b"This link does not work" in use_link(Browser(), link).content
    assert log_in(Browser(), own.user.username).status_code == 200, "the old password"


def test_nobody_fills_a_mailbox_with_links(own: Side, other: Side) -> None:
    for side in (own, other):
        invitation_send(side.person, address=SITE)
    mail.outbox.clear()
    for _ in range(3):
        ask_for_link(own.user.email)
        ask_for_link(other.user.email)
    assert [message.to for message in mail.outbox] == [[own.user.email], [other.user.email]]


def test_links_are_sent_also_while_the_cache_is_out_of_reach(own: Side, settings: Any) -> None:
    invitation_send(own.person, address=SITE)
    # Nobody listens on port 1.
    unreachable = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {**settings.CACHES, "logins": unreachable}
    ask_for_link(own.user.email)
    assert len(mail.outbox) == 2


def test_an_expired_invitation_is_replaced_without_asking_the_team(invited: Side) -> None:
    invitation_send(invited.person, address=SITE)
    ask_for_link(invited.user.email)
    assert len(mail.outbox) == 2 and use_link(Browser(), link_in_mail()).status_code == 302


def test_no_link_is_sent_to_strangers_the_team_and_the_uninvited(own: Side, other: Side) -> None:
    User.objects.create_superuser("boss", "boss@studio.example", PASSWORD)
    User.objects.create_user("robin", "robin@studio.example", PASSWORD)
    invitation_send(other.person, address=SITE)
    User.objects.filter(pk=other.user.pk).update(is_staff=True)
    mail.outbox.clear()
    for address in ("nobody@bakery.example", "boss@studio.example", "robin@studio.example", own.user.email, other.user.email):
        ask_for_link(address)
    assert not mail.outbox


def test_links_begin_with_the_sites_address_where_it_is_known(own: Side, settings: Any) -> None:
    settings.SITE_URL = SITE
    invitation_send(own.person, address=SITE)
    ask_for_link(own.user.email)
    assert link_in_mail().startswith(f"{SITE}/portal/password/")


def test_password_is_changed_with_the_old_one_and_other_sessions_end(browser: Browser, own: Side) -> None:
    elsewhere = Browser()
    log_in(elsewhere, own.user.username)
    address = reverse("portal:change_password")
    form = {"old_password": "wrong", "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    assert b"Your old password was entered incorrectly" in browser.post(address, form).content
    changed = browser.post(address, form | {"old_password": PASSWORD}, follow=True)
    assert b"Your password is changed." in changed.content
    assert elsewhere.get(reverse("portal:dashboard")).status_code == 302


def test_two_people_of_a_client_see_the_same(own: Side) -> None:
    make_person(own.client, "second@bakery.example", "Second Person")
    browser = Browser()
    log_in(browser, "second@bakery.example")
    html = browser.get(reverse("portal:dashboard")).content.decode()
    assert "Second Person" in html and own.invoice.number in html
