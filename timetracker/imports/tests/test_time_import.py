"""Files of time entries: what is read, what is wrong and why, and what is here already."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import Sum
from django.test import Client as Browser

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.clients.models import Client
from timetracker.imports.models import Import
from timetracker.imports.tests.files import checked, counts_of, faults_of, imported
from timetracker.tests.people import browser_of, somebody
from timetracker.tracking.models import Project, Task, TimeEntry

pytestmark = pytest.mark.django_db

TOGGL = """\
User,Email,Client,Project,Task,Description,Billable,Start date,Start time,End date,End time,Duration,Tags,Amount ()
Ann Bee,ann@studio.example,Bakery,Shop,Design,"Colours,
and type",Yes,2026-03-02,09:00:00,2026-03-02,10:30:30,01:30:30,"draft, web",
Cy Day,cy@studio.example,Bakery,Shop,,Call,No,2026-03-02,23:30:00,2026-03-03,00:15:00,00:45:00,,
"""


@pytest.fixture
def ann() -> User:
    """An owner in Berlin."""
    return somebody("ann", Role.OWNER, full_name="Ann Bee", time_zone="Europe/Berlin")


@pytest.fixture
def shop(ann: User) -> Project:
    """A project to book on."""
    bakery = Client.objects.create(name="Bakery")
    return Project.objects.create(client=bakery, name="Shop", code="SHOP")


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)  # type: ignore[arg-type,misc]


def spans() -> list[tuple[datetime, datetime | None, int]]:
    return list(TimeEntry.objects.order_by("started_at", "id").values_list("started_at", "ended_at", "break_seconds"))


def reasons(row: Import) -> dict[int, str]:
    return {line: reason for line, _, _, reason in faults_of(row)}


def test_a_file_of_another_program_comes_in_as_it_is(ann: User, shop: Project) -> None:
    somebody("cy", Role.MEMBER, full_name="Cy Day")
    design = Task.objects.create(project=shop, name="Design")
    row = imported(ann, "time", TOGGL)
    assert (row.state, counts_of(row).new, faults_of(row)) == ("done", 2, [])
    first, second = TimeEntry.objects.order_by("started_at")
    assert (first.user, first.project, first.task) == (ann, shop, design)
    assert (first.started_at, first.ended_at) == (at(2026, 3, 2, 8), at(2026, 3, 2, 9, 30, 30))
    assert (first.notes, first.tags, first.billable, first.source) == ("Colours,\nand type", "draft, web", True, "import")
    assert (second.user.username, second.ended_at, second.billable) == ("cy", at(2026, 3, 2, 23, 15), False)


def test_the_same_file_changes_nothing_a_second_time(ann: User, shop: Project) -> None:
    somebody("cy", Role.MEMBER, full_name="Cy Day")
    Task.objects.create(project=shop, name="Design")
    imported(ann, "time", TOGGL)
    before = list(TimeEntry.objects.order_by("pk").values())
    row = imported(ann, "time", TOGGL)
    counts = counts_of(row)
    assert (row.state, counts.rows, counts.new, counts.here) == ("done", 2, 0, 2)
    assert list(TimeEntry.objects.order_by("pk").values()) == before


def test_our_own_csv_changes_nothing(ann: User) -> None:
    call_command("demo_data", "--entries", "400", "--uploads-mb", "0", verbosity=0)
    odd = TimeEntry.objects.filter(ended_at__isnull=False).order_by("pk")[0]
    odd.notes, odd.tags = "=SUM(A1)\r\n-second line", "a, b"
    odd.started_at += timedelta(microseconds=123_456)
    odd.save()
    ended = TimeEntry.objects.filter(ended_at__isnull=False).count()
    content = b"".join(browser_of(ann).get("/entries/csv/?since=2000-01-01&until=2100-12-31").streaming_content)  # type: ignore[attr-defined]
    row = checked(ann, "time", content)
    counts = counts_of(row)
    assert (counts.new, counts.here) == (0, ended)
    assert ["a timer that still runs" in reason for reason in reasons(row).values()] == [True] * TimeEntry.objects.filter(
        ended_at=None
    ).count()


def test_what_is_missing_is_made_where_that_is_ticked_and_is_wrong_where_not(ann: User) -> None:
    text = (
        "Client,Project,Project code,Task,Start,End\n"
        "Mill,Grinding,GRIND,Oil,2026-03-02 9:00,2026-03-02 10:00\n"
        "mill,Sacks,,,2026-03-02 10:00,11:00\n"
    )
    row = checked(ann, "time", text)
    assert [fault[:3] for fault in faults_of(row)] == [(2, "Client", "Mill"), (3, "Client", "mill")]
    assert counts_of(checked(ann, "time", text, creates=True)).made == {
        "client": [1, ["Mill"]],
        "project": [2, ["Mill: Grinding", "mill: Sacks"]],
        "task": [1, ["Oil"]],
    }
    assert not Client.objects.exists()
    assert imported(ann, "time", text, creates=True).state == "done"
    assert list(Project.objects.values_list("client__name", "name", "code")) == [("Mill", "Grinding", "GRIND"), ("Mill", "Sacks", "SACKS")]
    assert list(TimeEntry.objects.order_by("started_at").values_list("project__code", "task__name")) == [("GRIND", "Oil"), ("SACKS", None)]
    assert counts_of(imported(ann, "time", text, creates=True)).here == 2
    assert (Client.objects.count(), Project.objects.count(), Task.objects.count()) == (1, 2, 1)


def test_every_wrong_cell_is_told_with_its_line_its_column_and_what_to_do(ann: User, shop: Project) -> None:
    text = (
        "Person,Client,Project,Start,End,Seconds,Note,Billable\n"
        'ann,Bakery,Shop,2026-03-02 9:00,2026-03-02 10:00,,"two\nlines",yes\n'
        "zoe,Baker,Shop,2026-13-02 9:00,2026-03-02,,,maybe\n"
        "ann,Bakery,Shop,2026-03-02 9:00,2026-03-02 8:00,,,\n"
        "ann,Bakery,Shop,2026-03-02 9:00,2026-03-02 10:00,7200,,\n"
        "ann,Bakery,Shop,2026-03-02 9:00,,,,\n"
        "ann,Bakery,Shop,9:00,10:00,,,\n"
        ",Bakery,,2026-03-02 9:00,10:00,,,\n"
        "ann,Bakery,Shop,2026-03-02 9:00,10:00,,,,,one too many\n"
        '"an"n,Bakery,Shop,2026-03-02 9:00,10:00,,,\n'
        "ann,Bakery,Shop,2026-03-02 9:00,2028-03-02 9:00,,,\n"
    )
    row = checked(ann, "time", text)
    assert (row.state, counts_of(row).bad, counts_of(row).new) == ("checked", 9, 1)
    assert [fault[:2] for fault in faults_of(row)] == [
        *((4, column) for column in ("Person", "Client", "Start", "Billable")),
        (5, "End"),
        (6, "Seconds"),
        (7, "End"),
        (8, "Start"),
        (9, "Person"),
        (9, "Project"),
        (10, ""),
        (11, ""),
        (12, "End"),
    ]
    assert "The end is not after the start" in reasons(row)[5]
    assert "a timer that still runs" in reasons(row)[7]
    assert "10 cells, and there are 8 columns" in reasons(row)[10]
    assert "longer than a year" in reasons(row)[12]
    assert not TimeEntry.objects.exists()


def test_years_that_no_calendar_of_ours_has_are_wrong_and_never_a_failure(ann: User, shop: Project) -> None:
    text = "Project,Start,End\nSHOP,0001-01-01 0:00,0001-01-01 1:00\nSHOP,9999-12-31 23:00,24:00\nSHOP,2100-12-31 23:00,24:00\n"
    row = checked(ann, "time", text)
    assert (row.state, row.message, [fault[:2] for fault in faults_of(row)]) == (
        "checked",
        "",
        [(2, "Start"), (2, "End"), (3, "Start")],
    )


def test_a_break_is_what_start_and_end_have_more_than_the_length(ann: User, shop: Project) -> None:
    imported(ann, "time", "Project,Start,End,Seconds\nSHOP,2026-03-02 9:00,17:00,27000\n", zone="UTC")
    imported(ann, "time", "Project,Start,End,Hours\nSHOP,2026-03-03 9:00,17:00,7.5\nSHOP,2026-03-04 9:00:20,10:00,1:00\n", zone="UTC")
    imported(ann, "time", "Project,Start,End,Break in seconds\nSHOP,2026-03-05 9:00,17:00,60\n", zone="UTC")
    imported(ann, "time", "Project,Start,Hours\nSHOP,2026-03-06 9:00,1:30\n", zone="UTC")
    assert [(ended - started, pause) for started, ended, pause in spans() if ended] == [
        (timedelta(hours=8), 1800),
        (timedelta(hours=8), 1800),
        (timedelta(minutes=59, seconds=40), 0),
        (timedelta(hours=8), 60),
        (timedelta(minutes=90), 0),
    ]


def test_a_file_with_days_and_hours_alone_begins_at_the_time_that_was_chosen(ann: User, shop: Project) -> None:
    text = "Date;Project;Hours;Note\n02.03.2026;Shop;1,5;a\n02.03.2026;Shop;0,25;b\n23.03.2026;Shop;8;c\n"
    row = imported(ann, "time", text, begins_at="08:15")
    assert (row.state, faults_of(row)) == ("done", [])
    assert [(started, ended) for started, ended, _ in spans()][:2] == [
        (at(2026, 3, 2, 7, 15), at(2026, 3, 2, 8, 45)),
        (at(2026, 3, 2, 7, 15), at(2026, 3, 2, 7, 30)),
    ]


def test_an_end_that_is_a_clock_time_before_the_start_is_one_of_the_next_day(ann: User, shop: Project) -> None:
    imported(ann, "time", "Project,Start,End\nSHOP,2026-03-02 22:00,1:00\nSHOP,2026-03-03 22:00,24:00\n", zone="UTC")
    assert [ended for _, ended, _ in spans()] == [at(2026, 3, 3, 1), at(2026, 3, 4)]


def test_clocks_that_change_are_understood_or_told(ann: User, shop: Project) -> None:
    """Berlin goes from 2:00 to 3:00 on 29 March and from 3:00 to 2:00 on 25 October."""
    text = (
        "Project,Start,End,Seconds\n"
        "SHOP,2026-10-25 1:30,2:30,\n"
        "SHOP,2026-10-25 1:31,2:30,7140\n"
        "SHOP,2026-10-25 2:45,2:15,\n"
        "SHOP,2026-10-25T02:30:00+01:00,2026-10-25T03:00:00+01:00,\n"
        "SHOP,2026-03-29 1:30,3:30,\n"
    )
    row = imported(ann, "time", text, zone="Europe/Berlin")
    assert (row.state, faults_of(row)) == ("done", [])
    october = datetime(2026, 10, 24, tzinfo=UTC)
    assert [
        (started.strftime("%H:%M"), (ended - started).seconds // 60) for started, ended, _ in spans() if started > october and ended
    ] == [
        ("23:30", 60),
        ("23:31", 119),
        ("00:45", 30),
        ("01:30", 30),
    ]
    assert [(ended - started) for started, ended, _ in spans() if started < october and ended] == [timedelta(hours=1)]
    row = checked(ann, "time", "Project,Start,End\nSHOP,2026-03-29 2:30,4:00\nSHOP,2026-03-29 1:00,2:15\n", zone="Europe/Berlin")
    assert [(line, column, reason[:41]) for line, column, _, reason in faults_of(row)] == [
        (2, "Start", "Clocks in Europe/Berlin were put forward "),
        (3, "End", "Clocks in Europe/Berlin were put forward "),
    ]


def test_rows_that_repeat_another_are_taken_once(ann: User, shop: Project) -> None:
    line = "SHOP,2026-03-02 9:00,10:00,same\n"
    row = imported(ann, "time", "Project,Start,End,Note\n" + line * 3 + "Shop,2026-03-02T09:00:00,2026-03-02 10:00,same\n")
    counts = counts_of(row)
    assert (counts.rows, counts.new, counts.repeated) == (4, 1, 3)
    assert TimeEntry.objects.count() == 1


def test_what_differs_in_person_project_start_end_or_note_is_another_entry(ann: User, shop: Project) -> None:
    somebody("cy")
    Project.objects.create(client=shop.client, name="Other", code="OTHER")
    text = (
        "Person,Project,Start,End,Note\n"
        "ann,SHOP,2026-03-02 9:00,10:00,a\n"
        "cy,SHOP,2026-03-02 9:00,10:00,a\n"
        "ann,OTHER,2026-03-02 9:00,10:00,a\n"
        "ann,SHOP,2026-03-02 9:01,10:00,a\n"
        "ann,SHOP,2026-03-02 9:00,10:01,a\n"
        "ann,SHOP,2026-03-02 9:00,10:00,A\n"
    )
    assert counts_of(imported(ann, "time", text)).new == 6
    assert counts_of(imported(ann, "time", text)).here == 6


def test_projects_that_are_called_alike_are_told_apart_by_client_or_code(ann: User, shop: Project) -> None:
    mill = Client.objects.create(name="Mill")
    Project.objects.create(client=mill, name="Shop", code="MILLSHOP")
    row = checked(ann, "time", "Project,Start,End\nShop,2026-03-02 9:00,10:00\n")
    assert "Several projects are called so" in reasons(row)[2]
    hours = "2026-03-02 9:00,10:00"
    text = f"Client,Project,Code,Start,End\nmill,shop,,{hours}\nBakery,,SHOP,{hours}\nMill,,SHOP,{hours}\n"
    row = checked(ann, "time", text)
    assert (counts_of(row).new, [fault[:3] for fault in faults_of(row)]) == (2, [(4, "Code", "SHOP")])
    assert "another client" in reasons(row)[4]


def test_people_are_found_by_username_mail_and_name_and_clients_people_never(ann: User, shop: Project) -> None:
    somebody("cy", full_name="Cy Day")
    somebody("cy2", full_name="Cy Day")
    User.objects.create_user("toni@bakery.example", full_name="Toni")
    names = ["ANN", "ann@studio.example", "ann  bee", "cy", "Cy Day", "toni@bakery.example", "nobody"]
    lines = [f"{name},SHOP,2026-03-02 {9 + index}:00,{10 + index}:00\n" for index, name in enumerate(names)]
    row = checked(ann, "time", "Person,Project,Start,End\n" + "".join(lines))
    assert (counts_of(row).new, counts_of(row).people) == (4, 2)
    assert [(line, reason[:22]) for line, _, _, reason in faults_of(row)] == [
        (6, "Several people are cal"),
        (7, "Nobody of the team is "),
        (8, "Nobody of the team is "),
    ]


def test_time_of_others_takes_the_right_to_see_it(ann: User, shop: Project) -> None:
    member = somebody("cy", Role.MEMBER, "imports.import_time")
    text = "Person,Project,Start,End\ncy,SHOP,2026-03-02 9:00,10:00\nann,SHOP,2026-03-02 9:00,10:00\nnobody,SHOP,2026-03-02 9:00,10:00\n"
    row = imported(member, "time", text)
    assert (row.state, [fault[:3] for fault in faults_of(row)]) == ("checked", [(3, "Person", "ann"), (4, "Person", "nobody")])
    assert "You may import your own time only" in reasons(row)[3]
    assert reasons(row)[4] == reasons(row)[3], "who is here is not told"
    assert imported(member, "time", "Project,Start,End\nSHOP,2026-03-02 9:00,10:00\n").state == "done"
    assert TimeEntry.objects.get().user == member


@pytest.mark.parametrize("how", ["paused", "archived"])
def test_a_project_that_takes_no_time_is_wrong_for_new_time_and_not_for_what_is_here(ann: User, shop: Project, how: str) -> None:
    text = "Project,Start,End\nSHOP,2026-03-02 9:00,10:00\n"
    imported(ann, "time", text)
    if how == "paused":
        Project.objects.update(status="paused")
    else:
        Client.objects.update(active=False)
    row = checked(ann, "time", text + "SHOP,2026-03-02 10:00,11:00\n")
    assert (counts_of(row).here, counts_of(row).new, counts_of(row).bad) == (1, 0, 1)
    assert "takes no new time" in reasons(row)[3]


def test_formula_text_is_kept_and_made_harmless_on_the_way_out(ann: User, shop: Project) -> None:
    imported(ann, "time", 'Project,Start,End,Note\nSHOP,2026-03-02 9:00,10:00,"=HYPERLINK(""http://bad.example"")"\n')
    assert TimeEntry.objects.get().notes == '=HYPERLINK("http://bad.example")'
    browser: Browser = browser_of(ann)
    assert b"\"'=HYPERLINK" in b"".join(browser.get("/entries/csv/?since=2000-01-01&until=2100-12-31").streaming_content)  # type: ignore[attr-defined]
    row = checked(ann, "time", "Project,Start,End\n=cmd|x,2026-03-02 9:00,10:00\n")
    csv: Any = browser.get(f"/import-export/imports/{row.pk}/wrong-rows.csv")
    assert b"2,Project,'=cmd|x," in b"".join(csv.streaming_content)


def test_texts_that_are_too_long_are_wrong(ann: User, shop: Project) -> None:
    row = checked(ann, "time", f"Project,Start,End,Note,Tags\nSHOP,2026-03-02 9:00,10:00,{'n' * 20_001},{'t' * 201}\n")
    assert [fault[1] for fault in faults_of(row)] == ["Note", "Tags"]
    assert len(faults_of(row)[0][2]) == 201, "the value is cut"


def test_the_sums_of_the_check_are_those_of_the_import(ann: User, shop: Project) -> None:
    lines = [f"SHOP,2026-03-{day:02d} 9:00,17:00,27000\n" for day in range(1, 29)]
    row = imported(ann, "time", "Project,Start,End,Seconds\n" + "".join(lines))
    assert (counts_of(row).seconds, counts_of(row).first, counts_of(row).last) == (28 * 27000, "2026-03-01", "2026-03-28")
    assert TimeEntry.objects.aggregate(Sum("break_seconds"))["break_seconds__sum"] == 28 * 1800
