"""What the team does in its pages survives a backup and a restore; and what a restore looks like from these pages."""

from __future__ import annotations

import json
import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pytest

from backups.tests.halting import halted
from backups.tests.site import Site
from backups.tests.team_browser import TeamBrowser, file_of
from backups.tests.web import WebServer
from backups.tests.wrecking import wreck

PASSWORD = "as-good-as-any-for-a-test"
PDF, PNG = b"%PDF-1.4\n1 0 obj", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
# The pages with sums, of one client alone where a timer runs for another.
TOTALS = (
    "/entries/?period=all&client={client}",
    "/entries/csv/?period=all&client={client}",
    "/reports/report.csv?range=all&by=person&then=task&client={client}",
    "/reports/budgets/?state=all",
    "/clients/{client}/",
    "/projects/{project}/",
    "/expenses/",
    "/team/",
    "/week/?week=2026-W10&person={member}",
)


@dataclass
class Team:
    """A site at work, and the people who have made everything on it."""

    site: Site
    server: WebServer

    def browser(self, username: str) -> TeamBrowser:
        """Somebody who is logged in."""
        browser = TeamBrowser(self.server)
        browser.log_in(username, PASSWORD)
        return browser

    def number(self, query: str) -> int:
        """The one number that a query finds."""
        ((number,),) = self.site.fetch(query)
        return int(number)

    def number_of(self, table: str, column: str, value: str) -> int:
        """The id of a row."""
        return self.number(f"SELECT id FROM {table} WHERE {column} = '{value}'")

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The rows of which pages are looked at."""
        return {
            "client": self.number_of("clients_client", "name", "Sample Bakery"),
            "project": self.number_of("tracking_project", "code", "SB-WEB"),
            "member": self.number_of("accounts_user", "username", "member@studio.example"),
        }

    def totals(self, browser: TeamBrowser) -> dict[str, str]:
        """What the pages with sums say."""
        answers = {path: browser.see(path.format(**self.numbers)) for path in TOTALS}
        # The time of day is on some, for timers.
        return {path: re.sub(r"up to \d\d:\d\d", "", answer.main or answer.body) for path, answer in answers.items()}

    # --- what people do -----------------------------------------------------------------------------------------------

    def work(self) -> None:
        """All that the pages can make, change and archive; the member's timer runs at the end."""
        owner = self.browser("owner")
        self._people(owner)
        self._records(owner)
        self._member_at_work()
        self._manager_at_work(self.browser("manager@studio.example"))
        self._corrected(owner)

    def _people(self, owner: TeamBrowser) -> None:
        """Invite three, of whom two come in; change the role of one, and switch the third off."""
        for name, role in (("Member", "Member"), ("Manager", "Member"), ("Gone", "Bookkeeper")):
            owner.send("/team/invite/", full_name=name, email=f"{name.lower()}@studio.example", role=role, weekly_hours="38.5")
        for name in ("member", "manager"):
            number = self.number_of("accounts_user", "username", f"{name}@studio.example")
            shown = owner.see(owner.send(f"/team/{number}/link/")).body
            found = re.search(r"<code>https?://[^/]+([^<]+)</code>", shown)
            assert found, shown
            guest = TeamBrowser(self.server)
            form = guest.get(found[1]).to
            guest.see(form)
            assert guest.send(form, new_password1=PASSWORD, new_password2=PASSWORD) == "/"
            if name == "manager":
                owner.send(f"/team/{number}/", role="Manager", weekly_hours="20", is_active="on")
        gone = self.number_of("accounts_user", "username", "gone@studio.example")
        owner.send(f"/team/{gone}/", role="Bookkeeper")

    def _records(self, owner: TeamBrowser) -> None:
        """Clients, projects, rates, tasks, a document and expenses, some of them archived and reopened."""
        bakery = owner.send("/clients/add/", name="Sample Bakery", currency="USD", default_rate="80", notes="„Ümläute“ 🥐")
        closed = owner.send("/clients/add/", name="Old Mill", currency="CHF")
        owner.send(f"{closed}archive/")
        owner.send(f"{bakery}archive/")
        owner.send(f"{bakery}reopen/")
        client = bakery.split("/")[2]
        project = {"client": client, "status": "active", "colour": "#64748b", "billable": "on"}
        web = owner.send("/projects/add/", name="Website", code="SB-WEB", budget_hours="12.5", **project)
        garage = owner.send("/clients/add/", name="Sample Garage", currency="EUR").split("/")[2]
        owner.send("/projects/add/", name="Phone", code="SG-TEL", hourly_rate="0", **project | {"client": garage})
        done = owner.send("/projects/add/", name="Poster", code="SB-OLD", **project)
        owner.send(f"{done}archive/")
        member = self.number_of("accounts_user", "username", "member@studio.example")
        owner.send(f"{web}rates/", user=member, hourly_rate="95.55")
        for task in ("Texts", "Pictures"):
            owner.send(f"{web}tasks/", name=task)
        pictures = self.number_of("tracking_task", "name", "Pictures")
        owner.send(f"/tasks/{pictures}/", name="Pictures", assignee=member, estimate_hours="3", due_on="2026-04-01")
        owner.send(f"/tasks/{pictures}/done/")
        owner.send(f"{bakery}documents/add/", title="Offer", file=file_of("offer.pdf", PDF), visible_to_client="on")
        expense = {"currency": "USD", "category": "travel", "spent_on": "2026-03-02", "user": member}
        owner.send("/expenses/add/", description="Train", amount="40.20", receipt=file_of("ticket.png", PNG), **expense)
        owner.send("/expenses/add/", description="Paper", amount="7", project=web.split("/")[2], billable="on", **expense)

    def _member_at_work(self) -> None:
        """The timer, started, switched, moved, stopped, discarded, and running; and entries of a week in another time zone."""
        member = self.browser("member@studio.example")
        member.send("/account/", full_name="Kim Example", time_zone="Pacific/Auckland")
        web, phone = (self.number_of("tracking_project", "code", code) for code in ("SB-WEB", "SG-TEL"))
        texts = self.number_of("tracking_task", "name", "Texts")
        running = "SELECT id FROM tracking_timeentry WHERE ended_at IS NULL"
        for work, notes in ((f"{web}-{texts}", "first draft"), (str(phone), "a call")):
            member.send("/timer/start/", work=work, notes=notes)
        member.send("/timer/discard/", entry=self.number(running))
        # Clocks are put forward on 27 September in Auckland, and the second of these goes on past midnight.
        for day, time in (("2026-03-03", "9-10:30"), ("2025-09-28", "1:30-3:30"), ("2026-03-04", "22-1:15")):
            member.send("/entries/new/", day=day, work=f"{web}-{texts}", time=time, notes="by hand", tags="a, b", billable="on")
        member.send("/timer/start/", work=str(phone), notes="the timer that runs")
        member.send("/timer/shift/", entry=self.number(running), day="2026-03-12", time="08:00")

    def _manager_at_work(self, manager: TeamBrowser) -> None:
        """Cells of a week, her own and the member's, and several entries at once."""
        web = self.numbers["project"]
        for person in ("", str(self.numbers["member"])):
            address = f"/week/?week=2026-W10&person={person}&row={web}"
            rows = re.findall(r'name="row" value="([^"]+)"', manager.see(address).body)
            row = next(each for each in rows if each.split("|")[0] == str(web))
            cells = {f"cell.{web}.2026-03-02": "1:30", f"cell.{web}.2026-03-06": "9-10:30"}
            manager.send("/week/", week="2026-W10", person=person, row=row, do="save", **cells)
        numbers = [number for (number,) in self.site.fetch("SELECT id FROM tracking_timeentry WHERE notes = 'by hand'")]
        asked = "&".join(f"entry={number}" for number in numbers)
        mark = f"{len(numbers)}-{sum(map(int, numbers))}"
        manager.send(f"/entries/change/?{asked}", tag="looked-at", mark=mark)

    def _corrected(self, owner: TeamBrowser) -> None:
        """An entry changed, copied and deleted."""
        number = self.number("SELECT MIN(id) FROM tracking_timeentry WHERE notes = 'by hand'")
        owner.send(f"/entries/{number}/copy/", day="2026-03-09")
        owner.send(f"/entries/{number}/edit/", day="2026-03-03", work=str(self.numbers["project"]), time="8-9:45", notes="corrected")
        last = self.number("SELECT MAX(id) FROM tracking_timeentry")
        owner.send(f"/entries/{last}/copy/", day="2026-03-10")
        owner.send(f"/entries/{last}/remove/", confirmed="yes")


