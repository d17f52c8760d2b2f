"""What retention keeps, and what it never lets go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from backups.retention import PERIODS, Candidate, KeepRules, retention_decide

START = datetime(2026, 1, 1, 2, 30, tzinfo=UTC)
# After all archives of these tests.
NOW = datetime(2028, 1, 1, tzinfo=UTC)


def candidate(created_at: datetime, *, verified: bool = True, pinned: bool = False) -> Candidate:
    return Candidate(f"{created_at:%Y%m%d_%H%M%S_%f}", created_at, verified, pinned)


def nightly(count: int) -> list[Candidate]:
    return [candidate(START + timedelta(days=day)) for day in range(count)]


def kept(archives: list[Candidate], rules: KeepRules) -> list[str]:
    """Days of those that stay, oldest first."""
    return sorted(f"{decision.archive.created_at:%m-%d}" for decision in retention_decide(archives, rules, NOW) if decision.kept_by)


def reasons(archives: list[Candidate], rules: KeepRules) -> dict[str, tuple[str, ...]]:
    return {decision.archive.name: decision.kept_by for decision in retention_decide(archives, rules, NOW)}


def test_days_weeks_and_months_keep_the_newest_of_each() -> None:
    # 2026-01-01 is a Thursday: the weeks end on 01-04, 01-11, …
    assert kept(nightly(90), KeepRules(last=2, daily=3, weekly=2, monthly=3)) == ["01-31", "02-28", "03-29", "03-30", "03-31"]


def test_each_reason_is_named() -> None:
    found = reasons(nightly(10), KeepRules(last=1, daily=2, weekly=2))
    newest, before, sunday = (f"202601{day}_023000_000000" for day in ("10", "09", "04"))
    assert found[newest] == ("newest", "last verified", "last 1 of 1", "daily 1 of 2", "weekly 1 of 2")
    assert found[before] == ("daily 2 of 2",)
    assert found[sunday] == ("weekly 2 of 2",)
    assert [name for name, why in found.items() if why] == [newest, before, sunday]


def test_days_are_those_of_the_time_zone() -> None:
    # 23:30 and 00:30 in Berlin: two days there, one in UTC.
    late, early = candidate(datetime(2026, 1, 1, 22, 30, tzinfo=UTC)), candidate(datetime(2026, 1, 1, 23, 30, tzinfo=UTC))
    assert all(reasons([late, early], KeepRules(daily=2, time_zone="Europe/Berlin")).values())
    assert reasons([late, early], KeepRules(daily=2, time_zone="UTC"))[late.name] == ()


def test_weeks_are_counted_across_the_turn_of_the_year() -> None:
    # Monday 2025-12-29 and Thursday 2026-01-01 are of one week.
    monday, thursday = candidate(datetime(2025, 12, 29, tzinfo=UTC)), candidate(datetime(2026, 1, 1, tzinfo=UTC))
    assert reasons([monday, thursday], KeepRules(weekly=2))[monday.name] == ()


def test_nothing_goes_because_backups_have_stopped() -> None:
    archives = nightly(7)
    assert len(kept(archives, KeepRules(daily=7))) == 7


def test_failed_verifications_evict_nothing() -> None:
    good = nightly(5)
    damaged = [replace(archive, is_verified=False) for archive in nightly(40)[5:]]
    found = reasons([*good, *damaged], KeepRules(last=2, daily=3))
    assert [archive.name for archive in good if found[archive.name]] == [archive.name for archive in good[2:]]


def test_damaged_archive_stays_as_long_as_a_good_one_would() -> None:
    archives = nightly(6)
    archives[3] = replace(archives[3], is_verified=False)
    found = reasons(archives, KeepRules(daily=3))
    assert found[archives[3].name] == ("daily 3 of 3, not verified",)
    assert found[archives[2].name] == ("daily 3 of 3",), "the third of those that count"
    later = [*archives, candidate(START + timedelta(days=6))]
    assert reasons(later, KeepRules(daily=3))[archives[3].name] == ()


def test_archives_from_the_future_keep_no_other_from_staying() -> None:
    # A clock that was a year ahead for three nights; after it was set right, nothing newer than those would be made for a year.
    ahead = [candidate(START + timedelta(days=365 + night)) for night in range(3)]
    archives = [*nightly(4), *ahead]
    decisions = retention_decide(archives, KeepRules(last=2), START + timedelta(days=3, minutes=5))
    assert {decision.archive: decision.kept_by for decision in decisions} == {
        **dict.fromkeys(ahead, ("made while the clock was ahead",)),
        archives[3]: ("newest", "last verified", "last 1 of 2"),
        archives[2]: ("last 2 of 2",),
        archives[1]: (),
        archives[0]: (),
    }


def test_an_archive_of_a_host_whose_clock_is_a_little_ahead_counts() -> None:
    archive = candidate(START + timedelta(minutes=10))
    (decision,) = retention_decide([archive], KeepRules(last=1), START)
    assert decision.kept_by == ("newest", "last verified", "last 1 of 1")


instants = st.datetimes(datetime(2020, 1, 1), datetime(2027, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
candidates = st.lists(
    st.builds(
        lambda created_at, verified, pinned: candidate(created_at, verified=verified, pinned=pinned), instants, st.booleans(), st.booleans()
    ),
    max_size=40,
    unique_by=lambda archive: archive.name,
)
counts = st.integers(0, 12)
all_rules = st.builds(
    KeepRules, counts, counts, counts, counts, counts, st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "America/St_Johns"])
)


@settings(max_examples=400, deadline=None)
@given(archives=candidates, rules=all_rules)
def test_newest_last_verified_and_pinned_are_never_let_go(archives: list[Candidate], rules: KeepRules) -> None:
    decisions = retention_decide(archives, rules, NOW)
    assert sorted(decision.archive.name for decision in decisions) == sorted(archive.name for archive in archives)
    stay = {decision.archive for decision in decisions if decision.kept_by}
    assert all(archive in stay for archive in archives if archive.is_pinned)
    if archives:
        assert max(archives, key=lambda archive: (archive.created_at, archive.name)) in stay
    if verified := [archive for archive in archives if archive.is_verified]:
        assert max(verified, key=lambda archive: (archive.created_at, archive.name)) in stay


@settings(max_examples=400, deadline=None)
@given(archives=candidates, rules=all_rules)
def test_what_is_not_verified_changes_nothing_for_what_is(archives: list[Candidate], rules: KeepRules) -> None:
    verified = [archive for archive in archives if archive.is_verified]
    alone = {archive.name for archive in verified if reasons(verified, rules)[archive.name]}
    among_all = {archive.name for archive in verified if reasons(archives, rules)[archive.name]}
    assert among_all == alone


@settings(max_examples=300, deadline=None)
@given(archives=candidates, rules=all_rules)
def test_every_rule_keeps_as_many_verified_ones_as_it_says(archives: list[Candidate], rules: KeepRules) -> None:
    verified = [archive for archive in archives if archive.is_verified]
    stay = {archive for archive in verified if reasons(archives, rules)[archive.name]}
    zone = ZoneInfo(rules.time_zone)
    assert len(stay) >= min(rules.last, len(verified))
    for rule, period_of in PERIODS.items():
        periods = sorted({period_of(archive.created_at.astimezone(zone)) for archive in verified}, reverse=True)  # type: ignore[type-var]
        covered = {period_of(archive.created_at.astimezone(zone)) for archive in stay}
        assert set(periods[: getattr(rules, rule)]) <= covered


@settings(max_examples=300, deadline=None)
@given(archives=candidates, rules=all_rules)
def test_deciding_again_lets_nothing_more_go(archives: list[Candidate], rules: KeepRules) -> None:
    stay = [decision.archive for decision in retention_decide(archives, rules, NOW) if decision.kept_by]
    assert all(decision.kept_by for decision in retention_decide(stay, rules, NOW))


@settings(max_examples=300, deadline=None)
@given(archives=candidates, rules=all_rules)
def test_rules_bound_what_stays(archives: list[Candidate], rules: KeepRules) -> None:
    most = rules.last + rules.daily + rules.weekly + rules.monthly + rules.yearly
    stay = [decision for decision in retention_decide(archives, rules, NOW) if decision.kept_by and not decision.archive.is_pinned]
    assert len([decision for decision in stay if decision.archive.is_verified]) <= most + 1
    assert len([decision for decision in stay if not decision.archive.is_verified]) <= most + 1
