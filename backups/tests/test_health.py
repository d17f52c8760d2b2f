"""What health says of each state, and who is told. Stopped servers and torn schemas: test_health_in_every_state.py."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from pytest_django import DjangoDbBlocker, Settings

from backups.gate import GateState, gate_close, gate_open, gate_raise
from backups.journal import Journal
from backups.models import Backup, BackupSchedule
from backups.presence import WORKER_KEY, tick_note, worker_announce, worker_withdraw
from backups.services.health import Health, backup_health, backup_ready
from backups.services.question import Question
from backups.watch import cancel_request

NOW = datetime.now(UTC)
TOKEN = "a-token-for-tests-0123456789"


@pytest.fixture(autouse=True)
def own_site(own_gate: None, tmp_path: Path, settings: Settings) -> None:
    """State, gate and store of the test's own."""
    store = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path / "store")}}
    settings.STORAGES = {**settings.STORAGES, "backups": store}
    (tmp_path / "store").mkdir(mode=0o700)


def name_of(hours_ago: float, identity: str = "98b10547") -> str:
    """The name of an archive that was made so long ago."""
    return f"backup_{NOW - timedelta(hours=hours_ago):%Y%m%d_%H%M%S}_{identity}.zip"


def stored(settings: Settings, *names: str) -> None:
    """Put files of these names into the store; none is an archive, since none may be opened."""
    for name in names:
        Path(settings.STORAGES["backups"]["OPTIONS"]["location"], name).write_bytes(b"not opened")


def row(name: str, *, problem: str = "", verified_at: datetime | None = None, is_uploaded: bool = False) -> None:
    """The catalogue's row of one archive."""
    Backup.objects.create(
        name=name, archive_id=name[-12:-4], created_at=NOW, trigger="manual", size=1, vendor="x", row_count=1, has_uploads=True,
        problem=problem, verified_at=verified_at, is_uploaded=is_uploaded,
    )  # fmt: skip


def alive() -> None:
    """A worker and a tick, now; the sign of the worker stays, however slow the test is."""
    worker_announce("worker@here")
    caches["backups"].touch(WORKER_KEY, None)
    tick_note()


def ended(kind: str, status: str, error: str = "", **fields: Any) -> Journal:
    """The journal of an operation that has ended."""
    journal = Journal(kind=kind, **fields)
    journal.start()
    journal.end(status, error=error)
    return journal


@pytest.fixture
def well(transactional_db: None, settings: Settings) -> None:
    """A site in which all is well: a fresh archive that was verified, a schedule, a worker, a tick."""
    stored(settings, name_of(3), name_of(30, "00000000"))
    row(name_of(3), verified_at=NOW - timedelta(hours=2))
    BackupSchedule.objects.get_or_create(defaults={"note": "the only one"})
    alive()


# --- what is well, and what is not ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("well")
def test_a_site_in_which_all_is_well_has_no_problem() -> None:
    health = backup_health()
    assert health.problems == []
    assert health.is_healthy
    assert health.last_backup is not None
    assert (health.last_backup.name, health.archives) == (name_of(3), 2)
    assert health.last_backup.made_at == (NOW - timedelta(hours=3)).replace(microsecond=0)
    assert health.verified_at == NOW - timedelta(hours=2)
    assert health.database == "ok"
    assert health.worker is not None
    assert health.schedules is not None
    (schedule,) = health.schedules
    assert schedule.sentence.startswith("Every day at 02:30")
    assert schedule.next_due_at is not None
    assert timedelta(0) < schedule.next_due_at - health.checked_at <= timedelta(days=1)


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize(("hours", "is_healthy"), [(2, False), (4, True)])
def test_the_newest_backup_must_not_be_older_than_the_threshold(settings: Settings, hours: int, is_healthy: bool) -> None:
    settings.BACKUPS_MAX_AGE_HOURS = hours
    health = backup_health()
    assert health.is_healthy == is_healthy
    assert health.problems == ([] if is_healthy else ["The last good backup is 3 hours old, more than 2."])


