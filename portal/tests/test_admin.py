"""The admin of clients' people: accounts that go with them, invitations, and no way to the team's accounts."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core import mail
from django.test import Client as Browser
from django.urls import reverse

from portal.models import ClientPerson
from portal.tests.conftest import Side
from timetracker.accounts.models import User
from timetracker.billing.models import Invoice, Payment
from timetracker.siteconf.models import SiteSettings

pytestmark = pytest.mark.django_db

LIST = "admin:portal_clientperson_changelist"
ADD = "admin:portal_clientperson_add"
CHANGE = "admin:portal_clientperson_change"
DELETE = "admin:portal_clientperson_delete"


@pytest.fixture
def boss() -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss", "boss@studio.example", "x"))
    return browser


def fields(own: Side, **changes: str) -> dict[str, Any]:
    """What the form of a new person is filled with."""
    form = {"full_name": "New Person", "email": "New@Bakery.Example", "time_zone": "Europe/Berlin", "is_active": "on"}
    return {"client": own.client.pk, **form, **changes}


def errors_of(response: Any) -> dict[str, list[str]]:
    """The messages of a refused form."""
    assert response.status_code == 200
    found: dict[str, list[str]] = response.context["adminform"].form.errors
    return found


def run_action(browser: Browser, name: str, *people: ClientPerson) -> str:
    """Choose an action for people in the list; the page that follows."""
    form = {"action": name, "_selected_action": [person.pk for person in people]}
    return browser.post(reverse(LIST), form, follow=True).content.decode()


def test_a_new_person_gets_an_account_that_nobody_can_log_in_to_yet(boss: Browser, own: Side) -> None:
    SiteSettings.objects.create(time_zone="Asia/Tokyo")
    assert b'value="Asia/Tokyo"' in boss.get(reverse(ADD)).content
    assert boss.post(reverse(ADD), fields(own)).status_code == 302
    person = ClientPerson.objects.get(user__username="new@bakery.example")
    user = person.user
    assert (user.email, user.full_name, user.time_zone) == ("new@bakery.example", "New Person", "Europe/Berlin")
    assert not user.has_usable_password() and not user.is_staff and user.is_active
    assert "not invited yet" in boss.get(reverse(LIST)).content.decode()


def test_two_accounts_never_have_one_address(boss: Browser, own: Side) -> None:
    errors = errors_of(boss.post(reverse(ADD), fields(own, email=own.user.email.upper())))
    assert errors == {"email": ["There is an account with this e-mail address already."]}
    User.objects.create_user("Robin@Studio.Example")
    assert "email" in errors_of(boss.post(reverse(ADD), fields(own, email="robin@studio.example")))
    assert "email" in errors_of(boss.post(reverse(ADD), fields(own, email="o'neil@bakery.example")))
    assert "time_zone" in errors_of(boss.post(reverse(ADD), fields(own, time_zone="Europe/Nowhere")))
    assert ClientPerson.objects.count() == 1


def test_changing_the_address_changes_what_she_logs_in_with(boss: Browser, own: Side) -> None:
    page = reverse(CHANGE, args=[own.person.pk])
    html = boss.get(page).content.decode()
    assert 'value="toni@bakery.example"' in html and 'value="Toni Client"' in html
    assert boss.post(page, fields(own, is_active="")).status_code == 302
    own.user.refresh_from_db()
    assert (own.user.username, own.user.email, own.user.is_active) == ("new@bakery.example", "new@bakery.example", False)
    assert own.user.check_password("correct horse battery")
    assert "switched off" in boss.get(reverse(LIST)).content.decode()


def test_invitations_are_sent_logged_and_counted(boss: Browser, own: Side, other: Side) -> None:
    page = run_action(boss, "send_invitations", own.person, other.person)
    assert "2 invitations sent. The link works once, for a day." in page
    assert sorted(message.to[0] for message in mail.outbox) == [other.user.email, own.user.email]
    own.person.refresh_from_db()
    assert own.person.invited_at is not None
    assert LogEntry.objects.filter(change_message="An invitation was sent.").count() == 2


def test_a_mail_that_is_not_accepted_is_said_and_the_person_stays_uninvited(boss: Browser, own: Side, settings: Any) -> None:
    # Nobody listens on port 1.
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1", 1
    page = run_action(boss, "send_invitations", own.person)
    assert "was not sent. The mail server 127.0.0.1:1 cannot be reached" in page and "by EMAIL_URL" in page
    assert "Errno" not in page and "Show a link to hand over" in page and "1 invitation sent" not in page
    own.person.refresh_from_db()
    assert own.person.invited_at is None and not LogEntry.objects.exists()


def test_a_link_can_be_handed_over_where_there_is_no_mail(boss: Browser, own: Side) -> None:
    page = run_action(boss, "show_links", own.person)
    start = page.index("http://testserver/portal/invitation/")
    link = page[start : page.index("<", start)]
    assert Browser().get(link.strip(), follow=True).context["validlink"]
    assert not mail.outbox
    assert LogEntry.objects.get().change_message == "A link was shown."


@pytest.mark.parametrize("change", [{"is_staff": True}, {"is_superuser": True}])
def test_editing_people_is_no_way_to_an_account_of_the_team(own: Side, change: dict[str, bool]) -> None:
    """Somebody who may edit clients' people must not set the address, and so the password, of somebody with more rights."""
    editor = User.objects.create_user("editor", is_staff=True)
    editor.user_permissions.set(Permission.objects.filter(codename__in=["change_clientperson", "view_clientperson", "view_client"]))
    User.objects.filter(pk=own.user.pk).update(**change)
    browser = Browser()
    browser.force_login(editor)
    refused = browser.post(reverse(CHANGE, args=[own.person.pk]), fields(own))
    assert b"belongs to the team" in refused.content
    for action in ("send_invitations", "show_links"):
        page = run_action(browser, action, own.person)
        assert "belongs to the team" in page and "/portal/invitation/" not in page
    own.user.refresh_from_db()
    assert own.user.email == "toni@bakery.example" and not mail.outbox


