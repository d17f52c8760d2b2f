"""``manage.py demo_data``: fill the site with invented data, or take it away again."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from timetracker.tracking.demo import DemoRefused, DemoReport, demo_make, demo_remove


def _count(text: str) -> int:
    try:
        number = int(text.replace("_", ""))
    except ValueError:
        number = -1
    if number < 0:
        raise ArgumentTypeError(f"{text} is no number of 0 or more")
    return number


def _people(text: str) -> int:
    number = _count(text)
    if number < 3:
        raise ArgumentTypeError(f"{text} is no number of 3 or more")
    return number


class Command(BaseCommand):
    """One call of demo_make or demo_remove, and the report."""

    help = "Fill the site with an invented agency: people, clients, projects, time, invoices, expenses and files. --remove takes it away."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same data (default: 1)")
        parser.add_argument("--entries", type=_count, default=12_000, help="time entries, exactly (default: 12000)")
        parser.add_argument(
            "--people", type=_people, help="who made them, over as many years as it takes (default: 10 and more, in 18 months)"
        )
        parser.add_argument("--uploads-mb", type=_count, default=2, help="megabytes of scans and photos, besides receipts (default: 2)")
        parser.add_argument("--anchor", type=date.fromisoformat, metavar="YYYY-MM-DD", help="data ends on the day before (default: today)")
        parser.add_argument("--password", default="", help="a password for all of the invented people (default: nobody can log in)")
        parser.add_argument("--remove", action="store_true", help="take away what this command made, rows and files, and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make or remove, then say what and how long it took."""
        began = time.monotonic()
        try:
            if options["remove"]:
                verb, report = "Removed", demo_remove()
            else:
                verb = "Made"
                report = demo_make(
                    seed=options["seed"],
                    entries=options["entries"],
                    people=options["people"],
                    uploads_mb=options["uploads_mb"],
                    anchor_on=options["anchor"] or timezone.now().date(),
                    password=options["password"],
                )
        except DemoRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        self._print(verb, report, time.monotonic() - began)

    def _print(self, verb: str, report: DemoReport, seconds: float) -> None:
        rows = ", ".join(f"{count} {name}" for name, count in report.rows.items())
        self.stdout.write(f"{verb} {rows}; {report.files} files of {report.bytes / 1024**2:.1f} MB; in {seconds:.1f} s.")
        for sentence in report.kept:
            self.stdout.write(sentence)