@pytest.mark.usefixtures("well")
def test_an_archive_that_was_brought_does_not_hide_that_none_is_made(settings: Settings) -> None:
    stored(settings, name_of(1, "0badcafe"))
    row(name_of(1, "0badcafe"), verified_at=NOW, is_uploaded=True)
    settings.BACKUPS_MAX_AGE_HOURS = 2
    assert backup_health().problems == ["The last good backup is 3 hours old, more than 2."]


@pytest.mark.usefixtures("well")
def test_an_archive_that_was_brought_is_no_backup_of_this_site() -> None:
    row(name_of(30, "00000000"), verified_at=NOW)
    Backup.objects.update(is_uploaded=True)
    health = backup_health()
    assert (health.is_healthy, health.last_backup, health.verified_at) == (False, None, None)
    assert health.problems == ["There is no good backup of this site's own: the good archives of the store were brought here."]


@pytest.mark.usefixtures("well")
def test_a_time_of_the_tick_that_says_no_zone_is_passed_over(settings: Settings) -> None:
    (Path(settings.BACKUPS_STATE_DIR) / "tick").write_text('{"time": "2999-01-01T00:00:00"}')
    assert backup_health().problems == []


@pytest.mark.usefixtures("well")
def test_a_time_zone_that_this_machine_does_not_know_is_told() -> None:
    BackupSchedule.objects.update(time_zone="Atlantis/Capital", key="0a1b2c3d")
    assert backup_health().problems == [
        "The schedule 0a1b2c3d fails: this machine does not know the time zone Atlantis/Capital, so it runs by UTC."
    ]


@pytest.mark.usefixtures("well")
def test_an_archive_from_the_future_does_not_hide_that_none_is_made(settings: Settings) -> None:
    stored(settings, name_of(-24 * 365, "0000000f"))
    settings.BACKUPS_MAX_AGE_HOURS = 2
    health = backup_health()
    assert health.problems == ["The last good backup is 3 hours old, more than 2."]
    assert health.archives == 3


@pytest.mark.usefixtures("well")
def test_an_archive_that_was_found_damaged_is_no_backup_and_is_named(settings: Settings) -> None:
    stored(settings, name_of(1, "bad00000"))
    row(name_of(1, "bad00000"), problem="db.sqlite does not match its SHA-256.", verified_at=NOW)
    health = backup_health()
    assert health.problems == [f"The newest archive {name_of(1, 'bad00000')} is not good: db.sqlite does not match its SHA-256."]
    assert health.last_backup is not None
    assert health.last_backup.name == name_of(3)
    assert health.verified_at == NOW - timedelta(hours=2)


@pytest.mark.usefixtures("well")
def test_a_store_without_a_backup_is_a_problem(settings: Settings) -> None:
    store = Path(settings.STORAGES["backups"]["OPTIONS"]["location"])
    for path in store.iterdir():
        path.unlink()
    stored(settings, "backup_99999999_999999_00000000.zip", "notes.txt", ".backup_20261122_171350_98b10547.zip.partial")
    health = backup_health()
    assert (health.archives, health.last_backup) == (0, None)
    assert health.problems == ["There is no good backup in the store."]


@pytest.mark.usefixtures("well")
def test_a_store_that_cannot_be_listed_is_told_and_says_nothing_of_backups(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    store = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path / "file")}}
    settings.STORAGES = {**settings.STORAGES, "backups": store}
    health = backup_health()
    assert health.archives is None
    assert len(health.problems) == 1
    assert health.problems[0].startswith("The store cannot be listed: ")


