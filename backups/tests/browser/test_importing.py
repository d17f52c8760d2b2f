"""An import in a browser: a file with errors, mended and brought again, and once more; in the worker, and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN
from backups.tests.browser.person import NARROW, WIDE, Person
from backups.tests.web import SiteProcesses

# Beyond what is read within the page.
ROWS = 3_000
NOTE = "what was done, in words that make the file large enough for the worker to read it"


@pytest.fixture
def person(embedded: SiteProcesses, arrives: Arrives) -> Person:
    """Somebody who may import."""
    person = arrives(embedded)
    person.log_in(ADMIN, at="/login/", then="/")
    return person


def time_file(path: Path, *, is_mended: bool) -> Path:
    """So many entries of one person, in a program's words; two of them wrong: the first in the file, and the last but one."""
    lines = ["User;Customer;Project name;Start date;Start time;Duration;Description"]
    for number in range(ROWS):
        day, clock = f"{1 + number // 120:02d}.10.2025", f"{7 + number // 10 % 12}:{number % 10 * 6:02d}"
        lines.append(f'admin;Imported Mill;Grinding;{day};{clock};0:05;"{NOTE}, {number}"')
    if not is_mended:
        lines[1] = lines[1].replace("01.10.2025", "31.02.2025")
        lines[-2] = lines[-2].replace("admin", "admni")
    path.write_text("\n".join(lines), encoding="cp1252")
    return path


def bring(person: Person, file: Path, kind: str) -> None:
    """Upload a file, and come to its columns."""
    page = person.page
    page.get_by_label("What is in it").select_option(label=kind)
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    person.heading("What the columns mean")


def counted(site: SiteProcesses) -> tuple[int, int, int, int]:
    """Clients, projects and entries of the file, and all entries."""
    mill = "SELECT p.id FROM tracking_project p JOIN clients_client c ON c.id = p.client_id WHERE c.name = 'Imported Mill'"
    found = [
        site.site.fetch("SELECT COUNT(*) FROM clients_client WHERE name = 'Imported Mill'"),
        site.site.fetch("SELECT COUNT(*) FROM tracking_project WHERE name = 'Grinding'"),
        site.site.fetch(f"SELECT COUNT(*) FROM tracking_timeentry WHERE project_id IN ({mill})"),
        site.site.fetch("SELECT COUNT(*) FROM tracking_timeentry"),
    ]
    return tuple(rows[0][0] for rows in found)


def test_an_import_with_errors_is_mended_and_repeated_and_changes_nothing_a_second_time(
    embedded: SiteProcesses, person: Person, tmp_path: Path
) -> None:
    page = person.page
    before = counted(embedded)[3]
    wrong = time_file(tmp_path / "wrong.csv", is_mended=False)
    page.get_by_text("More").or_(page.locator("details.menu summary")).first.click()
    page.get_by_role("link", name="Import/Export").click()
    person.heading("Bring data in")
    bring(person, wrong, "Time entries")
    # Matched by name, but for what is called otherwise.
    expect(page.get_by_label("Person", exact=True)).to_have_value("0")
    expect(page.get_by_label("Hours", exact=True)).to_have_value("5")
    expect(page.get_by_label("Dates")).to_have_value("dmy")
    page.get_by_label("Note", exact=True).select_option("")
    page.get_by_label("Project", exact=True).select_option("")
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_text("Say which column has the project")).to_be_visible()
    page.get_by_label("Note", exact=True).select_option("6")
    page.get_by_label("Project", exact=True).select_option("2")
    page.get_by_label("Time zone").select_option("Europe/Berlin")
    page.get_by_label("Make clients, projects and tasks that are missing").check()
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_text("2 rows are wrong, so nothing is imported.")).to_be_visible()
    problems = page.get_by_role("region", name="What is wrong").get_by_role("row")
    expect(problems.nth(1)).to_contain_text("31.02.2025")
    expect(problems.nth(2)).to_contain_text("admni")
    expect(problems.nth(2).get_by_role("cell").first).to_have_text(str(ROWS))
    with page.expect_download() as download:
        page.get_by_role("link", name="All of it as CSV").click()
    listed = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in listed] == ["line", "2", str(ROWS)]
    expect(page.get_by_role("button", name="Import")).to_have_count(0)
    assert counted(embedded) == (0, 0, 0, before)

    mended = time_file(tmp_path / "mended.csv", is_mended=True)
    page.get_by_role("link", name="Upload the mended file").click()
    expect(page.get_by_label("What is in it")).to_have_value("time")
    bring(person, mended, "Time entries")
    # What was chosen for the file before is chosen again.
    expect(page.get_by_label("Make clients, projects and tasks that are missing")).to_be_checked()
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_text("The file is good. Nothing has been imported yet.")).to_be_visible()
    expect(page.get_by_text("1 client will be made:")).to_be_visible()
    assert counted(embedded) == (0, 0, 0, before)
    page.get_by_role("button", name="Import 3,000 time entries").dblclick()
    expect(page.get_by_text("3,000 time entries were imported, all of them.")).to_be_visible()
    assert counted(embedded) == (1, 1, ROWS, before + ROWS)

    page.get_by_role("link", name="Bring another file").click()
    bring(person, mended, "Time entries")
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_text("There is nothing to import: everything in this file is here already.")).to_be_visible()
    expect(page.get_by_role("button", name="Import")).to_have_count(0)
    assert counted(embedded) == (1, 1, ROWS, before + ROWS)
    embedded.site.execute("DELETE FROM tracking_timeentry WHERE source = 'import'")


def test_the_pages_of_an_import_have_no_barrier_on_any_screen(person: Person, tmp_path: Path) -> None:
    page = person.page
    file = tmp_path / "clients with a name that is long enough to break a narrow page.csv"
    lines = "".join(f"Client {number},kim@studio.example,+49 30 {number}\n" for number in range(30))
    faults: list[str] = []

    def look() -> None:
        for size, dark in ((WIDE, False), (NARROW, True)):
            person.resize(size)
            person.darken(dark)
            faults.extend(person.overflowing())
            faults.extend(person.accessible())

    for text in (f"Name,E-mail,Telephone\n{lines}Bad,{'nobody' * 20},1\n", f"Name,E-mail,Telephone\n{lines}"):
        file.write_text(text)
        person.open("/import-export/")
        look()
        bring(person, file, "Clients")
        look()
        page.get_by_role("button", name="Check the file").click()
        expect(page.get_by_text("rows in the file")).to_be_visible()
        look()
    page.get_by_role("button", name="Import 30 clients").click()
    expect(page.get_by_text("30 clients were imported, all of them.")).to_be_visible()
    look()
    assert not faults, "\n".join(faults)
