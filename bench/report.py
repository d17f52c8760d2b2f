"""The results as tables in Markdown, and their place in the documentation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bench.bars import Judged, bars_judged
from bench.contenders import ApiCopy, BareCheck, BareRestore, Dbbackup, FlaskWay, Ours, Pgclone, RawDump, UploadsRead
from bench.figures import Spread, quotients, spread_of
from bench.plot import Row, plot_rows
from bench.results import SURVEY, Results

__all__ = ["page_renewed", "plots_drawn", "tables_written"]

BEGIN, END = "<!-- Made by ./run bench: begin -->", "<!-- Made by ./run bench: end -->"
TITLES = {kind.key: kind.title for kind in (Ours, FlaskWay, Dbbackup, Pgclone, RawDump, UploadsRead, BareCheck, BareRestore, ApiCopy)} | {
    "backup_list": "manage.py backup_list",
    "help": "manage.py backup_create --help",
}
HEADINGS = {
    "create": "Create",
    "restore": "Restore",
    "gap": "A client that reads during a restore",
    "pages": "The site's pages during a restore by swap",
    "sqlite create": "SQLite: create, the database alone",
    "sqlite gap": "SQLite: a client that reads during a restore",
    "start": "Start",
    "team": "The team's pages and the timer",
}
# The value that is drawn, in seconds, and what it is.
PLOTTED = {
    "create": ("seconds", "Create: seconds, median"),
    "restore": ("seconds", "Restore: seconds, median"),
    "gap": ("without answer seconds", "Seconds without an answer during a restore, median"),
}
MB = 1e6


def tables_written(results: Results) -> str:
    """All tables: what it ran on, the bars, and each section."""
    parts = [_table(("On", ""), [list(item) for item in results.about.items()]), "### The bars", _bars_table(bars_judged(results))]
    for section, heading in HEADINGS.items():
        for engine in results.engines(section):
            parts.append(f"### {heading}: {engine}")
            parts += [_section_table(results, section, engine, entries) for entries in results.sizes(section, engine)]
            parts += _stages_table(results, section, engine)
    return "\n\n".join(parts) + "\n"


def page_renewed(page: Path, tables: str, plots: Iterable[Path]) -> None:
    """Put ``tables`` and links to ``plots`` between the two marks of ``page``. Raises ValueError where it has none."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the tables.")
    pictures = [f"![{HEADINGS[plot.stem.removeprefix('bench-')]}]({os.path.relpath(plot, page.parent)})\n\n" for plot in plots]
    page.write_text(f"{before}{begin}\n\n{''.join(pictures)}{tables}\n{end}{after}")


def plots_drawn(results: Results, folder: Path) -> list[Path]:
    """Draw a plot for each section of :data:`PLOTTED` into ``folder``; returns the files."""
    drawn = []
    for section, (name, title) in PLOTTED.items():
        rows = list(_plot_rows(results, section, name))
        if rows:
            path = folder / f"bench-{section}.svg"
            path.write_text(plot_rows(rows, title=f"{title} (the line: lowest to highest)", unit="s"))
            drawn.append(path)
    return drawn


def _plot_rows(results: Results, section: str, name: str) -> Iterator[Row]:
    """For each engine the size on which most have run, the largest of several."""
    for engine in results.engines(section):
        sizes = results.sizes(section, engine)
        entries = max(sizes, key=lambda size: (len(results.contenders(section, engine, size)), size))
        for contender in sorted(results.contenders(section, engine, entries), key=list(TITLES).index):
            spread = spread_of(results.values(section, engine, entries, contender, name).values())
            if spread and contender != BareCheck.key:
                yield Row(f"{engine}, {_count(entries)} entries", TITLES[contender], spread, is_ours=contender == Ours.key)


def _bars_table(judged: Iterable[Judged]) -> str:
    head = ("What", "Engine", "Entries", "Bar", "Measured (lowest to highest)", "Holds", "Stretch")
    rows = []
    for item in judged:
        sign = "≥" if item.bar.at_least else "≤"
        rows.append(
            [
                item.bar.what,
                item.engine,
                _count(item.entries),
                "" if item.limit is None else f"{sign} {item.limit:g} {item.bar.unit}".rstrip(),
                _spread(item.measured, item.bar.unit),
                "" if item.limit is None else _yes(item.reaches(item.limit)),
                "" if item.stretch is None else f"{sign} {item.stretch:g} {item.bar.unit}: {_yes(item.reaches(item.stretch))}",
            ]
        )
    return _table(head, rows)


