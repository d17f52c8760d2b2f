"""The settings refuse what is not safe, in real processes: what they do at import is what is tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backups.tests.site import measured

BASE_DIR = Path(__file__).resolve().parents[2]
KEY = "only-for-tests-and-long-enough-to-pass-every-check-0123456789"


def start(tmp_path: Path, *args: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py`` with nothing in its environment but ``env``."""
    return subprocess.run(
        [sys.executable, str(BASE_DIR / "manage.py"), *args],
        env=measured({"PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path), **env}),
        cwd=cwd or tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )


def read_settings(tmp_path: Path, *names: str, cwd: Path | None = None, **env: str) -> dict[str, Any]:
    """Values of settings in such a process."""
    code = f"import json; from django.conf import settings as s; print(json.dumps({{n: getattr(s, n) for n in {names!r}}}, default=str))"
    completed = start(tmp_path, "shell", "--verbosity", "0", "-c", code, cwd=cwd, **{"SECRET_KEY": KEY, **env})
    assert completed.returncode == 0, completed.stderr
    values: dict[str, Any] = json.loads(completed.stdout)
    return values


def test_nothing_starts_without_a_secret_key(tmp_path: Path) -> None:
    completed = start(tmp_path, "check")
    assert completed.returncode != 0
    assert f"SECRET_KEY is not set and {tmp_path}/secret_key holds none" in completed.stderr


def test_nothing_starts_with_an_empty_key_file(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("\n")
    completed = start(tmp_path, "check", SECRET_KEY="")
    assert completed.returncode != 0
    assert "SECRET_KEY is not set" in completed.stderr


def test_the_key_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text(f"{KEY}\n")
    assert read_settings(tmp_path, "SECRET_KEY", SECRET_KEY="") == {"SECRET_KEY": KEY}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CONN_MAX_AGE", "a minute", "CONN_MAX_AGE must be a whole number, such as 60. It is 'a minute'."),
        ("BACKUPS_UNDO_HOURS", "", "BACKUPS_UNDO_HOURS must be a whole number, such as 72. It is ''."),
        (
            "ADMINS",
            "ann@example.org,ben",
            "ADMINS must be mail addresses with commas between them, such as ann@example.org. 'ben' is none.",
        ),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR. It is 'LOUD'."),
    ],
)
def test_a_value_that_fits_no_variable_is_said_in_one_sentence(tmp_path: Path, name: str, value: str, said: str) -> None:
    completed = start(tmp_path, "check", cwd=None, **{"SECRET_KEY": KEY, name: value})
    assert completed.returncode == 1
    assert completed.stderr.strip() == said


def test_mail_comes_from_the_sites_own_host_and_goes_to_the_admins(tmp_path: Path) -> None:
    names = ("ADMINS", "DEFAULT_FROM_EMAIL", "SERVER_EMAIL", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_BACKEND")
    mail = read_settings(tmp_path, *names, ADMINS="ann@example.org,ben@example.org", SITE_URL="https://time.example.org")
    assert mail == {
        "ADMINS": [["", "ann@example.org"], ["", "ben@example.org"]],
        "DEFAULT_FROM_EMAIL": "timetracker@time.example.org",
        "SERVER_EMAIL": "timetracker@time.example.org",
        "EMAIL_HOST": "localhost",
        "EMAIL_PORT": 25,
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    }


def test_mails_are_printed_in_development(tmp_path: Path) -> None:
    assert read_settings(tmp_path, "EMAIL_BACKEND", DEBUG="true") == {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}


@pytest.mark.parametrize("hosts", ["*", "", "time.example.org,*"])
def test_nothing_starts_with_open_hosts(tmp_path: Path, hosts: str) -> None:
    completed = start(tmp_path, "check", SECRET_KEY=KEY, ALLOWED_HOSTS=hosts)
    assert completed.returncode != 0
    assert "ALLOWED_HOSTS is empty or holds '*'" in completed.stderr


@pytest.mark.parametrize("url", ["time.example.org", "ftp://time.example.org", "https://", "https://time.example.org/under"])
def test_a_site_url_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    completed = start(tmp_path, "check", SECRET_KEY=KEY, SITE_URL=url)
    assert completed.returncode != 0
    assert "SITE_URL must be a scheme and a host" in completed.stderr


def test_debug_alone_starts_without_key_and_hosts(tmp_path: Path) -> None:
    completed = start(tmp_path, "check", DEBUG="true", ALLOWED_HOSTS="*")
    assert completed.returncode == 0, completed.stderr


def test_the_deployment_check_finds_nothing_on_a_site_with_https(tmp_path: Path) -> None:
    completed = start(tmp_path, "check", "--deploy", "--fail-level", "WARNING", SECRET_KEY=KEY, SITE_URL="https://time.example.org")
    assert completed.returncode == 0, completed.stderr
    assert "no issues" in completed.stdout


def test_https_is_insisted_on_where_the_site_has_it_and_only_there(tmp_path: Path) -> None:
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT")
    assert read_settings(tmp_path, *names) == dict.fromkeys(names, False)
    assert read_settings(tmp_path, *names, SITE_URL="http://localhost:8000") == dict.fromkeys(names, False)
    assert read_settings(tmp_path, *names, SITE_URL="https://time.example.org") == dict.fromkeys(names, True)


def test_the_site_url_is_an_allowed_host_and_a_trusted_origin(tmp_path: Path) -> None:
    values = read_settings(tmp_path, "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", SITE_URL="https://time.example.org:8443/")
    assert "time.example.org" in values["ALLOWED_HOSTS"]
    assert values["CSRF_TRUSTED_ORIGINS"] == ["https://time.example.org:8443"]


def test_relative_paths_mean_the_same_place_from_every_folder(tmp_path: Path) -> None:
    values = read_settings(
        tmp_path, "DATA_DIR", "DATABASES", cwd=tmp_path, DATA_DIR="var/elsewhere", DATABASE_URL="sqlite:///var/x.sqlite3"
    )
    assert values["DATA_DIR"] == str(BASE_DIR / "var/elsewhere")
    assert values["DATABASES"]["default"]["NAME"] == str(BASE_DIR / "var/x.sqlite3")


def test_backups_settings_come_from_the_environment(tmp_path: Path) -> None:
    values = read_settings(
        tmp_path,
        *("BACKUPS_UNDO_HOURS", "BACKUPS_PG_BIN_DIRS", "BACKUPS_MAINTENANCE_URL", "BACKUPS_SIGNING_KEYS"),
        BACKUPS_UNDO_HOURS="5",
        BACKUPS_PG_BIN_DIRS="/opt/pg 17/bin,/opt/pg18/bin",
        BACKUPS_MAINTENANCE_URL="postgres:///postgres",
        BACKUPS_SIGNING_KEYS="new,old",
    )
    assert values == {
        "BACKUPS_UNDO_HOURS": 5,
        "BACKUPS_PG_BIN_DIRS": ["/opt/pg 17/bin", "/opt/pg18/bin"],
        "BACKUPS_MAINTENANCE_URL": "postgres:///postgres",
        "BACKUPS_SIGNING_KEYS": ["new", "old"],
    }


@pytest.mark.parametrize(("given", "seconds"), [({}, 60), ({"CONN_MAX_AGE": "0"}, 0), ({"CONN_MAX_AGE": "none"}, None)])
def test_connections_are_kept_as_long_as_wanted_and_checked_before_use(tmp_path: Path, given: dict[str, Any], seconds: int | None) -> None:
    default = read_settings(tmp_path, "DATABASES", **given)["DATABASES"]["default"]
    assert (default["CONN_MAX_AGE"], default["CONN_HEALTH_CHECKS"]) == (seconds, True)


def test_passwords_are_hashed_with_argon2(tmp_path: Path) -> None:
    code = "from django.contrib.auth.hashers import make_password; print(make_password('a password'))"
    completed = start(tmp_path, "shell", "--verbosity", "0", "-c", code, SECRET_KEY=KEY)
    assert completed.stdout.startswith("argon2$argon2id$"), completed.stderr


def test_sqlite_runs_in_wal_mode_and_commits_survive_a_power_cut(tmp_path: Path) -> None:
    code = (
        "from django.db import connection as c; k = c.cursor(); "
        "print([k.execute(f'PRAGMA {p}').fetchone()[0] for p in ('journal_mode', 'synchronous', 'busy_timeout', 'foreign_keys')])"
    )
    completed = start(tmp_path, "shell", "--verbosity", "0", "-c", code, SECRET_KEY=KEY)
    assert completed.stdout.strip() == "['wal', 2, 30000, 1]", completed.stderr


def test_sqlite_transactions_take_the_write_lock_at_their_start(tmp_path: Path) -> None:
    code = (
        "import sqlite3\n"
        "from django.db import connection, transaction\n"
        "connection.ensure_connection()\n"
        "other = sqlite3.connect(connection.settings_dict['NAME'], timeout=0, isolation_level=None)\n"
        "with transaction.atomic():\n"
        "    try:\n"
        "        other.execute('BEGIN IMMEDIATE')\n"
        "    except sqlite3.OperationalError as error:\n"
        "        print(error)\n"
        "other.execute('BEGIN IMMEDIATE')\n"
        "print('free')\n"
        "other.close()\n"
    )
    completed = start(tmp_path, "shell", "--verbosity", "0", "-c", code, SECRET_KEY=KEY)
    assert completed.stdout.split("\n")[:2] == ["database is locked", "free"], completed.stderr


def test_every_page_carries_the_security_headers(client: Any) -> None:
    response = client.get("/static/no-such-file")
    assert response["Content-Security-Policy"].startswith("default-src 'self'")
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"


def test_keys_in_redis_are_the_same_for_all_processes_of_a_site_and_others_for_another(tmp_path: Path) -> None:
    def prefix(**env: Any) -> str:
        return str(read_settings(tmp_path, "REDIS_PREFIX", **env)["REDIS_PREFIX"])

    site = prefix(DATABASE_URL="postgres://web@db.example.org/site", REDIS_URL="redis://127.0.0.1:1/0")
    assert site == prefix(DATABASE_URL="postgres://worker@127.0.0.1:6432/site", REDIS_URL="redis://cache.example.org:1/0")
    assert site != prefix(DATABASE_URL="postgres://web@db.example.org/copy_of_site")
    assert site != prefix(DATABASE_URL="postgres://web@db.example.org/site", SECRET_KEY=f"{KEY}!")
    assert prefix(REDIS_PREFIX="mine") == "mine"
    caches = read_settings(tmp_path, "CACHES", REDIS_URL="redis://127.0.0.1:1/0", REDIS_PREFIX="mine")["CACHES"]
    assert (caches["backups"]["KEY_PREFIX"], caches["logins"]["KEY_PREFIX"]) == ("mine:backups", "mine:logins")
