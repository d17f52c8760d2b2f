"""Medians, pairs, bars and tables, from figures that were made up."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from bench.bars import bars_judged
from bench.figures import Spread, quotients, spread_of
from bench.report import BEGIN, END, page_renewed, plots_drawn, tables_written
from bench.results import SURVEY, Measured, Results
from bench.rounds import in_turn


def made_up(engine: str = "PostgreSQL 15") -> Results:
    """Three rounds and a survey of a create: ours takes 5 s, the Flask original's way 40, 50 and 45 s, the dump 2 s."""
    results = Results({"Machine": "a | b"})

    def note(contender: str, turn: int, **values: float) -> None:
        named = {name.replace("_", " "): value for name, value in values.items()}
        results.measured.append(Measured("create", engine, 1000, contender, turn, named))

    note("ours", SURVEY, seconds=900, bytes=104, temporary_bytes=30e6, dump_bytes=20e6)
    for turn, flask in enumerate((40, 50, 45), start=1):
        note("flask", turn, seconds=flask, bytes=100)
        note("ours", turn, seconds=5, bytes=103)
        note("raw", turn, seconds=2)
    return results


def test_spread_is_of_the_median() -> None:
    assert spread_of([5, 1, 3]) == Spread(3, 1, 5, 3)
    assert spread_of([4, 1]) == Spread(2.5, 1, 4, 2)
    assert spread_of([]) is None


def test_only_rounds_that_have_both_are_divided() -> None:
    assert quotients({1: 10, 2: 20, 3: 30}, {1: 5, 3: 10, 4: 1}) == [2, 3]
    assert quotients({1: 10}, {1: 0}) == []


def test_everybody_is_first_once() -> None:
    orders = [in_turn(["a", "b", "c"], turn) for turn in range(1, 4)]
    assert orders == [["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_bars_are_judged_by_pairs_and_without_the_survey() -> None:
    judged = {item.bar.what: item for item in bars_judged(made_up())}
    faster = judged["create, whole job: times faster than the Flask original's way"]
    assert faster.measured == Spread(9, 8, 10, 3)
    assert faster.limit == 6
    assert faster.reaches(6)
    assert faster.reaches(8)
    assert not faster.reaches(11)
    assert judged["create, whole job, by the time of raw `pg_dump -Fc -Z0`"].measured.median == 2.5
    assert judged["archive size by that of the Flask original's way"].measured.median == pytest.approx(1.03)
    assert judged["create: temporary disk, in compressed dumps"].measured.median == 1.5


def test_bars_differ_with_the_engine() -> None:
    judged = {item.bar.what: item for item in bars_judged(made_up("PostgreSQL 17"))}
    assert judged["create, whole job: times faster than the Flask original's way"].limit == 8
    assert not judged["create, whole job, by the time of raw `pg_dump -Fc -Z0`"].reaches(2.0)


def test_one_wrong_answer_in_any_round_is_too_many() -> None:
    results = Results()
    for turn, wrong in enumerate((0, 1, 0), start=1):
        results.measured.append(Measured("gap", "PostgreSQL 15", 1000, "ours", turn, {"wrong": wrong}))
    (judged,) = bars_judged(results)
    assert judged.measured.median == 0
    assert not judged.reaches(0)


def test_what_was_not_measured_is_not_judged() -> None:
    assert not [item for item in bars_judged(made_up()) if "django-dbbackup" in item.bar.what or item.bar.section != "create"]


def test_tables_say_medians_ratios_and_what_holds() -> None:
    tables = tables_written(made_up())
    assert "| Machine | a / b |" in tables
    assert "| ≥ 6 × | 9.00 × (8.00 to 10.0) | yes | ≥ 8 ×: yes |" in tables
    assert "| Flask original's way | 45.0 (40.0 to 50.0) | 9.00 × (8.00 to 10.0) |" in tables
    assert "Longest gap" not in tables, "a column without a figure"


def test_table_of_stages_says_what_is_left_for_start_and_end() -> None:
    results = Results()
    for turn, seconds in enumerate((99.0, 5.0, 6.0, 7.0)):
        values = {"seconds": seconds, "stage dump": 3.0, "stage verify": 1.0}
        results.measured.append(Measured("create", "PostgreSQL 15", 1000, "ours", turn, values))
    lines = tables_written(results).splitlines()
    assert lines[-3:] == [
        "| Entries | dump | verify | start and end |",
        "| --- | --- | --- | --- |",
        "| 1,000 | 3.00 | 1.00 | 2.00 (1.00 to 3.00) |",
    ]


def test_tool_that_failed_is_told(tmp_path: Path) -> None:
    results = made_up()
    results.measured.append(Measured("create", "PostgreSQL 15", 1000, "dbbackup", 1, {"failed": 1.0}))
    tables = tables_written(results)
    assert "Runs that failed" in tables
    assert [line.rstrip(" |")[-1] for line in tables.splitlines() if line.startswith("| django-dbbackup")] == ["1"]
    assert plots_drawn(results, tmp_path)


def test_results_of_several_files_are_one(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    made_up().write(first)
    other = made_up("PostgreSQL 17")
    other.about["Rounds"] = "3"
    other.write(second)
    both = Results.read([first, second])
    assert both.about == {"Machine": "a | b", "Rounds": "3"}
    assert both.engines("create") == ["PostgreSQL 15", "PostgreSQL 17"]
    assert both.values("create", "PostgreSQL 17", 1000, "flask", "seconds") == {4: 40, 5: 50, 6: 45}


def test_pairs_are_of_one_run_though_several_measured_the_same(tmp_path: Path) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, slow in zip(paths, (1, 10), strict=True):
        results = made_up()
        results.measured = [replace(item, values={name: slow * value for name, value in item.values.items()}) for item in results.measured]
        results.write(path)
    both = Results.read(paths)
    faster = next(item for item in bars_judged(both) if "Flask original's way" in item.bar.what)
    assert faster.measured == Spread(9, 8, 10, 6)


def test_runs_that_differ_in_something_both_say_it(tmp_path: Path) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, rounds in zip(paths, "57", strict=True):
        Results({"Rounds": rounds, "Machine": "one"}).write(path)
    assert Results.read(paths).about == {"Rounds": "5; 7", "Machine": "one"}


def test_tables_take_their_place_in_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter\n")
    page_renewed(page, "| new |\n", [tmp_path / "images/bench-create.svg"])
    assert page.read_text() == f"# Before\n\n{BEGIN}\n\n![Create](images/bench-create.svg)\n\n| new |\n\n{END}\n\nAfter\n"
    page.write_text("# No place")
    with pytest.raises(ValueError, match="no place"):
        page_renewed(page, "| new |", [])


def test_plot_is_drawn_from_zero(tmp_path: Path) -> None:
    (drawn,) = plots_drawn(made_up(), tmp_path)
    root = ElementTree.fromstring(drawn.read_text())
    widths = {float(bar.attrib["width"]) for bar in root.iter("{http://www.w3.org/2000/svg}rect")}
    assert max(widths) / min(widths) == pytest.approx(45 / 2, rel=0.01)
