"""What the templates know: the client, only on the portal's pages, and never at the cost of a page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import HttpRequest
from django.test import Client as Browser
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse

from backups import gate
from portal.context_processors import current_client, get_current_client
from portal.models import ClientPerson
from portal.tests.conftest import Side
from timetracker.accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def raised() -> Iterator[None]:
    """A restore of this process: the flag is up."""
    gate.gate_raise("restore-of-the-test", "restore")
    yield
    gate.gate_open()


def request_to(address: str, user: User | AnonymousUser) -> HttpRequest:
    """A request as the middleware has made it ready, before its view."""
    request = RequestFactory().get(address)
    request.user = user
    request.resolver_match = resolve(address)
    return request


def shown(request: HttpRequest) -> tuple[str, bool, int]:
    """The client's name, whether there are counts, and the queries that it took to show both."""
    with CaptureQueriesContext(connection) as queries:
        context = current_client(request)
        client, counts = context["current_client"], context["navigation_counts"]
        found = (client.name if client else "", bool(counts))
    return *found, len(queries)


def test_the_portal_knows_client_and_counts(own: Side) -> None:
    assert shown(request_to(reverse("portal:login"), own.user)) == (own.client.name, True, 3)


def test_a_page_that_shows_neither_makes_no_query(own: Side) -> None:
    with CaptureQueriesContext(connection) as queries:
        current_client(request_to(reverse("portal:dashboard"), own.user))
    assert not len(queries)


def test_other_pages_know_nothing_whoever_asks(own: Side) -> None:
    for address in (reverse("admin:index"), reverse("admin:login")):
        assert current_client(request_to(address, own.user)) == {}
    unresolved = RequestFactory().get("/nothing/")
    assert unresolved.resolver_match is None and current_client(unresolved) == {}


def test_staff_pages_take_no_query_of_the_portal(own: Side) -> None:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss", "boss@studio.example", "x"))
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(reverse("admin:index")).status_code == 200
    assert not [query["sql"] for query in queries if "portal_" in query["sql"]]


def test_navigation_counts_are_of_what_the_client_may_see(browser: Browser, own: Side) -> None:
    counts = browser.get(reverse("portal:dashboard")).context["navigation_counts"]
    assert (counts.projects, counts.open_invoices, counts.documents) == (1, 1, 1)
    own.client.portal_shows_invoices = own.client.portal_shows_documents = False
    own.client.save()
    counts = browser.get(reverse("portal:dashboard")).context["navigation_counts"]
    assert (counts.projects, counts.open_invoices, counts.documents) == (1, 0, 0)


def test_team_and_visitors_have_no_client(own: Side) -> None:
    staff = User.objects.create_user("robin", is_staff=True)
    ClientPerson.objects.create(user=staff, client=own.client)
    for visitor in (AnonymousUser(), staff):
        assert shown(request_to(reverse("portal:login"), visitor)) == ("", False, 0)


def test_during_a_restore_the_client_is_known_and_nothing_is_counted(own: Side, raised: None) -> None:
    assert shown(request_to(reverse("portal:login"), own.user)) == (own.client.name, False, 1)
    gate.gate_read_only()
    assert shown(request_to(reverse("portal:login"), own.user)) == (own.client.name, False, 1)


def test_a_page_makes_do_with_what_it_needs_during_a_restore(browser: Browser, raised: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        page = browser.get(reverse("portal:account"))
    assert page.status_code == 200 and len(queries) == 5
    assert b"Sample Bakery" in page.content and b'class="count"' not in page.content


def test_while_closed_nothing_is_asked(own: Side, raised: None) -> None:
    gate.gate_close()
    assert shown(request_to(reverse("portal:login"), own.user)) == ("", False, 0)


@pytest.mark.parametrize("table", ["portal_clientperson", "clients_document"])
@pytest.mark.django_db(transaction=True)
def test_torn_tables_mean_no_client_or_no_counts_and_a_connection_that_works(own: Side, table: str) -> None:
    request = request_to(reverse("portal:login"), own.user)
    with connection.schema_editor() as editor:
        editor.execute(f"ALTER TABLE {table} RENAME TO torn")
    try:
        context = current_client(request)
        assert bool(context["current_client"]) == (table != "portal_clientperson")
        assert not context["navigation_counts"]
        assert User.objects.filter(pk=own.user.pk).exists()
    finally:
        with connection.schema_editor() as editor:
            editor.execute(f"ALTER TABLE torn RENAME TO {table}")
    assert get_current_client(request) == own.client


def test_a_failure_within_a_transaction_marks_it_and_asks_no_more(own: Side) -> None:
    """Under ATOMIC_REQUESTS the page is still made, and what it wrote is taken back."""
    from django.db import transaction

    request = request_to(reverse("portal:login"), own.user)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE portal_clientperson RENAME TO torn")
        assert get_current_client(request) is None
        assert transaction.get_rollback()
    assert get_current_client(request) == own.client


@pytest.mark.django_db(transaction=True)
def test_the_login_is_shown_with_all_tables_gone(own: Side) -> None:
    browser = Browser()
    browser.force_login(own.user)
    tables = ["django_session", "portal_clientperson", "clients_client", "siteconf_sitesettings"]
    for table in tables:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO torn_{table}")
    try:
        page = browser.get(reverse("portal:login"))
        assert page.status_code == 200 and b"E-mail address" in page.content
    finally:
        for table in tables:
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER TABLE torn_{table} RENAME TO {table}")