@pytest.fixture
def team(site: Site) -> Iterator[Team]:
    """A site with an owner and no data, at whose pages people have worked."""
    site.extra_env["DJANGO_SETTINGS_MODULE"] = "backups.tests.pages_settings"
    # Longer than any test holds the gate closed.
    site.extra_env["BACKUPS_HOLD_SECONDS"] = "60"
    make = f"User.objects.create_superuser('owner', 'owner@studio.example', '{PASSWORD}')"
    site.manage("shell", "--verbosity", "0", "--command", f"from timetracker.accounts.models import User; {make}")
    with WebServer(site).running() as server:
        team = Team(site, server)
        team.work()
        yield team


def since(page: str) -> int:
    """From when on the clock of the running timer counts, in seconds since 1970."""
    found = re.search(r'role="timer"[^>]* data-since="(\d+)"', page)
    assert found, page
    return int(found[1]) // 1000


def test_what_the_team_makes_in_its_pages_is_back_after_a_restore(team: Team) -> None:
    site = team.site
    before_totals = team.totals(team.browser("owner"))
    archive = site.manage("backup_create").stdout.strip()
    before, files = site.dump_tables(), site.uploads()
    counts = {table: len(rows) for table, rows in before.items()}
    assert counts["tracking_timeentry"] == 10 and counts["billing_expense"] == 2 and counts["tracking_projectrate"] == 1, counts
    assert sorted(path.rsplit("/", 1)[-1] for path in files) == ["offer.pdf", "ticket.png"]

    member, running = team.browser("member@studio.example"), team.number("SELECT id FROM tracking_timeentry WHERE ended_at IS NULL")
    member.send("/timer/stop/", entry=running)
    wreck(site)
    assert site.dump_tables() != before and site.uploads() != files

    restored = site.manage("backup_restore", archive, "--no-input", "--uploads", "exact")
    assert site.dump_tables() == before
    assert site.uploads() == files
    assert "1 timer was running in the restored data: Kim Example on SG-TEL" in restored.stdout + restored.stderr
    assert member.get("/").to.startswith("/login/"), "a restore ends the sessions"
    assert team.totals(team.browser("owner")) == before_totals

    # The timer counts on from when it had begun, and is stopped as any other.
    member.log_in("member@studio.example", PASSWORD)
    begins = int(datetime(2026, 3, 11, 19, 0, tzinfo=UTC).timestamp())
    assert since(member.see("/").body) == begins, "at 8:00 in Auckland"
    assert json.loads(member.see("/timer/").body)["running"] == running
    member.send("/timer/stop/", entry=running, day="2026-03-12", time="09:15")
    ended = team.number(f"SELECT break_seconds FROM tracking_timeentry WHERE id = {running} AND ended_at IS NOT NULL")
    assert ended == 0 and "1:15" in member.see("/week/?week=2026-W11").main


