"""The agency: its people, clients, projects, tasks and agreed rates."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from timetracker.accounts.models import User
from timetracker.clients.models import Client
from timetracker.tracking.demo import words
from timetracker.tracking.demo.calendar import MONTHS, first_day, month_after, working_days
from timetracker.tracking.demo.refusal import DemoRefused
from timetracker.tracking.demo.tables import Ids
from timetracker.tracking.models import Project, ProjectRate, Task

__all__ = ["Agency", "DemoProject", "make_agency", "months_needed"]

_PEOPLE = 10
_CLIENTS = 12
# Entries of one person on one day, beyond which the agency has more people instead, or a longer past.
_ENTRIES_PER_DAY = 6
# Before this year forms take no dates.
_FIRST_YEAR = 2000

_RATES = {"EUR": 95, "USD": 110, "GBP": 85, "CHF": 140, "SEK": 1050}
_CURRENCIES = ("EUR", "EUR", "USD", "EUR", "GBP", "EUR", "CHF", "EUR", "SEK", "EUR", "USD", "EUR")
_COLOURS = ("#0f766e", "#1d4ed8", "#b45309", "#7c3aed", "#be123c", "#15803d", "#0369a1", "#a16207")
_OPEN = (Task.Status.TODO, Task.Status.DOING, Task.Status.DOING, Task.Status.REVIEW)
_ADDRESS_TOWNS = ("Sampleton", "Exampleville", "Placeholder Bay", "Specimen Hill")


@dataclass
class DemoProject:
    """A project with what its entries need: the months in which it runs (``to_month`` is the first without), agreed rates by user id."""

    project: Project
    kind: words.Kind
    from_month: int
    to_month: int
    task_ids: list[int] = field(default_factory=list)
    rates: dict[int, Decimal] = field(default_factory=dict)


@dataclass
class Agency:
    """Everything that stands before the first hour is worked, ``months`` months before the anchor's."""

    months: int = MONTHS
    users: list[User] = field(default_factory=list)
    # The accounts of clients' people in the portal, and for which client each stands.
    guests: list[tuple[User, Client]] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    projects: list[DemoProject] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    rates: list[ProjectRate] = field(default_factory=list)


def months_needed(*, anchor_on: date, entries: int, people: int | None) -> int:
    """Return over how many months so many people make ``entries``: :data:`MONTHS`, more only where their number is given.

    Raises DemoRefused where these would begin before the year 2000.
    """
    months = MONTHS
    while people is not None and len(working_days(anchor_on, months)) * _ENTRIES_PER_DAY * people < entries:
        months += 12
        if first_day(anchor_on, months).year < _FIRST_YEAR:
            raise DemoRefused(
                f"{people} people cannot have made {entries} entries since {_FIRST_YEAR}. Ask for more people or fewer entries."
            )
    return months


