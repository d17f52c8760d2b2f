"""A ledger, in the database and in an upload, whose every state is known: what the visitors of a site under restore read and write.

It is in two tables and one file, and each says of which generation it is; in every state that a site was ever in, all three
say the same, and a generation's rows are always the same rows. Notes are what visitors add to it. :mod:`backups.tests.pages`
shows it. ``python -m backups.tests.ledger`` gives a site's database the people who look at it.
"""

from __future__ import annotations

from pathlib import Path

from backups.tests.load import CREATE, ROWS
from backups.tests.site import Site, populate

__all__ = [
    "CLIENT",
    "CLIENT_PEOPLE",
    "PASSWORD",
    "VISITORS",
    "ledger_file",
    "ledger_generation",
    "ledger_notes",
    "ledger_site",
    "visitor_name",
]

PASSWORD = "as-good-as-any-for-a-test"
# People who have an account, in every state of the data. The last of them work for a client and see the portal.
VISITORS = 8
CLIENT_PEOPLE = 2
CLIENT = "Counting House"


def visitor_name(number: int) -> str:
    """The username of a visitor, counted from 0."""
    return f"visitor{number}"


def ledger_site(site: Site) -> None:
    """Give ``site`` the demo agency, the ledger in generation 1, and the visitors' accounts; and let it serve the tests' pages."""
    assert site.templates, "only a site made by SiteTemplates can be filled"
    site.extra_env["DJANGO_SETTINGS_MODULE"] = "backups.tests.pages_settings"
    site.templates.adopt(site, content="ledger", fill=_fill)


def _fill(template: Site) -> None:
    populate(template, entries=300)
    template.extra_env["DJANGO_SETTINGS_MODULE"] = "backups.tests.pages_settings"
    with template.cursor() as cursor:
        cursor.execute(CREATE)
        for row in range(ROWS):
            cursor.execute(f"INSERT INTO ledger VALUES ({row}, 1, {row - (ROWS - 1 - row)})")
        cursor.execute("CREATE TABLE ledger_book (generation integer NOT NULL)")
        cursor.execute("INSERT INTO ledger_book VALUES (1)")
        cursor.execute("CREATE TABLE ledger_note (id varchar(32) PRIMARY KEY, author varchar(20) NOT NULL, words text NOT NULL)")
    ledger_file(template.media).write_text("1")
    process = template.run_python("-m", __name__)
    output = process.communicate(timeout=120)
    assert process.returncode == 0, output


def ledger_file(media: Path) -> Path:
    """The upload that says of which generation it is."""
    return media / "ledger.txt"


def ledger_generation(site: Site, generation: int) -> None:
    """Bring the ledger to a generation. Nobody may be looking: tables and file change one after the other."""
    site.execute(f"UPDATE ledger SET generation = {generation}")
    site.execute(f"UPDATE ledger_book SET generation = {generation}")
    fresh = ledger_file(site.media).with_name("ledger.new")
    fresh.write_text(str(generation))
    # As Django's storage does it: a file is replaced, never written into.
    fresh.replace(ledger_file(site.media))


def ledger_notes(site: Site) -> set[str]:
    """The ids of all notes that are live."""
    return {str(note) for (note,) in site.fetch("SELECT id FROM ledger_note")}


def main() -> None:
    """Make the visitors' accounts."""
    import django

    django.setup()
    from django.contrib.auth import get_user_model

    from portal.models import ClientPerson
    from timetracker.clients.models import Client

    client = Client.objects.filter(projects__isnull=False).distinct().earliest("pk")
    client.name, client.active, client.portal_enabled = CLIENT, True, True
    client.save()
    accounts = get_user_model().objects
    for number in range(VISITORS):
        name, email = visitor_name(number), f"{visitor_name(number)}@example.org"
        if number < VISITORS - CLIENT_PEOPLE:
            accounts.create_superuser(name, email, PASSWORD)
        else:
            ClientPerson.objects.create(user=accounts.create_user(name, email, PASSWORD), client=client)


if __name__ == "__main__":
    main()