@pytest.mark.usefixtures("well")
def test_a_failure_is_reported_and_is_no_problem_while_there_are_good_backups() -> None:
    ended("create", "failed", "The disk is full.")
    last = ended("restore", "failed", "No such archive.")
    ended("create", "done")
    waiting = Journal(kind="create")
    waiting.save()
    assert cancel_request(waiting.id, by="ada"), "what a person wanted is no failure"
    health = backup_health()
    assert health.last_failure is not None
    assert (health.last_failure.operation, health.last_failure.kind, health.last_failure.error) == (last.id, "restore", "No such archive.")
    assert health.is_healthy


@pytest.mark.usefixtures("well")
def test_a_schedule_that_fails_is_a_problem() -> None:
    BackupSchedule.objects.update(last_error="The disk is full.", attempts=4, next_attempt_at=NOW + timedelta(hours=1))
    health = backup_health()
    assert health.schedules is not None
    assert health.problems == [f"The schedule {health.schedules[0].key} fails: The disk is full."]
    assert health.schedules[0].next_due_at == NOW + timedelta(hours=1)


@pytest.mark.usefixtures("well")
def test_an_interrupted_operation_is_a_problem_and_a_queued_one_is_not() -> None:
    queued = Journal(kind="verify")
    queued.save()
    dead = Journal(kind="restore")
    dead.start()
    health = backup_health()
    assert (health.queued, health.running, health.interrupted) == ([queued], [], [dead])
    assert health.problems == [f"The restore {dead.short_id} was interrupted and waits for recovery."]


@pytest.mark.usefixtures("well")
def test_an_operation_that_holds_the_lock_is_at_work() -> None:
    from backups.engines import engine_for

    journal = Journal(kind="create")
    with engine_for().lock(journal.id, wait=10):
        journal.start()
        health = backup_health()
    assert (health.running, health.interrupted, health.problems) == ([journal], [], [])


@pytest.mark.usefixtures("well")
def test_the_kept_state_is_shown_until_it_expires() -> None:
    until = (NOW + timedelta(hours=70)).isoformat()
    journal = ended("restore", "done", kept={"database": {"name": "kept"}, "until": until})
    assert backup_health().kept == {"operation": journal.id, "kind": "restore", "archive": "", "until": until}


@pytest.mark.usefixtures("well")
def test_a_damaged_journal_is_a_problem(settings: Settings) -> None:
    (settings.BACKUPS_STATE_DIR / "journal").mkdir(parents=True, exist_ok=True)
    (settings.BACKUPS_STATE_DIR / "journal" / f"{'ab' * 16}.json").write_text("{")
    assert backup_health().problems == ["The journal of operation abababab is damaged."]


@pytest.mark.usefixtures("well")
def test_without_worker_and_tick_schedules_are_not_carried_out(settings: Settings) -> None:
    worker_withdraw("worker@here")
    caches["backups"].set("tick", (datetime.now(UTC) - timedelta(minutes=90)).isoformat(), timeout=None)
    (settings.BACKUPS_STATE_DIR / "tick").write_text(json.dumps({"time": "nonsense"}))
    health = backup_health()
    assert health.is_worker_expected
    assert health.problems == [
        "No worker is there: nothing that was asked for, and no schedule, is carried out.",
        "The tick that starts the schedules has not come for 90 minutes.",
    ]


@pytest.mark.usefixtures("well")
def test_a_site_without_schedules_and_requests_needs_no_worker(settings: Settings) -> None:
    worker_withdraw("worker@here")
    (settings.BACKUPS_STATE_DIR / "tick").unlink()
    caches["backups"].delete("tick")
    BackupSchedule.objects.update(enabled=False)
    health = backup_health()
    assert not health.is_worker_expected
    assert health.problems == []
    Journal(kind="create").save()
    assert backup_health().is_worker_expected


# --- the gate ---------------------------------------------------------------------------------------------------------


