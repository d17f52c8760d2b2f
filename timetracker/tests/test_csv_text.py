"""CSV: what a spreadsheet would run is text, numbers stay numbers, and rows are read while they are sent."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO

import pytest

from timetracker.csv_text import Cell, csv_answer, csv_lines, defused, undefused

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠SUM(A1)"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_take_for_a_formula_is_text(text: str) -> None:
    assert defused(text) == f"'{text}"
    columns, row = csv.reader(StringIO("".join(csv_lines([text, "b"], [["a", text]])), newline=""))
    assert columns == [f"'{text}", "b"] and row == ["a", f"'{text}"]


@pytest.mark.parametrize("text", ["", "Kim", "1-2", "a=1", "'tis", "'", " 1", "2025-03-31T02:30:00+02:00"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert defused(text) == text


@pytest.mark.parametrize("text", [*FORMULAS, "'=1+1", "''@x", "'tis", "plain", "", "'", "+49 30"])
def test_text_that_was_made_harmless_can_be_read_back(text: str) -> None:
    assert undefused(defused(text)) == text
    assert not defused(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_numbers_are_written_as_numbers() -> None:
    assert "".join(csv_lines(["n", "m"], [[-1, Decimal("-12.50")]])) == "n,m\r\n-1,-12.50\r\n"


def test_text_with_commas_quotes_and_lines_is_read_back_as_it_was() -> None:
    row = ['a "quoted" word', "one, two", "first\nsecond", "é 漢 🙂", ""]
    assert list(csv.reader(StringIO("".join(csv_lines(list("abcde"), [row])), newline=""))) == [list("abcde"), row]


def test_a_table_without_rows_is_the_names_of_its_columns() -> None:
    assert list(csv_lines(["a", "b"], [])) == ["a,b\r\n"]


def test_rows_are_read_while_they_are_sent_and_none_is_lost() -> None:
    read = []

    def rows() -> Iterator[list[Cell]]:
        for number in range(2500):
            read.append(number)
            yield [number]

    parts = csv_lines(["number"], rows())
    assert next(parts) == "number\r\n" and not read, "The first line waits for no row"
    sent = [(next(parts), len(read)) for _ in range(3)]
    assert [count for _, count in sent] == [1000, 2000, 2500]
    assert "".join(text for text, _ in sent).splitlines() == [str(number) for number in range(2500)]
    assert next(parts, None) is None


def test_the_answer_is_a_file_to_be_saved() -> None:
    answer = csv_answer("hours.csv", ["name"], [["Zoë"]])
    assert answer.streaming and answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="hours.csv"'
    assert answer.getvalue() == "name\r\nZoë\r\n".encode()
    named = csv_answer('Zoë "x".csv', ["name"], []).headers["Content-Disposition"]
    assert named == "attachment; filename*=utf-8''Zo%C3%AB%20%22x%22.csv"