def _section_table(results: Results, section: str, engine: str, entries: int) -> str:
    def spread(contender: str, name: str, factor: float = 1, unit: str = "") -> str:
        found = spread_of(factor * value for value in results.values(section, engine, entries, contender, name).values())
        return _spread(found, unit) if found else ""

    def surveyed(contender: str, name: str, factor: float) -> str:
        found = results.surveyed(section, engine, entries, contender, name)
        return "" if found is None else _number(factor * found)

    def beside_ours(contender: str) -> str:
        seconds = results.values(section, engine, entries, contender, "seconds")
        found = spread_of(quotients(seconds, results.values(section, engine, entries, Ours.key, "seconds")))
        return _spread(found, "×") if found and contender != Ours.key else ""

    columns: dict[str, Callable[[str], str]] = {
        "Seconds": lambda key: spread(key, "seconds"),
        "By ours": beside_ours,
        "Processor s": lambda key: spread(key, "cpu seconds"),
        "Largest process, MiB": lambda key: spread(key, "peak KiB", 1 / 1024),
        "All processes, MiB": lambda key: surveyed(key, "tree KiB", 1 / 1024),
        "Temporary disk, MB": lambda key: surveyed(key, "temporary bytes", 1 / MB),
        "Left on disk, MB": lambda key: surveyed(key, "left bytes", 1 / MB),
        "Archive, MB": lambda key: spread(key, "bytes", 1 / MB),
        "Load into the shadow, s": lambda key: spread(key, "stage shadow"),
        "Longest gap, ms": lambda key: spread(key, "longest gap seconds", 1000),
        "Without an answer, ms": lambda key: spread(key, "without answer seconds", 1000),
        "Closed, ms": lambda key: spread(key, "milliseconds closed"),
        "Wrong answers": lambda key: spread(key, "wrong"),
        "Refused": lambda key: spread(key, "refused"),
        "Good answers": lambda key: spread(key, "good"),
        "Pages": lambda key: spread(key, "pages"),
        "Failed pages": lambda key: spread(key, "failed pages"),
        "Slowest page, ms": lambda key: spread(key, "slowest page seconds", 1000),
        "Milliseconds": lambda key: spread(key, "milliseconds"),
        "Runs that failed": lambda key: _failures(results, section, engine, entries, key),
    }
    contenders = sorted(results.contenders(section, engine, entries), key=_order)
    rows = [[column(contender) for column in columns.values()] for contender in contenders]
    # A column that says nothing here is for other sections.
    used = [number for number in range(len(columns)) if any(row[number] for row in rows)]
    head = [f"{_count(entries)} entries", *(list(columns)[number] for number in used)]
    return _table(head, [[TITLES.get(key, key), *(row[number] for number in used)] for key, row in zip(contenders, rows, strict=True)])


def _order(contender: str) -> int:
    """That of the contenders; what is none comes after them, as it was measured."""
    return list(TITLES).index(contender) if contender in TITLES else len(TITLES)


def _stages_table(results: Results, section: str, engine: str) -> list[str]:
    """Where our own time goes, by the size; nothing where no stages were told."""
    sizes = results.sizes(section, engine)
    told = [item for size in sizes for item in results.of(section, engine, size, Ours.key)]
    stages = list(dict.fromkeys(name for item in told for name in item.values if name.startswith("stage ")))
    if not stages:
        return []
    rows = []
    for size in sizes:
        timed = [item.values for item in results.of(section, engine, size, Ours.key) if item.round != SURVEY]
        spreads = [spread_of(values[stage] for values in timed if stage in values) for stage in stages]
        rest = spread_of(values["seconds"] - sum(values.get(stage, 0.0) for stage in stages) for values in timed)
        rows.append([_count(size), *(_spread(spread) if spread else "" for spread in (*spreads, rest))])
    head = ["Entries", *(stage.removeprefix("stage ") for stage in stages), "start and end"]
    return ["Where our time goes, in seconds by stage:", _table(head, rows)]


def _failures(results: Results, section: str, engine: str, entries: int, contender: str) -> str:
    failed = sum("failed" in item.values for item in results.of(section, engine, entries, contender))
    return str(failed) if failed else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _spread(spread: Spread, unit: str = "") -> str:
    middle = f"{_number(spread.median)} {unit}".rstrip()
    return middle if spread.low == spread.high else f"{middle} ({_number(spread.low)} to {_number(spread.high)})"


def _number(value: float) -> str:
    """Three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _count(entries: int) -> str:
    return f"{entries:,}"


def _yes(holds: bool) -> str:
    return "yes" if holds else "**no**"