def test_nothing_asks_the_database_while_the_gate_is_closed(settings: Settings, django_db_blocker: DjangoDbBlocker) -> None:
    stored(settings, name_of(3))
    alive()
    gate_raise("ab" * 16, "restore")
    try:
        gate_close()
        with django_db_blocker.block():
            assert backup_ready().database == "closed"
            assert not backup_ready().is_ready
            health = backup_health()
        assert (health.database, health.schedules, health.problems) == ("closed", None, [])
        assert health.last_backup is not None
    finally:
        gate_open()


@pytest.mark.django_db(transaction=True)
def test_a_site_that_only_reads_is_ready() -> None:
    from backups.gate import gate_read_only

    gate_raise("ab" * 16, "restore")
    try:
        gate_read_only()
        assert backup_ready().is_ready
    finally:
        gate_open()


# --- a question whose answer does not come ----------------------------------------------------------------------------


def test_a_question_that_hangs_is_asked_once_and_answers_all_who_wait() -> None:
    may_answer, asked = threading.Event(), []

    def ask() -> int:
        asked.append(threading.current_thread())
        may_answer.wait(60)
        return len(asked)

    question = Question(ask)
    first, second = question.begin(), question.begin()
    with pytest.raises(TimeoutError):
        first.result(timeout=0)
    may_answer.set()
    assert (first.result(60), second.result(60)) == (1, 1)
    asked[0].join(60)
    assert question.begin().result(60) == 2
    asked[1].join(60)


def test_an_error_of_a_question_reaches_who_asks_and_is_forgotten() -> None:
    answers: list[Exception] = [OSError("first")]

    def ask() -> str:
        if answers:
            raise answers.pop()
        return "second"

    question = Question(ask)
    with pytest.raises(OSError, match="first"):
        question.begin().result(60)
    assert question.begin().result(60) == "second"


# --- who is told ------------------------------------------------------------------------------------------------------


@pytest.fixture
def client() -> Client:
    return Client()


PATHS = ("/backups/health.json", "/backups/metrics")


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize("path", PATHS)
def test_with_a_token_configured_only_the_token_opens(client: Client, settings: Settings, path: str) -> None:
    settings.BACKUPS_HEALTH_TOKEN = TOKEN
    for shown in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", "Bearer ä"):
        assert client.get(path, headers={"Authorization": shown}).status_code == 403
    assert client.get(path).status_code == 403
    assert client.get(f"{path}?token=").status_code == 403
    assert client.get(f"{path}?token={TOKEN}").status_code == 200
    assert client.get(path, headers={"Authorization": f"bearer  {TOKEN}"}).status_code == 200
    assert client.get(path, headers={"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "203.0.113.4"}).status_code == 200


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("203.0.113.4", {}, 403),
        ("10.0.0.1", {}, 403),
        ("", {}, 403),
        ("unix:", {}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": ""}, 403),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Real-IP": "127.0.0.1"}, 403),
    ],
)
def test_without_a_token_only_this_machine_is_told_and_no_proxy(
    client: Client, path: str, address: str, headers: dict[str, str], status: int
) -> None:
    assert client.get(path, headers=headers, REMOTE_ADDR=address).status_code == status


@pytest.mark.usefixtures("well")
def test_the_json_has_everything_and_the_status_that_monitors_look_at(client: Client, settings: Settings) -> None:
    response = client.get("/backups/health.json")
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    data = response.json()
    assert (data["healthy"], data["problems"], data["database"]) == (True, [], "ok")
    assert (data["backup"]["name"], round(data["backup"]["age_hours"])) == (name_of(3), 3)
    assert data["gate"]["state"] == "open"
    assert data["tick"]["age_seconds"] < 300
    assert data["worker"]["node"] == "worker@here"
    assert data["schedules"][0]["sentence"].startswith("Every day")
    settings.BACKUPS_MAX_AGE_HOURS = 1
    response = client.get("/backups/health.json")
    assert response.status_code == 503
    assert response.json()["problems"] == ["The last good backup is 3 hours old, more than 1."]


