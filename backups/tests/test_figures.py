"""The figures of the list: what is drawn of which rows, what the forecast says, and what the next backup costs."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from backups.engines import engine_for
from backups.exceptions import PreflightRefused
from backups.models import Backup, Operation
from backups.preflight import HEADROOM, preflight_create
from backups.services import estimates
from backups.services.estimates import create_estimate
from backups.services.figures import archives_figures
from backups.services.question import Question
from backups.storage import archive_store
from backups.storage.local import LocalStore
from backups.tests.site import Site

GB = 10**9
Free = Callable[[int | None], None]


@pytest.fixture
def free(db: None, own_state: None, monkeypatch: pytest.MonkeyPatch) -> Free:
    """Say how many bytes are free on the disk of the store."""

    def free(count: int | None) -> None:
        monkeypatch.setattr(LocalStore, "free_bytes", lambda store: count)

    free(100 * GB)
    return free


def made(days_ago: float, size: int, *, archive: bool = True, **report: Any) -> None:
    """A backup of so long ago: the row of its archive, and that of the operation with its report."""
    at, number = timezone.now() - timedelta(days=days_ago), Operation.objects.count()
    if archive:
        Backup.objects.create(
            name=f"backup_{at:%Y%m%d_%H%M%S}_{number:08x}.zip",
            archive_id=f"{number:032x}",
            created_at=at,
            trigger="manual",
            size=size,
            vendor="x",
            row_count=1,
            has_uploads=True,
        )
    said = {"bytes": size, "seconds": {"dump": 3.0, "verify": 1.0}, **report}
    Operation.objects.create(operation_id=f"{number:032x}", kind="create", status="done", started_at=at, ended_at=at, report=said)


# --- charts and forecast ------------------------------------------------------------------------------------------------


def test_without_archives_only_todays_space_is_drawn(free: Free) -> None:
    figures = archives_figures()
    assert figures.sizes is None
    assert figures.space
    assert [mark.title.split(": ")[1] for mark in figures.space.marks] == ["100.0 GB"]
    assert figures.forecast_said == ""


def test_nothing_is_drawn_where_nothing_is_known(free: Free) -> None:
    free(None)
    figures = archives_figures()
    assert (figures.sizes, figures.space, figures.days) == (None, None, [])
    assert render_to_string("backups/chart.html", {"figures": figures}).strip() == ""


def test_each_archive_and_each_reading_is_drawn(free: Free) -> None:
    for day in range(3):
        made(day + 0.01, 50_000_000 + day, free_bytes=(101 + day) * GB)
    figures = archives_figures()
    assert figures.sizes
    assert figures.space
    assert [mark.title.split(": ")[1] for mark in figures.sizes.marks] == ["50.0 MB"] * 3
    assert [mark.title.split(": ")[1] for mark in figures.space.marks] == ["103.0 GB", "102.0 GB", "101.0 GB", "100.0 GB"]
    assert figures.space.line


def test_reports_of_before_and_of_other_operations_say_nothing_of_space(free: Free) -> None:
    made(1, 5)
    made(2, 5, free_bytes=None)
    made(3, 5, free_bytes=7 * GB)
    Operation.objects.filter(report__free_bytes=7 * GB).update(status="failed")
    figures = archives_figures()
    assert figures.space
    assert len(figures.space.marks) == 1


def test_pace_of_many_days_is_told_and_drawn(free: Free) -> None:
    for day in range(1, 11):
        made(day, 5, free_bytes=(100 + 2 * day) * GB)
    figures = archives_figures()
    assert figures.forecast_said == "At this pace (2.0 GB a day, the dashed line) the disk is full in about 7 weeks."
    assert figures.space
    assert figures.space.ahead
    assert figures.forecast_said in render_to_string("backups/chart.html", {"figures": figures})


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (0, "within a day"),
        (0.4, "within a day"),
        (1.1, "in about 1 day"),
        (9, "in about 9 days"),
        (14, "in about 2 weeks"),
        (60, "in about 9 weeks"),
        (300, "in about 10 months"),
        (700, "in about 23 months"),
    ],
)
def test_time_that_is_left_is_told_in_a_fitting_unit(free: Free, left: float, said: str) -> None:
    free(int(left * GB))
    for day in range(1, 11):
        made(day, 5, free_bytes=int((left + day) * GB))
    assert archives_figures().forecast_said == f"At this pace (1.0 GB a day, the dashed line) the disk is full {said}."


def test_too_few_days_tell_no_pace(free: Free) -> None:
    for day in range(1, 4):
        made(day, 5, free_bytes=(100 + day) * GB)
    figures = archives_figures()
    assert (figures.forecast, figures.forecast_said) == (None, "")
    assert figures.space
    assert figures.space.ahead == ""


def test_table_says_the_same_by_days_of_the_site_newest_first(free: Free) -> None:
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    days_ago = (timezone.now() - midnight) / timedelta(days=1)
    made(days_ago + 0.1, 40_000_000, free_bytes=102 * GB)
    made(days_ago + 0.2, 60_000_000, free_bytes=103 * GB)
    made(days_ago + 1.1, 50_000_000)
    page = render_to_string("backups/chart.html", {"figures": archives_figures()})
    rows = [re.findall(r">([^<]+)</t[hd]>", row) for row in re.findall(r"<tr><th scope=\"row\">.*?</tr>", page)]
    today = midnight.date()
    assert rows == [
        [f"{today}", "0", "-", "100.0 GB"],
        [f"{today - timedelta(days=1)}", "2", "60.0 MB", "102.0 GB"],
        [f"{today - timedelta(days=2)}", "1", "50.0 MB", "-"],
    ]


def test_drawing_is_one_that_the_policy_lets_through_and_that_needs_no_eyes(free: Free) -> None:
    for day in range(1, 4):
        made(day, 5, free_bytes=GB)
    page = render_to_string("backups/chart.html", {"figures": archives_figures()})
    assert page.count('<svg class="chart"') == page.count('role="img"') == page.count('aria-label="') - 1 == 2
    assert "style" not in page
    assert "<script" not in page
    assert re.search(r'(cx|cy|x1|y1)="[^"]*,', page) is None, "numbers are those of SVG, whatever the site's language"


def test_two_archives_are_no_course_of_anything_to_draw(free: Free) -> None:
    made(1, 5)
    made(2, 5)
    assert "<svg" not in render_to_string("backups/chart.html", {"figures": archives_figures()})


def test_numbers_of_a_drawing_are_not_of_the_sites_language(free: Free, settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"
    settings.USE_THOUSAND_SEPARATOR = True
    for day in range(1, 4):
        made(day, 5_000_000 * day, free_bytes=GB)
    page = render_to_string("backups/chart.html", {"figures": archives_figures()})
    assert re.findall(r' (?:cx|cy|x|y|x1|x2|y1|y2)="(?!-?\d+(?:\.\d+)?")[^"]*"', page) == []


def test_two_queries_draw_thousands(free: Free, django_assert_num_queries: Any) -> None:
    for number in range(30):
        made(number / 2, 5, free_bytes=GB)
    now = timezone.now()
    Backup.objects.bulk_create(
        Backup(
            name=f"backup_20200101_000000_{number:08x}.zip",
            archive_id=f"{number:032x}",
            created_at=now - timedelta(hours=number),
            trigger="manual",
            size=number,
            vendor="x",
            row_count=1,
            has_uploads=False,
        )
        for number in range(100, 2000)
    )
    with django_assert_num_queries(2):
        figures = archives_figures()
    assert figures.sizes
    assert len(figures.sizes.marks) < 160


# --- estimates ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sizes(free: Free, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Say how large the database and the uploads are now."""

    def sizes(database: int, uploads: int) -> None:
        monkeypatch.setattr(estimates, "_LIVE", Question(lambda: database))
        monkeypatch.setattr(estimates, "_UPLOADS", Question(lambda: uploads))

    sizes(100_000_000, 50_000_000)
    return sizes


