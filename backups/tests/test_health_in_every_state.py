"""Probes of a site in real processes: they answer whatever has become of the database, its tables, its server and the cache."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from backups.tests.servers import PgCluster, RedisServer, running
from backups.tests.site import Site, collect_static
from backups.tests.web import WebServer
from backups.tests.workers import journals, wait_until


def ready(web: WebServer) -> tuple[int, dict[str, Any]]:
    """What ``/readyz`` answers."""
    status, body = web.get("/readyz")
    return status, json.loads(body)


def health(web: WebServer) -> tuple[int, dict[str, Any]]:
    """What ``/backups/health.json`` answers to this machine."""
    status, body = web.get("/backups/health.json")
    return status, json.loads(body)


def with_backup(site: Site) -> str:
    """Make one backup, and let nobody expect another: there is no worker here. Returns its name."""
    site.execute("UPDATE backups_backupschedule SET enabled = (1 = 0)" if site.cluster else "UPDATE backups_backupschedule SET enabled = 0")
    collect_static(site)
    return site.manage("backup_create", "--no-progress").stdout.strip()


def operation_of(site: Site) -> str:
    """The id of the one operation that there was."""
    (journal,) = journals(site)
    return str(journal["id"])


def links_of(site: Site, operation: str) -> list[str]:
    """Paths of the links to it, as the site itself makes them."""
    code = f"from backups.links import *; print(progress_link({operation!r})); print(cancel_link({operation!r}))"
    return site.manage("shell", "-v", "0", "-c", code).stdout.split()


def test_a_site_after_a_backup_is_alive_ready_and_healthy(site: Site) -> None:
    name = with_backup(site)
    with WebServer(site, processes=2, threads=2).running() as web:
        assert web.get("/healthz") == (200, b"ok\n")
        assert ready(web) == (200, {"ready": True, "gate": "open", "database": "ok"})
        status, data = health(web)
        assert (status, data["problems"]) == (200, [])
        assert (data["backup"]["name"], data["archives"], data["database"]) == (name, 1, "ok")
        assert web.get("/backups/metrics")[0] == 200
        assert web.get("/backups/health.json", headers={"X-Forwarded-For": "127.0.0.1"})[0] == 403


def test_all_probes_answer_while_the_database_server_is_stopped(postgres_site: Site, pg: PgCluster) -> None:
    name = with_backup(postgres_site)
    links = links_of(postgres_site, operation_of(postgres_site))
    with WebServer(postgres_site).running() as web:
        pg.stop()
        assert web.get("/healthz") == (200, b"ok\n")
        assert ready(web) == (503, {"ready": False, "gate": "open", "database": "broken"})
        status, data = health(web)
        assert (status, data["database"], data["schedules"]) == (503, "broken", None)
        assert data["backup"]["name"] == name
        assert len(data["problems"]) == 1
        assert data["problems"][0].startswith("The database is broken: ")
        assert b"backups_database_up 0\n" in web.get("/backups/metrics")[1]
        assert [web.get(link)[0] for link in links] == [200, 200]
        pg.start()
        wait_until(lambda: ready(web)[0] == 200, "the server, found again")
        assert health(web)[0] == 200


def test_a_database_server_that_is_silent_holds_nobody_up(postgres_site: Site, pg: PgCluster) -> None:
    with_backup(postgres_site)
    with WebServer(postgres_site).running() as web:
        assert pg.process
        pg.process.send_signal(signal.SIGSTOP)
        try:
            assert ready(web) == (503, {"ready": False, "gate": "open", "database": "silent"})
            status, data = health(web)
            assert (status, data["database"]) == (503, "silent")
            assert data["problems"] == ["The database is silent: no answer within 2 seconds"]
            assert ready(web)[1]["database"] == "silent"
            assert web.get("/healthz")[0] == 200
        finally:
            pg.process.send_signal(signal.SIGCONT)
        wait_until(lambda: ready(web)[0] == 200, "the server, found again")


def test_a_lost_database_file_is_found_and_no_empty_one_takes_its_place(sqlite_site: Site) -> None:
    name = with_backup(sqlite_site)
    with WebServer(sqlite_site).running() as web:
        for suffix in ("", "-wal", "-shm"):
            Path(sqlite_site.database + suffix).unlink(missing_ok=True)
        assert ready(web) == (503, {"ready": False, "gate": "open", "database": "broken"})
        status, data = health(web)
        assert (status, data["backup"]["name"]) == (503, name)
        assert data["problems"] == ["The database is broken: There is no database file."]
        assert not Path(sqlite_site.database).exists()


def test_a_torn_schema_is_found_and_the_site_is_still_alive(site: Site) -> None:
    name = with_backup(site)
    links = links_of(site, operation_of(site))
    with WebServer(site).running() as web:
        for table in site.tables():
            site.execute(f'DROP TABLE "{table}"' + (" CASCADE" if site.cluster else ""))
        assert web.get("/healthz")[0] == 200
        assert ready(web)[0] == 200, "the server answers; whether its tables are there is no matter of one probe"
        status, data = health(web)
        assert (status, data["database"], data["backup"]["name"]) == (503, "incomplete", name)
        assert data["problems"][0].startswith("The database is incomplete: it lacks accounts_user, accounts_user_groups, ")
        assert [web.get(link)[0] for link in links] == [200, 200]


def test_a_table_that_was_dropped_is_named_whichever_it_is(site: Site) -> None:
    name = with_backup(site)
    with WebServer(site).running() as web:
        site.execute("DROP TABLE billing_expense")
        status, data = health(web)
        assert (status, data["database"], data["backup"]["name"]) == (503, "incomplete", name)
        assert data["problems"] == ["The database is incomplete: it lacks billing_expense."]
        assert "backups_database_up 0" in web.get("/backups/metrics")[1].decode()


def test_a_store_that_is_gone_is_found(sqlite_site: Site) -> None:
    with_backup(sqlite_site)
    with WebServer(sqlite_site).running() as web:
        shutil.rmtree(sqlite_site.backups)
        sqlite_site.backups.write_text("a file where the folder was")
        status, data = health(web)
        assert (status, data["archives"], data["backup"]) == (503, None, None)
        assert data["problems"][0].startswith("The store cannot be listed: ")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP], ids=["gone", "silent"])
def test_all_probes_answer_without_the_cache(sqlite_site: Site, end: signal.Signals) -> None:
    name = with_backup(sqlite_site)
    links = links_of(sqlite_site, operation_of(sqlite_site))
    with running(RedisServer()) as redis:
        sqlite_site.extra_env["REDIS_URL"] = redis.url
        with WebServer(sqlite_site).running() as web:
            assert health(web)[0] == 200
            assert redis.process
            redis.process.send_signal(end)
            try:
                assert web.get("/healthz")[0] == 200
                assert ready(web)[0] == 200
                status, data = health(web)
                assert (status, data["backup"]["name"], data["gate"]["reachable"]) == (503, name, False)
                assert data["problems"] == ["The gate's cache is out of reach: no restore could begin."]
                assert [web.get(link)[0] for link in links] == [200, 200]
            finally:
                redis.process.send_signal(signal.SIGCONT)
