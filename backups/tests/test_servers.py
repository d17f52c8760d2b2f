"""The servers that other tests stand on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest
import redis

from backups.tests.servers import PgCluster, RedisServer, S3Server, oldest_pg_major, unprivileged_account

BASE_DIR = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["pg15", "pg17", "pg18"])
def cluster(request: pytest.FixtureRequest) -> PgCluster:
    chosen: PgCluster = request.getfixturevalue(request.param)
    chosen.start()
    return chosen


def test_a_cluster_runs_the_major_that_was_asked_for(cluster: PgCluster, request: pytest.FixtureRequest) -> None:
    asked = {"pg15": oldest_pg_major(), "pg17": 17, "pg18": 18}[request.node.callspec.params["cluster"]]
    assert int(cluster.psql("SHOW server_version_num")) // 10000 == asked == cluster.major
    for program in ("pg_dump", "pg_restore", "psql"):
        answer = subprocess.run([cluster.bin_dir / program, "--version"], capture_output=True, text=True, check=True).stdout
        assert answer.split()[2].startswith(str(asked))


def test_the_owner_of_the_databases_is_no_superuser_and_may_create_databases(cluster: PgCluster) -> None:
    assert cluster.fetch("SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = %s", (cluster.owner,)) == [
        (False, True, False)
    ]


def test_tcp_asks_for_the_password_and_the_socket_does_not(cluster: PgCluster) -> None:
    name = cluster.create_database()
    try:
        for over in ("tcp", "socket"):
            with contextlib.closing(psycopg2.connect(cluster.url(name, over=over))) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT current_user, current_database(), inet_server_addr() IS NOT NULL")
                assert cursor.fetchone() == (cluster.owner, name, over == "tcp")
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(cluster.url(name, over="tcp"), password="wrong")
    finally:
        cluster.drop_databases(name)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_what_was_committed_is_there_after_a_restart(pg: PgCluster, mode: str) -> None:
    name = pg.create_database()
    try:
        pg.execute("CREATE TABLE kept AS SELECT 1 AS one", database=name)
        pg.restart("fast" if mode == "fast" else "immediate")
        assert pg.psql("SELECT one FROM kept", database=name) == "1"
        assert ("not properly shut down" in pg.log.read_text()) or mode == "fast"
    finally:
        pg.drop_databases(name)


def test_dropping_by_prefix_leaves_other_databases(pg: PgCluster) -> None:
    kept, first, second = pg.create_database(), pg.create_database("gone_1"), pg.create_database("gone_1_shadow")
    with contextlib.closing(pg.connect(second)):
        pg.drop_databases(first)
    assert pg.databases("gone_1") == []
    assert kept in pg.databases()
    pg.drop_databases(kept)


def test_a_cluster_runs_where_its_binaries_are_unreadable_for_its_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if unprivileged_account() is None:
        # Everything that we can execute, our cluster can, too: there is nothing to copy.
        return
    from backups.tests import servers

    found = servers.find_pg_bin_dir(17)
    assert found
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    package = found.parent.parent
    (locked / package.name).symlink_to(package)
    monkeypatch.setattr(servers, "find_pg_bin_dir", lambda major: locked / package.name / "pginstall" / "bin")
    cluster = PgCluster(17)
    try:
        assert cluster.bin_dir.is_relative_to(cluster.folder)
        cluster.start()
        assert cluster.psql("SHOW server_version").startswith("17")
    finally:
        cluster.remove()
    assert not cluster.folder.exists()


def test_the_servers_end_when_the_test_process_is_killed() -> None:
    code = (
        "import os, signal\n"
        "from backups.tests.servers import PgCluster, RedisServer, oldest_pg_major\n"
        "servers = PgCluster(oldest_pg_major()), RedisServer()\n"
        "for server in servers: server.start()\n"
        "print(*(server.process.pid for server in servers), *(server.folder for server in servers), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(BASE_DIR)}
    output = subprocess.run([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True).stdout.split()
    from timetracker.tests.test_supervisor import wait_for_end

    for pid in output[:2]:
        wait_for_end(int(pid))
    for folder in output[2:]:
        subprocess.run(["rm", "-rf", folder], check=True)


def test_the_redis_server_answers_and_keeps_nothing_after_a_restart() -> None:
    server = RedisServer()
    try:
        server.start()
        with redis.Redis.from_url(server.url) as client:
            client.set("flag", "closed")
            assert client.get("flag") == b"closed"
        server.stop()
        with redis.Redis.from_url(server.url) as client, pytest.raises(redis.ConnectionError):
            client.get("flag")
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("flag") is None
    finally:
        server.remove()


def test_the_s3_server_keeps_objects_over_the_wire(s3_server: S3Server) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint_url,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        region_name=s3_server.region,
    )
    with contextlib.closing(client):
        client.create_bucket(Bucket="servers-test")
        client.put_object(Bucket="servers-test", Key="a/b", Body=b"0123456789")
        answer = client.get_object(Bucket="servers-test", Key="a/b", Range="bytes=2-4")
        with contextlib.closing(answer["Body"]) as body:
            assert body.read() == b"234"
