"""Documents of the clients: contracts, reports, and as many megabytes of scans and photos as asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from random import Random

from timetracker.accounts.models import User
from timetracker.clients.models import Client, Document
from timetracker.tracking.demo import words
from timetracker.tracking.demo.agency import Agency
from timetracker.tracking.demo.files import DemoFiles
from timetracker.tracking.demo.papers import letter_pdf, scan_pdf
from timetracker.tracking.demo.pictures import photo_jpeg, photo_png
from timetracker.tracking.demo.tables import Ids

__all__ = ["make_attachments", "make_letters"]

_MEGABYTE = 1024 * 1024
# Clients who get letters; an agency of hundreds has more clients, but bulk comes from --uploads-mb.
_CLIENTS_WITH_LETTERS = 40

_CONTRACT = (
    "This letter sets out how we work together. It is demo data and binds nobody.",
    "We bill the hours worked, in steps of a quarter of an hour, once a month. Each invoice lists the projects and the hours on them.",
    "Travel and other expenses are billed as they are; receipts are kept and sent on request.",
    "Either side may end the work at the end of a month, with a month's notice. What was made until then belongs to the client once paid.",
    "We keep what we learn to ourselves. Documents that both sides need are in the client's area of our time tracker.",
)
_REPORT = (
    "What was done: the open points of last quarter are closed, two findings of the accessibility review are left.",
    "What comes next: the plan for the coming quarter follows from the workshop. We suggest to begin with the content.",
    "Hours: within the budget. Waiting for texts cost about a week.",
)


def make_letters(*, seed: int, days: list[date], agency: Agency, ids: Ids, files: DemoFiles) -> list[Document]:
    """Write each client's contract and reports (PDF); the contract and every second report may be seen by the client."""
    random = Random(f"{seed}/letters")  # noqa: S311 (invented data)
    documents = []
    for place, client in enumerate(agency.clients[1 : _CLIENTS_WITH_LETTERS + 1], 1):
        dates = sorted(random.choice(days) for _ in range(2 + place % 2))
        for number, on in enumerate([days[0], *dates]):
            title = "Agreement on services" if number == 0 else f"Report {number}"
            content = letter_pdf(
                sender=f"{words.COMPANY}, Specimen Square 2, 10000 Exampleville",
                recipient=f"{client.name}\n{client.contact_name}\n{client.address}",
                on=on,
                title=title,
                paragraphs=_CONTRACT if number == 0 else random.sample(_REPORT, 2),
            )
            name = f"documents/{on:%Y/%m}/{title.lower().replace(' ', '-')}-{place:02d}.pdf"
            documents.append(_document(ids, files, client, title, name, content, on, agency.users[place % 2], visible=number % 2 == 0))
    return documents


def make_attachments(*, seed: int, megabytes: int, days: list[date], agency: Agency, ids: Ids, files: DemoFiles) -> list[Document]:
    """Make ``megabytes`` MiB of files, or less than two more.

    A tenth of them are tables (CSV), the rest photos and scans, which no compression makes smaller.
    """
    random = Random(f"{seed}/attachments")  # noqa: S311 (invented data)
    documents: list[Document] = []
    total = tables = 0
    while total < megabytes * _MEGABYTE:
        number = len(documents) + 1
        on = random.choice(days)
        client = random.choice(agency.clients[1:])
        if tables * 10 < total:
            title, ending, content = "Hours exported", "csv", _hours_csv(random, agency, on)
            tables += len(content)
        elif number % 3 == 0:
            title, ending = "Signed acceptance, scanned", "pdf"
            content = scan_pdf(title=title, jpeg=photo_jpeg(random, (600, 848)))
        else:
            title, ending = "Photo of the whiteboard", "png"
            content = photo_png(random, (random.randrange(320, 720, 8), random.randrange(240, 480, 8)))
        total += len(content)
        name = f"documents/{on:%Y/%m}/{title.split(',')[0].lower().replace(' ', '-')}-{number:05d}.{ending}"
        documents.append(
            _document(ids, files, client, f"{title}, {on}", name, content, on, random.choice(agency.users), visible=number % 2 == 0)
        )
    return documents


def _hours_csv(random: Random, agency: Agency, on: date) -> bytes:
    """Return a table of hours, about 100 kB."""
    lines = ["date,person,project,hours,notes"]
    for _ in range(1200):
        demo = random.choice(agency.projects)
        user = random.choice(agency.users)
        lines.append(f'{on},{user.full_name},{demo.project.code},{random.randrange(1, 33) / 4:.2f},"{random.choice(demo.kind.notes)}"')
    return ("\n".join(lines) + "\n").encode()


def _document(
    ids: Ids, files: DemoFiles, client: Client, title: str, name: str, content: bytes, on: date, uploaded_by: User, *, visible: bool
) -> Document:
    uploaded = datetime.combine(on, time(15), UTC)
    return Document(
        id=ids.take(Document),
        client=client,
        title=title,
        file=files.save(name, content),
        visible_to_client=visible,
        uploaded_by=uploaded_by,
        created_at=uploaded,
        updated_at=uploaded,
    )