@pytest.mark.usefixtures("well")
def test_the_json_names_operations_by_their_kind_though_people_read_words(client: Client) -> None:
    queued, dead = Journal(kind="verify"), Journal(kind="create")
    queued.save()
    dead.start()
    data = client.get("/backups/health.json").json()
    assert (data["queued"], data["interrupted"]) == ([f"verify {queued.short_id}"], [f"create {dead.short_id}"])
    assert data["problems"] == [f"The backup {dead.short_id} was interrupted and waits for recovery."]


def test_a_probe_that_finds_the_site_unready_fills_no_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    gate_raise("ab" * 16, "restore")
    try:
        gate_close()
        for path in ("/readyz", "/backups/health.json"):
            assert client.get(path).status_code == 503
    finally:
        gate_open()
    assert [record for record in caplog.records if record.name.startswith("django")] == []


def test_alive_asks_nobody(client: Client, settings: Settings) -> None:
    settings.CACHES = {**settings.CACHES, "backups": {"BACKEND": f"{__name__}.RefusingCache"}}
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")
    assert client.head("/healthz").status_code == 200


class RefusingCache:
    """A cache backend that must not be asked."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        """Take what Django gives a backend."""

    def __getattr__(self, name: str) -> Any:
        if name == "close":
            return lambda: None
        raise AssertionError(f"the cache was asked: {name}")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", *PATHS])
def test_probes_are_not_redirected_to_https(client: Client, settings: Settings, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(path).status_code in (200, 503)
    assert client.get("/admin/").status_code == 301


# --- Prometheus -------------------------------------------------------------------------------------------------------


def samples_of(text: str) -> dict[str, float]:
    """The samples of a text in the format 0.0.4, as strictly as its grammar is; each gauge has its help and its type before it."""
    import re

    samples: dict[str, float] = {}
    announced = ""
    lines = iter(text.removesuffix("\n").split("\n"))
    for line in lines:
        if line.startswith("# HELP "):
            announced = line.split(" ")[2]
            assert next(lines) == f"# TYPE {announced} gauge"
            continue
        match = re.fullmatch(r'([a-z_]+)(\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)', line)
        assert match, line
        assert match[1] == announced
        samples[match[1] + (match[2] or "")] = float(match[3])
    assert text.endswith("\n")
    return samples


@pytest.mark.usefixtures("well")
def test_the_metrics_say_the_same_as_the_json(client: Client, settings: Settings) -> None:
    before = datetime.now(UTC)
    ended("create", "failed", "The disk is full.")
    response = client.get("/backups/metrics")
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = samples_of(response.content.decode())
    assert samples["backups_healthy"] == 1
    assert samples["backups_last_backup_timestamp_seconds"] == int((NOW - timedelta(hours=3)).timestamp())
    assert samples["backups_archives"] == 2
    assert samples['backups_gate_state{state="open"}'] == 1
    assert samples['backups_gate_state{state="closed"}'] == 0
    assert samples["backups_worker_up"] == samples["backups_database_up"] == 1
    failed_at = samples['backups_last_failure_timestamp_seconds{kind="create"}']
    assert int(before.timestamp()) <= failed_at <= datetime.now(UTC).timestamp()
    assert sum(name.startswith("backups_schedule_next_timestamp_seconds{") for name in samples) == 1
    settings.BACKUPS_MAX_AGE_HOURS = 1
    response = client.get("/backups/metrics")
    assert response.status_code == 200, "Prometheus takes anything else for a scrape that failed"
    assert samples_of(response.content.decode())["backups_healthy"] == 0


def test_what_is_not_known_has_no_sample() -> None:
    from backups.metrics import metrics_text

    samples = samples_of(metrics_text(Health(checked_at=NOW, gate=GateState(state="closed"), problems=["one"])))
    assert samples["backups_healthy"] == 0
    for name in ("archives", "database_up", "last_backup_timestamp_seconds", "tick_timestamp_seconds"):
        assert f"backups_{name}" not in samples