def test_actions_need_the_right_to_change(own: Side) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_clientperson"))
    browser = Browser()
    browser.force_login(viewer)
    assert "send_invitations" not in browser.get(reverse(LIST)).content.decode()
    run_action(browser, "send_invitations", own.person)
    assert not mail.outbox


def test_the_account_goes_with_the_person(boss: Browser, own: Side, other: Side) -> None:
    assert boss.post(reverse(DELETE, args=[own.person.pk]), {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=own.user.pk).exists()
    form = {"action": "delete_selected", "_selected_action": [other.person.pk], "post": "yes"}
    boss.post(reverse(LIST), form)
    assert not ClientPerson.objects.exists() and not User.objects.filter(pk=other.user.pk).exists()


def test_an_account_of_the_team_stays_when_its_person_goes(boss: Browser, own: Side) -> None:
    User.objects.filter(pk=own.user.pk).update(is_staff=True)
    boss.post(reverse(DELETE, args=[own.person.pk]), {"post": "yes"})
    assert not ClientPerson.objects.exists() and User.objects.filter(pk=own.user.pk).exists()


def test_a_client_with_people_is_not_deleted_by_accident(boss: Browser, own: Side) -> None:
    # Its invoices would be in the way, too.
    Payment.objects.all().delete()
    Invoice._base_manager.all().delete()
    page = boss.get(reverse("admin:clients_client_delete", args=[own.client.pk])).content.decode()
    assert "client person" in page.lower() and "protected" in page.lower()


def test_search_and_filters_open(boss: Browser, own: Side) -> None:
    for asked in ("?q=bakery", "?user__is_active__exact=1", "?invited_at__isempty=1"):
        page = boss.get(reverse(LIST) + asked)
        assert page.status_code == 200 and own.user.email in page.content.decode(), asked
