"""``./run bench``: measure ours beside the others, or make the tables and plots of what was measured."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from backups.tests.servers import PgCluster, oldest_pg_major, running
from backups.tests.site import BASE_DIR
from bench.contenders import BareCheck, BareRestore, Dbbackup, FlaskWay, Ours, Pgclone, RawDump, UploadsRead
from bench.report import page_renewed, plots_drawn, tables_written
from bench.results import Results
from bench.rounds import POSTGRES_SECTIONS, SQLITE_SECTIONS, Rounds
from bench.stand import PostgresStand, SqliteStand, Stand

PAGE = BASE_DIR / "docs/admin/PERFORMANCE.md"
PLOTS = BASE_DIR / "docs/images"
KEYS = [kind.key for kind in (Ours, FlaskWay, Dbbackup, Pgclone, RawDump, UploadsRead, BareCheck, BareRestore)] + ["api"]
# The section that has data of its own.
TEAM = "team"
SECTIONS = tuple(dict.fromkeys((*POSTGRES_SECTIONS, *SQLITE_SECTIONS)))
# Everything else is as the server has it by itself. Cleaning up by itself would begin in the middle of somebody's run.
SERVER_OPTIONS = {"autovacuum": "off"}
SHOWN_OPTIONS = ("shared_buffers", "maintenance_work_mem", "max_wal_size", "wal_compression", "synchronous_commit", "fsync", "autovacuum")


def _words(known: Sequence[str]) -> Callable[[str], list[str]]:
    def words(text: str) -> list[str]:
        chosen = [word for word in text.split(",") if word]
        unknown = [word for word in chosen if word not in known]
        if unknown or not chosen:
            raise argparse.ArgumentTypeError(f"{text}: choose from {', '.join(known)}")
        return chosen

    return words


def _counts(text: str) -> list[int]:
    return [int(word.replace("_", "")) for word in text.split(",")]


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./run bench", description="Measure our backups beside others, in turn, in one run.")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds, after one that is not timed (default: 5)")
    parser.add_argument("--entries", type=_counts, default=[250_000, 1_000_000, 2_000_000, 4_000_000], help="sizes, with commas between")
    parser.add_argument("--team-entries", type=int, default=200_000, help="time entries of the section team (default: 200000)")
    parser.add_argument("--people", type=int, default=20, help="people of the section team (default: 20)")
    parser.add_argument("--uploads-mb", type=int, default=1024, help="MiB of uploads (default: 1024)")
    parser.add_argument("--postgres", type=int, default=oldest_pg_major(), metavar="MAJOR", help="server and tools (default: %(default)s)")
    parser.add_argument("--only", type=_words(SECTIONS), default=list(SECTIONS), help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--contenders", type=_words(KEYS), default=KEYS, help=f"of {','.join(KEYS)}; ours always")
    parser.add_argument("--data", type=Path, default=BASE_DIR / "var/bench", help="data is made and kept in here (default: var/bench)")
    parser.add_argument("--out", type=Path, help="results.json, tables.md and the plots go here (default: a new folder in that of --data)")
    parser.add_argument("--report", type=Path, nargs="+", metavar="RESULTS", help="measure nothing: put these into the docs")
    return parser


def main(words: Sequence[str] | None = None) -> None:
    """Measure, or report."""
    chosen = arguments().parse_args(words)
    if chosen.report:
        results = Results.read(chosen.report)
        page_renewed(PAGE, tables_written(results), plots_drawn(results, PLOTS))
        return
    # As Ctrl-C: servers and data of this run are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    data: Path = chosen.data.resolve()
    out: Path = (chosen.out or data / f"results-{datetime.now(UTC):%Y%m%d-%H%M%S}").resolve()
    out.mkdir(parents=True, exist_ok=True)
    results = Results(about=_about(chosen))

    def keep() -> None:
        results.write(out / "results.json")

    for stand, sections in _stands(chosen, data, results):
        Rounds(stand, results, chosen.rounds, chosen.contenders, keep).run(sections)
    tables = tables_written(results)
    (out / "tables.md").write_text(tables)
    plots_drawn(results, out)
    print(tables)
    print(f"The results are in {out}.", file=sys.stderr)


def _stands(chosen: argparse.Namespace, data: Path, results: Results) -> Iterator[tuple[Stand, list[str]]]:
    """A stand for each size, prepared, on PostgreSQL and then on SQLite, and its sections; each is removed when the next is asked for.

    The team's pages have one of their own: a team of few people with years behind them.
    """
    work = data / f"work-{os.getpid()}"

    def opened(stand: Stand, sections: list[str]) -> Iterator[tuple[Stand, list[str]]]:
        print(f"Making or taking data of {stand.entries} entries.", file=sys.stderr)
        try:
            stand.prepare()
            yield stand, sections
        finally:
            stand.close()

    try:
        if set(chosen.only) & set(POSTGRES_SECTIONS):
            with running(PgCluster(chosen.postgres, options=SERVER_OPTIONS)) as cluster:
                results.about |= _about_server(cluster)
                if sections := [section for section in chosen.only if section in POSTGRES_SECTIONS and section != TEAM]:
                    for entries in chosen.entries:
                        yield from opened(PostgresStand(work, data, entries, chosen.uploads_mb, cluster), sections)
                if TEAM in chosen.only:
                    yield from opened(PostgresStand(work, data, chosen.team_entries, 0, cluster, people=chosen.people), [TEAM])
        # Only the demo agency's own files: SQLite is measured without uploads.
        if sections := [section for section in chosen.only if section in SQLITE_SECTIONS and section != TEAM]:
            for entries in chosen.entries:
                yield from opened(SqliteStand(work, data, entries, 0), sections)
        if TEAM in chosen.only:
            yield from opened(SqliteStand(work, data, chosen.team_entries, 0, people=chosen.people), [TEAM])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _about(chosen: argparse.Namespace) -> dict[str, str]:
    """What the results depend on."""
    processor = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    model = processor[1] if processor else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = {name: _version(name) for name in ("Django", "isal", "django-dbbackup", "django-pgclone")}
    return {
        "Date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Version": _commit(),
        "Machine": f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB; Linux {platform.release()}",
        "Load at the beginning": f"{os.getloadavg()[0]:.1f}",
        "Python": f"{platform.python_version()}; " + ", ".join(f"{name} {version}" for name, version in packages.items()),
        "SQLite": sqlite3.sqlite_version,
        "Uploads": f"{chosen.uploads_mb} MiB, nine tenths of them random",
        "Rounds": str(chosen.rounds),
    }


def _about_server(cluster: PgCluster) -> dict[str, str]:
    settings = ", ".join(f"{name} {cluster.fetch(f'SHOW {name}')[0][0]}" for name in SHOWN_OPTIONS)
    return {f"PostgreSQL {cluster.major}": f"{cluster.fetch('SHOW server_version')[0][0]}; {settings}"}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit that is measured, where the folder is one of git's."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    answer = subprocess.run([git, "rev-parse", "--short", "HEAD"], cwd=BASE_DIR, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