def make_agency(*, seed: int, anchor_on: date, entries: int, people: int | None, months: int, ids: Ids, password: str) -> Agency:
    """Invent the agency, as it is after ``months`` months.

    It has so many ``people``; None: ten, and more where ``entries`` are too many for ten. ``password`` is the hash that all of them
    have, or empty: then nobody can log in as one of them.
    """
    random = Random(f"{seed}/agency")  # noqa: S311 (invented data)
    start = datetime.combine(first_day(anchor_on, months), time(8), UTC)
    if people is None:
        people = max(_PEOPLE, -(-entries // (len(working_days(anchor_on, months)) * _ENTRIES_PER_DAY)))
    agency = Agency(months)
    agency.users = [_user(number, random, start, ids, password) for number in range(people)]
    # The internal work has a client of its own: the agency.
    own = _client(ids, words.COMPANY + " (internal)", "EUR", start, random, number=0)
    own.default_rate, own.portal_enabled = None, False
    agency.clients = [own]
    for number in range(1, max(_CLIENTS, people // 2) + 1):
        currency = _CURRENCIES[number % len(_CURRENCIES)]
        agency.clients.append(_client(ids, _client_name(number - 1, currency), currency, start, random, number=number))
    _add_project(agency, own, 0, words.INTERNAL, 0, months + 1, anchor_on, random, ids)
    for number, client in enumerate(agency.clients[1:], 1):
        first = number % len(words.KINDS)
        for turn in range((2 + number % 2) * months // MONTHS):
            # The first goes on to this day, others have their time.
            begins = 0 if turn == 0 else random.randint(1, months - MONTHS // 2)
            ends = months + 1 if turn == 0 else min(months + 1, begins + random.randint(4, 10))
            kind = words.KINDS[(first + turn * 2) % len(words.KINDS)]
            _add_project(agency, client, number, kind, begins, ends, anchor_on, random, ids, again=turn // len(words.KINDS))
    host = next(client for client in agency.clients if client.portal_enabled and client.active)
    agency.guests = [(_guest(place, host, random, start, ids, password), host) for place in range(2)]
    return agency


def _guest(place: int, client: Client, random: Random, start: datetime, ids: Ids, password: str) -> User:
    """Return the account of the client's contact, or of a colleague; a client's person logs in with the e-mail address."""
    colleague = f"{words.GIVEN_NAMES[-1]} {words.SURNAMES[-1]}"
    host = client.email.partition("@")[2]
    email = client.email if place == 0 else f"{colleague.replace(' ', '.').lower()}@{host}"
    return User(
        id=ids.take(User),
        username=email,
        password=password or _unusable(random),
        full_name=client.contact_name if place == 0 else colleague,
        email=email,
        time_zone="Europe/Berlin",
        date_joined=start,
        created_at=start,
        updated_at=start,
    )


def _unusable(random: Random) -> str:
    """Return what set_unusable_password() writes, but the same on every run."""
    return "!" + "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=40))


def _user(number: int, random: Random, start: datetime, ids: Ids, password: str) -> User:
    # Each round through the given names takes the next surname, so a name comes again after all 1140, then with a number.
    rounds, place = divmod(number, len(words.GIVEN_NAMES))
    given = words.GIVEN_NAMES[place]
    surname = words.SURNAMES[(place + rounds) % len(words.SURNAMES)]
    again = rounds // len(words.SURNAMES)
    username = f"{given}.{surname}".lower() + (str(again + 1) if again else "")
    return User(
        id=ids.take(User),
        username=username,
        password=password or _unusable(random),
        full_name=f"{given} {surname}" + (f" {again + 1}" if again else ""),
        email=f"{username}@studio.example",
        time_zone=words.TIME_ZONES[number % len(words.TIME_ZONES)],
        hourly_rate=Decimal(random.randrange(60, 125, 5)),
        currency="EUR",
        is_staff=True,
        weekly_hours=Decimal(20 if number % 4 == 3 else 40),
        date_joined=start,
        created_at=start,
        updated_at=start,
    )


def _client_name(number: int, currency: str) -> str:
    # As with people; neighbours differ in both words, and a name comes again after all 300, then with a number.
    rounds, place = divmod(number, len(words.CLIENT_FIRST))
    first = words.CLIENT_FIRST[place]
    second = words.CLIENT_SECOND[(place * 3 + rounds) % len(words.CLIENT_SECOND)]
    again = rounds // len(words.CLIENT_SECOND)
    return f"{first} {second}" + (f" {again + 1}" if again else "") + f" {words.CLIENT_SUFFIX[currency]}"


def _client(ids: Ids, name: str, currency: str, start: datetime, random: Random, *, number: int) -> Client:
    contact = f"{random.choice(words.GIVEN_NAMES)} {random.choice(words.SURNAMES)}"
    host = "".join(part for part in name.lower() if part.isalnum())
    town = _ADDRESS_TOWNS[number % len(_ADDRESS_TOWNS)]
    return Client(
        id=ids.take(Client),
        name=name,
        contact_name=contact,
        email=f"{contact.replace(' ', '.').lower()}@{host}.example",
        phone=f"+00 555 {1000 + number}",
        address=f"{random.choice(words.STREETS)} {random.randint(1, 120)}\n{10000 + number * 7} {town}",
        currency=currency,
        default_rate=Decimal(_RATES[currency]),
        active=number % 11 != 10,
        portal_enabled=number % 3 == 1,
        created_at=start,
        updated_at=start,
    )


def _add_project(
    agency: Agency,
    client: Client,
    number: int,
    kind: words.Kind,
    begins: int,
    ends: int,
    anchor_on: date,
    random: Random,
    ids: Ids,
    *,
    again: int = 0,
) -> None:
    """Add a project; ``again`` is how many of this kind the client has had."""
    base = first_day(anchor_on, agency.months)
    starts_on, ends_on = month_after(base, begins), month_after(base, ends)
    made = datetime.combine(starts_on, time(8, 30), UTC)
    billable = kind is not words.INTERNAL
    closed = ends <= agency.months
    times = str(again + 1) if again else ""
    rate = Decimal(_RATES[client.currency] * random.choice((90, 110, 120)) // 100) if billable and random.random() < 0.4 else None
    initials = "".join(word[0] for word in client.name.split()[:2])
    project = Project(
        id=ids.take(Project),
        client=client,
        name=f"{kind.name} {times}".strip(),
        code=f"{initials}{number:02d}-{kind.code}{times}",
        billable=billable,
        hourly_rate=rate,
        status=Project.Status.CLOSED if closed else (Project.Status.PAUSED if number % 9 == 8 else Project.Status.ACTIVE),
        colour=_COLOURS[(number + begins) % len(_COLOURS)],
        created_at=made,
        updated_at=made,
    )
    demo = DemoProject(project, kind, begins, ends)
    for position, name in enumerate(kind.tasks):
        due_on = starts_on + timedelta(days=(ends_on - starts_on).days * (position + 1) // len(kind.tasks))
        done = due_on < anchor_on - timedelta(days=20)
        task = Task(
            id=ids.take(Task),
            project=project,
            name=name,
            status=Task.Status.DONE
            if done
            else random.choice((Task.Status.TODO, Task.Status.DOING, Task.Status.DOING, Task.Status.REVIEW)),
            assignee=random.choice(agency.users) if random.random() < 0.8 else None,
            estimate_hours=Decimal(random.randrange(4, 80, 4)) if billable else None,
            due_on=due_on if billable else None,
            created_at=made,
            updated_at=made,
        )
        agency.tasks.append(task)
        demo.task_ids.append(task.id)
    if billable and random.random() < 0.35:
        expert = random.choice(agency.users)
        amount = Decimal(_RATES[client.currency] * 135 // 100)
        agency.rates.append(
            ProjectRate(id=ids.take(ProjectRate), project=project, user=expert, hourly_rate=amount, created_at=made, updated_at=made)
        )
        demo.rates[expert.id] = amount
    agency.projects.append(demo)