@pytest.fixture
def silent(free: Free, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database that does not answer."""
    asked = threading.Event()
    monkeypatch.setattr(estimates, "_LIVE", Question(lambda: int(asked.wait())))
    monkeypatch.setattr(estimates, "SECONDS", 0.01)
    yield
    asked.set()


@pytest.mark.usefixtures("sizes")
def test_without_earlier_backups_nothing_is_foretold_but_the_space() -> None:
    found = create_estimate(uploads=True)
    assert found.likely is None
    assert "not known yet" in found.said
    assert found.space_said == "There is room: it may need 110.0 MB while it is made, and 100.0 GB are free."
    assert found.fits


def test_estimate_grows_with_what_there_is_to_back_up(sizes: Callable[[int, int], None]) -> None:
    sizes(200_000_000, 100_000_000)
    for day in range(3):
        made(day, 60_000_000 + day * 1_000_000, database_bytes=100_000_000, upload_bytes=50_000_000)
    assert create_estimate(uploads=True).said == ("About 122.0 MB (120.0 MB to 124.0 MB) in about 8 s, going by the last 3 of this kind.")


@pytest.mark.usefixtures("sizes")
def test_one_earlier_backup_has_no_bounds() -> None:
    made(1, 60_000_000, database_bytes=100_000_000, upload_bytes=50_000_000)
    assert create_estimate(uploads=True).said == "About 60.0 MB in about 4 s, going by the last one of this kind."


@pytest.mark.usefixtures("sizes")
def test_backups_with_and_without_uploads_are_two_kinds() -> None:
    made(1, 60_000_000, database_bytes=100_000_000, upload_bytes=50_000_000)
    made(2, 20_000_000, database_bytes=100_000_000, upload_bytes=None)
    made(3, 1, database_bytes=1, upload_bytes=None, archive=False)
    Operation.objects.filter(report__bytes=1).update(status="failed")
    with_uploads, without = create_estimate(uploads=True), create_estimate(uploads=False)
    assert with_uploads.likely
    assert without.likely
    assert (with_uploads.likely.size.typical, without.likely.size.typical) == (60_000_000, 20_000_000)
    assert (with_uploads.needed, without.needed) == (110_000_000, 60_000_000)


@pytest.mark.usefixtures("sizes")
def test_how_long_it_takes_goes_by_the_backups_at_full_speed_where_there_are_any() -> None:
    made(3, 60_000_000, database_bytes=100_000_000, upload_bytes=50_000_000, seconds={"dump": 900.0}, gentle=True)
    assert "in about 15 min, going by the last one of this kind." in create_estimate(uploads=True).said
    made(4, 60_000_000, database_bytes=100_000_000, upload_bytes=50_000_000, gentle=False)
    assert "in about 4 s, going by the last one of this kind." in create_estimate(uploads=True).said


@pytest.mark.usefixtures("sizes")
def test_only_the_last_few_count() -> None:
    for day in range(20):
        made(day, 60_000_000 if day < 7 else 1, database_bytes=100_000_000, upload_bytes=50_000_000)
    likely = create_estimate(uploads=True).likely
    assert likely
    assert (likely.runs, likely.size.low) == (7, 60_000_000)


@pytest.mark.usefixtures("sizes")
@pytest.mark.parametrize("strange", [{"bytes": "many"}, {"seconds": 5}, {"seconds": {"dump": "long"}}, {"database_bytes": None}], ids=str)
def test_report_that_says_something_else_counts_as_none(strange: dict[str, Any]) -> None:
    made(1, 1, **{"database_bytes": 1, "upload_bytes": 1, "free_bytes": -5, **strange})
    made(2, 60_000_000, database_bytes=100_000_000, upload_bytes=50_000_000, free_bytes="much")
    likely = create_estimate(uploads=True).likely
    assert likely
    assert (likely.runs, likely.size.typical) == (1, 60_000_000)
    figures = archives_figures()
    assert figures.space
    assert len(figures.space.marks) == 1


@pytest.mark.usefixtures("sizes")
def test_reports_of_earlier_versions_say_nothing_of_what_was_read() -> None:
    made(1, 60_000_000)
    assert create_estimate(uploads=True).likely is None


def test_too_little_room_is_told_beforehand(free: Free, sizes: Callable[[int, int], None]) -> None:
    free(110_000_000 + HEADROOM - 1)
    found = create_estimate(uploads=True)
    assert found.fits is False
    assert found.space_said.startswith("There is too little room: it may need 110.0 MB while it is made, and 126.8 MB are free.")
    free(110_000_000 + HEADROOM)
    assert create_estimate(uploads=True).fits


@pytest.mark.usefixtures("silent")
def test_database_that_does_not_answer_keeps_no_page_waiting() -> None:
    made(1, 60_000_000, database_bytes=100_000_000, upload_bytes=50_000_000)
    found = create_estimate(uploads=True)
    assert found.fits is None
    assert "is not known now" in found.space_said
    assert found.likely
    assert found.likely.size.typical == 60_000_000, "as it was the last time"


def test_disk_that_cannot_be_asked_is_told(free: Free, sizes: Callable[[int, int], None]) -> None:
    free(None)
    found = create_estimate(uploads=True)
    assert (found.fits, found.free) == (None, None)


@pytest.mark.parametrize(("missing", "fits"), [(0, True), (1, False)])
def test_page_and_backup_reckon_alike(free: Free, monkeypatch: pytest.MonkeyPatch, missing: int, fits: bool) -> None:
    needed = create_estimate(uploads=False).needed
    assert needed
    there = needed + HEADROOM - missing
    free(there)
    monkeypatch.setattr("backups.preflight._free", lambda folder: there)
    assert create_estimate(uploads=False).fits is fits
    try:
        preflight_create(engine=engine_for(), store=archive_store(), output=None, uploads=False)
    except PreflightRefused as refused:
        assert not fits, refused.message
    else:
        assert fits


# --- where the numbers come from ----------------------------------------------------------------------------------------


def test_each_backup_reports_what_was_free_and_what_it_read(sqlite_site: Site) -> None:
    sqlite_site.media.mkdir(parents=True, exist_ok=True)
    (sqlite_site.media / "receipt.txt").write_text("twelve bytes")
    sqlite_site.manage("backup_create")
    sqlite_site.manage("backup_create", "--no-uploads")
    sqlite_site.manage("backup_create", "--output", str(sqlite_site.data_dir / "elsewhere.zip"))
    rows = sqlite_site.fetch("SELECT report FROM backups_operation ORDER BY started_at")
    whole, without, elsewhere = [json.loads(report) for (report,) in rows]
    assert whole["upload_bytes"] >= 12
    assert (without["upload_bytes"], elsewhere["upload_bytes"]) == (None, whole["upload_bytes"])
    assert whole["database_bytes"] > 4096
    assert abs(whole["free_bytes"] - shutil.disk_usage(sqlite_site.backups).free) < 10 * GB
    assert elsewhere["free_bytes"] is None, "that is another disk"
