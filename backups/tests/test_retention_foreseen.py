"""Until when each archive stays: foreseen at once, and the same as living through all the runs to come."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from backups.models import EVERY_DAY, BackupSchedule
from backups.retention import CLOCKS_DIFFER, FUTURE, PINNED, Candidate, KeepRules, Stay, retention_decide, retention_foresee
from backups.schedules import next_runs

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)


def candidate(created_at: datetime, *, verified: bool = True, pinned: bool = False) -> Candidate:
    return Candidate(f"{created_at:%Y%m%d_%H%M%S_%f}", created_at, verified, pinned)


def nightly(count: int) -> list[Candidate]:
    """Those of the last ``count`` nights, newest first."""
    return [candidate(datetime(2026, 6, 10, 2, 30, tzinfo=UTC) - timedelta(days=day)) for day in range(count)]


def runs_of(nights: int) -> list[datetime]:
    """The next ``nights`` nights at half past two."""
    return next_runs(BackupSchedule(days=EVERY_DAY, time_zone="UTC"), NOW, nights)


def until(archives: list[Candidate], rules: KeepRules, nights: int = 60) -> list[str]:
    """For each archive, newest first, the day on which it goes and the rule that keeps it until then."""
    stays = retention_foresee(archives, rules, NOW, runs_of(nights))
    return [f"{stay.until:%m-%d} {stay.longest}" if stay.until else stay.longest for stay in stays]


def lived_through(archives: list[Candidate], rules: KeepRules, runs: list[datetime]) -> dict[str, tuple[datetime, tuple[str, ...]]]:
    """When each of ``archives`` goes, and what kept it before, if after each run a good archive is there and the rules are applied."""
    there = list(archives)
    kept_by: dict[str, tuple[str, ...]] = {}
    gone: dict[str, tuple[datetime, tuple[str, ...]]] = {}
    for run in runs:
        there.append(candidate(run))
        decisions = retention_decide(there, rules, run)
        gone.update(
            {decision.archive.name: (run, kept_by.get(decision.archive.name, ())) for decision in decisions if not decision.kept_by}
        )
        there = [decision.archive for decision in decisions if decision.kept_by]
        kept_by = {decision.archive.name: decision.kept_by for decision in decisions}
    return gone


def test_each_goes_when_the_last_of_its_rules_lets_it_go() -> None:
    # The Sunday before stays until its week is the third: 2026-06-15 is a Monday.
    assert until(nightly(6), KeepRules(last=2, daily=3, weekly=2)) == [
        "06-13 daily 1 of 3",
        "06-12 daily 2 of 3",
        "06-11 daily 3 of 3",
        "06-15 weekly 2 of 2",
        "",
        "",
    ]


def test_newest_of_a_period_stays_until_the_next_one_of_it() -> None:
    assert until(nightly(1), KeepRules(yearly=5)) == ["06-11 newest"]


def test_counted_archives_and_not_days_push_out() -> None:
    weekly = next_runs(BackupSchedule(days=1, time_zone="UTC"), NOW, 10)
    stays = retention_foresee(nightly(2), KeepRules(daily=2), NOW, weekly)
    assert [f"{stay.until:%m-%d}" for stay in stays if stay.until] == ["06-22", "06-15"]


def test_one_that_is_not_verified_pushes_out_no_good_one() -> None:
    archives = nightly(3)
    archives[0] = replace(archives[0], is_verified=False)
    assert until(archives, KeepRules(last=2)) == ["06-12 last 1 of 2, not verified", "06-12 last 1 of 2", "06-11 last 2 of 2"]


def test_archive_of_a_clock_that_was_ahead_pushes_out_when_its_time_comes() -> None:
    ahead = candidate(datetime(2026, 6, 12, 1, tzinfo=UTC))
    # Two nights push the other one out of the newest three: its own, and with the second that from the future.
    assert until([ahead, *nightly(1)], KeepRules(last=3)) == [FUTURE, "06-12 last 1 of 3"]


def test_pinned_one_has_no_end() -> None:
    archives = nightly(3)
    archives[2] = replace(archives[2], is_pinned=True)
    assert until(archives, KeepRules(last=1)) == ["06-11 newest", "", PINNED]


def test_without_runs_nothing_that_stays_ever_goes() -> None:
    stays = retention_foresee(nightly(3), KeepRules(last=2), NOW, ())
    assert [(stay.until, stay.kept_by) for stay in stays] == [
        (None, ("newest", "last verified", "last 1 of 2")),
        (None, ("last 2 of 2",)),
        (None, ()),
    ]


def test_one_that_is_kept_beyond_all_runs_names_the_rule_that_does() -> None:
    last_of_may = candidate(datetime(2026, 5, 31, tzinfo=UTC))
    (stay,) = retention_foresee([last_of_may], KeepRules(daily=2, monthly=3), NOW, runs_of(30))
    assert (stay.until, stay.longest) == (None, "monthly 1 of 3")


instants = st.integers(-200 * 86400, 20 * 86400).map(lambda seconds: NOW + timedelta(seconds=seconds, microseconds=1))
candidates = st.lists(
    st.builds(
        lambda created_at, verified, pinned: candidate(created_at, verified=verified, pinned=pinned),
        instants,
        st.booleans(),
        st.integers(0, 9).map(lambda number: number == 0),
    ),
    max_size=30,
    unique_by=lambda archive: archive.created_at,
)
counts = st.integers(0, 8)
all_rules = st.builds(
    KeepRules, counts, counts, counts, counts, counts, st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "America/St_Johns"])
)
run_times = st.lists(st.integers(60, 12 * 86400), max_size=60).map(
    lambda gaps: [NOW + timedelta(seconds=sum(gaps[: number + 1])) for number in range(len(gaps))]
)


@settings(max_examples=500, deadline=None)
@given(archives=candidates, rules=all_rules, runs=run_times)
def test_foreseeing_is_the_same_as_living_through_it(archives: list[Candidate], rules: KeepRules, runs: list[datetime]) -> None:
    gone = lived_through(archives, rules, runs)
    for stay in retention_foresee(archives, rules, NOW, runs):
        name = stay.archive.name
        if stay.archive.created_at > NOW + CLOCKS_DIFFER:
            assert (stay.until, stay.longest) == (None, FUTURE), "when it begins to count is not known"
        elif not stay.kept_by:
            assert name not in gone or gone[name][0] == runs[0]
            assert stay.until is None
        elif stay.until is None:
            assert name not in gone
        else:
            went, kept_by = gone[name]
            assert went == stay.until
            assert _rule(stay.longest) in map(_rule, kept_by if went != runs[0] else stay.kept_by), "it is the last that lets go"


def _rule(words: str) -> str:
    """The reason without its place: ``daily 2 of 7`` and ``daily 5 of 7`` are of one rule."""
    return re.sub(r"\d+ of", "of", words)


@settings(max_examples=200, deadline=None)
@given(archives=candidates, rules=all_rules, runs=run_times)
def test_foreseen_reasons_are_those_of_today(archives: list[Candidate], rules: KeepRules, runs: list[datetime]) -> None:
    today = {decision.archive.name: decision.kept_by for decision in retention_decide(archives, rules, NOW)}
    stays: list[Stay] = retention_foresee(archives, rules, NOW, runs)
    assert {stay.archive.name: stay.kept_by for stay in stays} == today
    assert all(stay.longest in stay.kept_by for stay in stays if stay.kept_by)
