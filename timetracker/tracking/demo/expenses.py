"""The agency's expenses, with their receipts."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from random import Random

from timetracker.billing.models import Expense
from timetracker.tracking.demo import words
from timetracker.tracking.demo.agency import Agency
from timetracker.tracking.demo.files import DemoFiles
from timetracker.tracking.demo.papers import receipt_pdf
from timetracker.tracking.demo.pictures import receipt_png
from timetracker.tracking.demo.tables import Ids

__all__ = ["make_expenses"]

_PER_PERSON = 12
# An agency of hundreds has no more than this: every receipt is drawn, and bulk comes from --uploads-mb.
_MOST = 600


def make_expenses(*, seed: int, days: list[date], agency: Agency, ids: Ids, files: DemoFiles) -> list[Expense]:
    """Invent expenses in the order of their dates and save their receipts: PDFs and PNGs; one in eight has lost it."""
    random = Random(f"{seed}/expenses")  # noqa: S311 (invented data)
    count = min(_MOST, _PER_PERSON * len(agency.users))
    expenses = []
    for number, spent_on in enumerate(sorted(random.choice(days) for _ in range(count)), 1):
        category, title, lowest, highest = random.choice(words.EXPENSES)
        month = (spent_on.year - days[0].year) * 12 + spent_on.month - days[0].month
        running = [demo for demo in agency.projects[1:] if demo.from_month <= month < demo.to_month]
        project = random.choice(running).project if random.random() < 0.6 else None
        currency = project.client.currency if project else "EUR"
        amount = Decimal(random.randrange(lowest * 100, highest * 100, 5)) / 100
        if currency == "SEK":
            amount *= 11
        entered = datetime.combine(spent_on, time(17, number % 60), UTC)
        expense = Expense(
            id=ids.take(Expense),
            user=random.choice(agency.users),
            project=project,
            category=category,
            description=title,
            spent_on=spent_on,
            amount=amount.quantize(Decimal("0.01")),
            currency=currency,
            billable=project is not None and category != "meals",
            created_at=entered,
            updated_at=entered,
        )
        kind = random.random()
        if kind < 0.875:
            draw, ending = (receipt_pdf, "pdf") if kind < 0.55 else (receipt_png, "png")
            content = draw(number=number, title=title, spent_on=spent_on, amount=expense.amount, currency=currency)
            expense.receipt = files.save(f"receipts/{spent_on:%Y/%m}/receipt-{number:04d}.{ending}", content)
        expenses.append(expense)
    return expenses
