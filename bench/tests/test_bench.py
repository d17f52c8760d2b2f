"""One measurement from its command line to its tables, of little data: who takes part, and what is written down."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backups.tests.site import BASE_DIR
from bench.__main__ import arguments
from bench.results import Results

ENTRIES = 120


def measured(folder: Path, only: str, contenders: str) -> Results:
    """Run it as ``./run bench`` does, in a process of its own; what it has written."""
    words = ["--rounds", "1", "--entries", str(ENTRIES), "--uploads-mb", "1", "--data", str(folder), "--out", str(folder / "out")]
    command = [sys.executable, "-m", "bench", *words, "--only", only, "--contenders", contenders]
    answer = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert (folder / "out/tables.md").read_text() in answer.stdout
    return Results.read([folder / "out/results.json"])


@pytest.mark.soak
def test_postgresql_is_measured_under_the_eyes_of_a_reader(tmp_path: Path) -> None:
    results = measured(tmp_path, "gap", "flask")
    (engine,) = results.engines("gap")
    assert engine.startswith("PostgreSQL ")
    for contender in ("ours", "flask"):
        assert list(results.values("gap", engine, ENTRIES, contender, "seconds")) == [1]
    ours = next(results.of("gap", engine, ENTRIES, "ours")).values
    assert ours["wrong"] == 0
    assert ours["longest gap seconds"] > 0
    assert ours["stage shadow"] > 0
    assert (tmp_path / "out/bench-gap.svg").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"out", f"{engine.replace(' ', '-')}-{ENTRIES}", "uploads-1"}


def test_sqlite_is_measured_and_its_data_is_kept(tmp_path: Path) -> None:
    results = measured(tmp_path, "sqlite", "api")
    (engine,) = results.engines("sqlite gap")
    assert results.contenders("sqlite create", engine, ENTRIES) == ["ours", "api"]
    made = next(results.of("sqlite create", engine, ENTRIES, "ours")).values
    assert 50_000 < made["dump bytes"] < made["bytes"]
    assert made["tree KiB"] > 20_000
    assert "stage dump" in made
    restored = next(results.of("sqlite gap", engine, ENTRIES, "ours")).values
    assert restored["wrong"] == restored["refused"] == 0
    kept = tmp_path / f"{engine.replace(' ', '-')}-{ENTRIES}"
    assert {path.name for path in kept.iterdir()} == {"archived.sqlite3", "later.sqlite3", "media"}


@pytest.mark.parametrize("words", [["--only", "creat"], ["--contenders", "nobody"], ["--only", ""]], ids=str)
def test_word_that_means_nothing_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments().parse_args(words)
    assert "choose from" in capsys.readouterr().err


def test_results_are_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    Results({"Rounds": "1"}).write(path)
    assert json.loads(path.read_text()) == {"about": {"Rounds": "1"}, "measured": []}