def test_during_a_restore_the_teams_pages_are_read_and_refuse_wait_and_go_on(team: Team) -> None:
    site = team.site
    member, owner = team.browser("member@studio.example"), team.browser("owner")
    archive = site.manage("backup_create").stdout.strip()
    before = site.dump_tables()
    numbers, running = team.numbers, team.number("SELECT id FROM tracking_timeentry WHERE ended_at IS NULL")
    forms: list[tuple[str, dict[str, Any]]] = [
        ("/timer/start/", {"work": numbers["project"], "notes": "too late"}),
        ("/timer/stop/", {"entry": running}),
        ("/week/", {"week": "2026-W10", "do": "save"}),
        ("/entries/new/", {"day": "2026-03-03", "work": numbers["project"], "time": "1:00"}),
        ("/clients/add/", {"name": "Too late"}),
        (f"/projects/{numbers['project']}/tasks/", {"name": "Too late"}),
        ("/expenses/add/", {"description": "Too late", "amount": "1", "receipt": file_of("late.png", PNG)}),
    ]
    with halted(site, "rows") as stopped:
        restore = site.popen("backup_restore", archive, "--no-input", "--no-progress", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        stopped.process()
        for path, fields in forms:
            answer = owner.post(path, fields)
            assert (answer.status, answer.to) == (503, ""), f"{path}: {answer}"
            assert "This was not saved" in answer.body, f"{path}: {answer.body}"
        for path in ("/", "/week/", "/entries/?period=all", "/reports/?range=all", "/clients/", "/projects/", "/expenses/"):
            assert "You can read, but not change anything." in member.see(path).body, path
        with halted(site, "closed") as shut:
            shut.process()
            with closing(member.asking("/entries/?period=all")) as waiting:
                assert not select.select([waiting.sock], [], [], 0.5)[0], "a page waits while the data is replaced"
                shut.go_on()
                answer = member.read(waiting)
    _, errors = restore.communicate(timeout=300)
    assert restore.returncode == 0, errors
    assert answer.status == 302 and answer.to.startswith("/login/"), "the wait ends with the new data, in which nobody is logged in"
    assert site.dump_tables() == before, "nothing of what was refused is there"
    member.log_in("member@studio.example", PASSWORD)
    assert since(member.see("/").body) and json.loads(member.see("/timer/").body)["running"] == running
    member.send("/timer/stop/", entry=running)
