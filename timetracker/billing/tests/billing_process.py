"""``python -m timetracker.billing.tests.billing_process``: several of them bill the same clients of one site at once.

``fill CLIENTS DAYS`` writes the clients, each with time on so many days. ``bill SEED`` walks over all days of all clients: it
drafts what is unbilled of a day, now and then deletes the draft or lets its issue fail, and issues it at last. It begins with a
line on its standard input, and prints each number that it gave.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import django
from django.db import OperationalError
from pytest import MonkeyPatch

FIRST = date(2025, 1, 1)


def fill(clients: int, days: int) -> None:
    """Two entries and an expense on each day of each client."""
    from timetracker.accounts.models import User
    from timetracker.billing.models import Expense
    from timetracker.clients.models import Client
    from timetracker.tracking.models import Project, TimeEntry

    robin = User.objects.create_superuser("robin", "robin@studio.example")
    for number in range(clients):
        client = Client.objects.create(name=f"Client {number}", default_rate=Decimal("90.50"))
        project = Project.objects.create(client=client, name="Work", code=f"W-{number}")
        for day in range(days):
            began = datetime.combine(FIRST + timedelta(days=day), datetime.min.time(), UTC) + timedelta(hours=8)
            for hour in (0, 3):
                start = began + timedelta(hours=hour)
                TimeEntry.objects.create(user=robin, project=project, started_at=start, ended_at=start + timedelta(hours=1 + hour / 4))
            Expense.objects.create(user=robin, project=project, description="Train", amount=12, spent_on=began.date(), billable=True)


def bill(seed: int) -> None:
    """Bill everything, as long as there is something."""
    from timetracker.accounts.models import User
    from timetracker.billing import issuing
    from timetracker.billing.drafts import draft_make
    from timetracker.billing.fixed import InvoiceRefused
    from timetracker.clients.models import Client
    from timetracker.tracking.models import TimeEntry

    chance = random.Random(seed)  # noqa: S311 - not for secrets
    robin = User.objects.get()
    days = range((TimeEntry.objects.latest("started_at").started_at.date() - FIRST).days + 1)
    print("ready", flush=True)
    sys.stdin.readline()
    for day in days:
        for client in Client.objects.order_by("pk"):
            # Two days at once, so that what one takes is a part of what another wants.
            since = FIRST + timedelta(days=day)
            until = since + timedelta(days=chance.randrange(2))
            try:
                draft = _patiently(lambda: draft_make(client, by=robin, since=since, until=until))  # noqa: B023 - called at once
                if chance.random() < 0.2:
                    _patiently(draft.delete)
                    draft = _patiently(lambda: draft_make(client, by=robin, since=since, until=since))  # noqa: B023
            except InvoiceRefused:
                # Another process has it all.
                continue
            if chance.random() < 0.2:
                with MonkeyPatch.context() as patch, suppress(OSError):
                    patch.setattr("timetracker.billing.invoice_pdf.invoice_pdf", _fails)
                    _patiently(lambda: issuing.invoice_issue(draft, robin))  # noqa: B023
            print(_patiently(lambda: issuing.invoice_issue(draft, robin)).number, flush=True)  # noqa: B023


def _patiently(action: Callable[[], Any]) -> Any:
    """What it returns. SQLite lets writers wait, and not in turn: who has waited too long is refused, and tries again."""
    while True:
        try:
            return action()
        except OperationalError as error:
            if "locked" not in str(error):
                raise


def _fails(*_: object, **__: object) -> bytes:
    raise OSError("no space left")


if __name__ == "__main__":
    django.setup()
    if sys.argv[1] == "fill":
        fill(int(sys.argv[2]), int(sys.argv[3]))
    else:
        bill(int(sys.argv[2]))
