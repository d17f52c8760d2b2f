"""Dockerfile and compose.yaml agree with the project and with each other; their scripts run. No container engine is needed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from django.conf import settings

from backups.conf import SETTING_DEFAULTS
from backups.tests.servers import PgCluster, oldest_pg_major, running
from backups.tests.site import Site
from backups.tests.web import WebServer
from timetracker.secret_files import SECRETS
from timetracker.supervisor import site_processes

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("prepare", "web", "worker", "beat", "manage")


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, continued lines joined and comments left out."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def rest_of(word: str) -> list[str]:
    """What stands behind each instruction of that name."""
    return [rest for name, rest in instructions() if name == word]


def without_python(command: list[str]) -> list[str]:
    """A command line without the interpreter that runs its module."""
    return command[command.index("-m") + 1 :]


# --- the image --------------------------------------------------------------------------------------------------------


def test_the_image_holds_every_app_and_what_they_need() -> None:
    copied = {rest.split()[0] for rest in rest_of("COPY") if not rest.startswith("--from")}
    apps = {name.partition(".")[0] for name in settings.INSTALLED_APPS}
    own = {name for name in apps if (ROOT / name).is_dir()}
    assert {"backups", "timetracker"} <= own
    assert own | {"manage.py", "static", "templates"} <= copied
    assert all((ROOT / source).exists() for source in copied)


def test_everything_that_is_copied_reaches_the_builder_and_no_test_does() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*", "nothing but what is named: no data, no secret, no .git"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert allowed == {rest.split()[0] for rest in rest_of("COPY") if not rest.startswith("--from")}
    assert "**/tests" in rules


def test_the_image_does_not_run_as_root() -> None:
    assert rest_of("USER") == ["10001:10001"]
    names = [name for name, _ in instructions()]
    assert "USER" in names[names.index("RUN") :]
    assert names.index("VOLUME") > max(number for number, name in enumerate(names) if name == "RUN"), "changes after VOLUME are lost"


def test_gunicorn_runs_three_processes_with_four_threads_and_else_as_run_starts_it() -> None:
    (command,) = rest_of("CMD")
    args: list[str] = json.loads(command)
    ours = without_python(site_processes("0.0.0.0", 8000)["web"])
    for option, value in (("--workers", "3"), ("--threads", "4")):
        ours[ours.index(option) + 1] = value
    at = args.index("--worker-tmp-dir")
    assert args[at + 1] == "/dev/shm"
    assert sorted(args[:at] + args[at + 2 :]) == sorted(ours)


def test_one_thread_of_each_process_is_left_to_health_and_progress_while_others_wait_for_the_gate() -> None:
    (command,) = rest_of("CMD")
    args: list[str] = json.loads(command)
    (waiters,) = re.findall(r"BACKUPS_HOLD_WAITERS=(\d+)", " ".join(rest_of("ENV")))
    assert int(waiters) < int(args[args.index("--threads") + 1])
    ours = site_processes("127.0.0.1", 8000)["web"]
    assert SETTING_DEFAULTS["BACKUPS_HOLD_WAITERS"] < int(ours[ours.index("--threads") + 1])


def test_the_variables_of_the_image_are_those_that_the_settings_read() -> None:
    text = " ".join(rest_of("ENV"))
    assert "DATA_DIR=/data" in text
    assert "DJANGO_SETTINGS_MODULE=timetracker.settings" in text
    assert 'MANAGE_COMMAND="docker compose run --rm manage"' in text


# --- the composition --------------------------------------------------------------------------------------------------


def test_worker_and_beat_are_started_as_run_starts_them() -> None:
    processes = site_processes("127.0.0.1", 8000)
    for name in ("worker", "beat"):
        assert SERVICES[name]["command"] == without_python(processes[name])


def test_everything_starts_after_the_servers_and_the_site_after_its_preparation() -> None:
    servers = {"database": {"condition": "service_healthy"}, "valkey": {"condition": "service_healthy"}}
    prepared = {"prepare": {"condition": "service_completed_successfully"}}
    assert SERVICES["prepare"]["depends_on"] == SERVICES["manage"]["depends_on"] == servers
    for name in ("web", "worker", "beat"):
        assert SERVICES[name]["depends_on"] == servers | prepared
    for name in servers:
        assert SERVICES[name]["healthcheck"]["test"]


def test_secrets_are_files_and_each_is_declared_and_read() -> None:
    declared = COMPOSE["secrets"]
    for name, service in SERVICES.items():
        given = service.get("secrets", [])
        assert set(given) <= set(declared), name
        files = {value for variable, value in service.get("environment", {}).items() if variable.endswith("_FILE")}
        assert files <= {f"/run/secrets/{secret}" for secret in given}, name
    for name in OURS:
        variables = {variable.removesuffix("_FILE") for variable in SERVICES[name]["environment"] if variable.endswith("_FILE")}
        assert variables <= set(SECRETS)
        assert {"SECRET_KEY", "DATABASE_URL", "BACKUPS_HEALTH_TOKEN"} <= variables
    assert all(secret["file"].startswith("secrets/") for secret in declared.values())
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/secrets/", "/site.env"} <= set(ignored)


def test_all_processes_of_the_site_share_data_archives_and_the_gate() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert service["volumes"] == ["data:/data", "archives:/data/backups"]
        assert service["environment"]["REDIS_URL"] == "redis://valkey:6379/0"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    assert {"data", "archives", "database"} == set(COMPOSE["volumes"])


def test_the_servers_are_reached_by_nobody_outside() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("database", "valkey"):
        assert SERVICES[name]["networks"] == ["inside"]
        assert "ports" not in SERVICES[name]
    assert SERVICES["web"]["ports"] == ["127.0.0.1:${PORT:-8000}:8000"]


def test_valkey_evicts_no_key() -> None:
    command = SERVICES["valkey"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_client_programs_and_server_are_of_one_version() -> None:
    (default,) = [rest.removeprefix("PG_MAJOR=") for rest in rest_of("ARG") if rest.startswith("PG_MAJOR=")]
    assert SERVICES["web"]["build"]["args"]["PG_MAJOR"] == f"${{PG_MAJOR:-{default}}}"
    assert SERVICES["database"]["image"] == f"postgres:${{PG_MAJOR:-{default}}}-bookworm"


# --- the scripts ------------------------------------------------------------------------------------------------------


def test_the_role_of_the_database_may_create_databases_and_nothing_more(tmp_path: Path) -> None:
    password = "p'a:ss\\word $HOME"
    (tmp_path / "password").write_text(f"{password}\n")
    with running(PgCluster(oldest_pg_major())) as cluster:
        cluster.execute(f"DROP ROLE {cluster.owner}")
        env = {
            "PATH": f"{cluster.bin_dir}{os.pathsep}{os.environ['PATH']}",
            "PGHOST": str(cluster.socket_dir),
            "PGPORT": str(cluster.port),
            "DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
        }
        completed = subprocess.run([ROOT / "docker/create_role.sh"], env=env, capture_output=True, text=True, check=False)
        assert completed.returncode == 0, completed.stderr
        rights = "rolsuper, rolcreatedb, rolcreaterole, rolcanlogin, rolreplication, rolbypassrls"
        (role,) = cluster.fetch(f"SELECT {rights} FROM pg_roles WHERE rolname = 'timetracker'")
        assert role == (False, True, False, True, False, False)
        (owner,) = cluster.fetch("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'timetracker'")
        assert owner == ("timetracker",)
        import psycopg2

        psycopg2.connect(host="127.0.0.1", port=cluster.port, user="timetracker", password=password, dbname="timetracker").close()
        again = subprocess.run([ROOT / "docker/create_role.sh"], env=env, capture_output=True, text=True, check=False)
        assert again.returncode != 0, "a failure must stop the server's first start"


@pytest.fixture
def healthcheck() -> ModuleType:
    """The script of the image's HEALTHCHECK, as a module."""
    spec = importlib.util.spec_from_file_location("healthcheck", ROOT / "docker/healthcheck.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("env", "host"),
    [
        ({}, "localhost"),
        ({"SITE_URL": "https://time.example.org:8443"}, "time.example.org"),
        ({"SITE_URL": "https://time.example.org", "ALLOWED_HOSTS": ".example.com,time.example.org"}, "example.com"),
        ({"ALLOWED_HOSTS": ""}, "localhost"),
    ],
)
def test_the_health_check_uses_a_name_that_the_site_answers_to(
    healthcheck: ModuleType, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], host: str
) -> None:
    for name in ("SITE_URL", "ALLOWED_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert healthcheck.own_host() == host


def test_the_health_check_finds_a_site_that_answers_alive_and_no_other(
    sqlite_site: Site, healthcheck: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite_site.extra_env["ALLOWED_HOSTS"] = "time.example.org,127.0.0.1"
    monkeypatch.setenv("ALLOWED_HOSTS", sqlite_site.extra_env["ALLOWED_HOSTS"])
    sqlite_site.manage("collectstatic", "--no-input", "--verbosity", "0")
    web = WebServer(sqlite_site, processes=1, threads=2)
    with web.running():
        assert healthcheck.main(web.port) == 0
        monkeypatch.setenv("ALLOWED_HOSTS", "another.example.org")
        assert healthcheck.main(web.port) == 1
    assert healthcheck.main(web.port) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["/healthz answers 200", "/healthz answers 400"]
    assert said[2].startswith("The web server does not answer: ")
