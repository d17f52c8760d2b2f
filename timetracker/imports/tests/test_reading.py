"""Files as text and as rows: every encoding that is offered, every fault with its line, and nothing that fills the memory."""

from __future__ import annotations

import io
import tracemalloc
from typing import cast

import pytest

from timetracker.imports.exceptions import FileRefused
from timetracker.imports.records import MOST_ROWS, Record, delimiter_guess, records
from timetracker.imports.text import encoding_check, encoding_guess, text_open

WORDS = "Name;Note\nBäckerei;15 €\n"


def rows_of(content: bytes, delimiter: str = ",") -> list[Record]:
    """All rows of a file in UTF-8."""
    return list(records(text_open(io.BytesIO(content), "utf-8"), delimiter))


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (WORDS.encode(), "utf-8-sig"),
        (b"\xef\xbb\xbf" + WORDS.encode(), "utf-8-sig"),
        (WORDS.encode("utf-16"), "utf-16"),
        (b"\xfe\xff" + WORDS.encode("utf-16-be"), "utf-16"),
        (WORDS.encode("utf-16-le"), "utf-16-le"),
        (WORDS.encode("utf-16-be"), "utf-16-be"),
        (WORDS.encode("cp1252"), "cp1252"),
        (b"Name\nplain\n", "utf-8-sig"),
    ],
)
def test_the_encoding_is_found_and_its_mark_is_no_part_of_the_first_name(content: bytes, encoding: str) -> None:
    assert encoding_guess(io.BytesIO(content)) == encoding
    found = list(records(text_open(io.BytesIO(content), encoding), ";"))
    assert found[0].cells[0] == "Name"
    if content != b"Name\nplain\n":
        assert found[1] == Record(2, ["Bäckerei", "15 €"])


def test_an_encoding_that_somebody_chooses_is_checked_and_names_the_line() -> None:
    file = io.BytesIO(b"Name\r\nfirst\r\nB\xe4cker\r\n")
    with pytest.raises(FileRefused, match=r"^Line 3 holds bytes that are no text in UTF-8\."):
        encoding_check(file, "utf-8-sig")
    encoding_check(file, "cp1251")


def test_the_line_is_right_beyond_the_first_piece_that_is_read() -> None:
    file = io.BytesIO(b"0123456789\n" * 200_000 + b"\xff\n")
    with pytest.raises(FileRefused, match=r"^Line 200001 "):
        encoding_check(file, "utf-8-sig")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PK\x03\x04 a workbook", "Save the table as CSV"),
        (b"\xd0\xcf\x11\xe0 an old one", "old Excel"),
        (b"%PDF-1.7", "This is a PDF"),
        (b"Name\nA\nB\0C\n", "Line 3 holds a NUL"),
        (bytes(range(256)) * 50, "no text|NUL"),
        (b"Name\n\x81\n", "Line 2 holds bytes that are no text in Windows-1252"),
        ("Name\n".encode("utf-32"), "NUL"),
    ],
)
def test_what_is_no_text_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(FileRefused, match=sentence):
        encoding_guess(io.BytesIO(content))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_those_of_the_file_also_within_quotation_marks(end: str) -> None:
    text = end.join(["a,b", "", '1,"two', 'lines, and a ""quoted"" word"', " , ", "x,y"])
    found = rows_of(text.encode())
    assert [row.line for row in found] == [1, 3, 6]
    assert found[1].cells == ["1", f'two{end}lines, and a "quoted" word']


def test_quotation_marks_that_do_not_match_spoil_their_row_alone() -> None:
    found = rows_of(b'a,b\n1,2\n"x"y,3\n4,5\n')
    assert [(row.line, bool(row.fault)) for row in found] == [(1, False), (2, False), (3, True), (4, False)]
    assert "write a quotation mark twice" in found[2].fault


def test_a_quotation_mark_that_is_never_closed_is_named_with_the_line_where_it_opens() -> None:
    found = rows_of(b'a\n1\n"open\nrest\n')
    assert (found[-1].line, "not closed" in found[-1].fault) == (3, True)
    with pytest.raises(FileRefused, match=r"begins in line 2 has more than 100,000 characters"):
        rows_of(b'a\n"open\n' + b"rest of the file\n" * 10_000)


def test_text_that_was_made_harmless_for_a_spreadsheet_is_read_as_it_was() -> None:
    found = rows_of(b"""a\n=1+1\n'=1+1\n''=1+1\n'tis\n""")
    assert [row.cells[0] for row in found[1:]] == ["=1+1", "=1+1", "'=1+1", "'tis"]


def test_columns_and_rows_without_number_are_refused() -> None:
    with pytest.raises(FileRefused, match=r"Line 1 has 10,000 columns, and 200 is the most"):
        rows_of(b"," * 9999)
    lines = io.TextIOWrapper(io.BytesIO(b"a\n" * (MOST_ROWS + 2)), encoding="utf-8", newline="")
    with pytest.raises(FileRefused, match=f"more than {MOST_ROWS:,} rows"):
        for _ in records(lines, ","):
            pass


class Endless(io.RawIOBase):
    """A file of one line of so many bytes, which are never in memory together."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        count = min(len(buffer), self.left)
        buffer[:count] = b"x" * count
        self.left -= count
        return count


def test_one_line_of_a_hundred_megabytes_is_refused_and_fills_no_memory() -> None:
    file = Endless(100 * 1024 * 1024)
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused, match="more than 100,000 characters"):
            list(records(text_open(io.BufferedReader(cast(io.RawIOBase, file)), "utf-8"), ","))
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert file.left > 99 * 1024 * 1024, "the rest is not even read"


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("Name,Contact\nA,B\n", ","),
        ("Name;Contact\nA,a;B\n", ";"),
        ("Name\tContact\nA\tB\n", "\t"),
        ('"Name, full";Contact;Phone\nA;B;C\n', ";"),
        ("name|contact|phone\n", "|"),
        ("Name\nA, B\n", ","),
    ],
)
def test_the_delimiter_is_the_one_that_gives_known_names(text: str, delimiter: str) -> None:
    assert delimiter_guess(io.StringIO(text, newline=""), {"name", "contact", "phone"}) == delimiter
