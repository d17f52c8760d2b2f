"""``DATABASE_URL``: every form that ``timetracker/database_url.py`` names."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured

from backups.tests.servers import PgCluster
from backups.tests.site import Site
from timetracker.database_url import database_settings

POSTGRESQL = "django.db.backends.postgresql"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////srv/time/db.sqlite3", {"NAME": "/srv/time/db.sqlite3"}),
        ("sqlite:///var/db.sqlite3", {"NAME": "var/db.sqlite3"}),
        ("sqlite:////srv/my%20time%3F/100%25.sqlite3", {"NAME": "/srv/my time?/100%.sqlite3"}),
        (
            "postgres://ann:secret@db.example.org:5433/time",
            {"NAME": "time", "USER": "ann", "PASSWORD": "secret", "HOST": "db.example.org", "PORT": "5433", "OPTIONS": {}},
        ),
        ("postgresql://ann@db/time", {"NAME": "time", "USER": "ann", "HOST": "db", "OPTIONS": {}}),
        ("postgres://a%40b:p%2F%3A%25%20%3F@h/d%2Fb", {"NAME": "d/b", "USER": "a@b", "PASSWORD": "p/:% ?", "HOST": "h", "OPTIONS": {}}),
        (
            "postgres://ann@%2Fvar%2FRun%2Fpg:5433/time",
            {"NAME": "time", "USER": "ann", "HOST": "/var/Run/pg", "PORT": "5433", "OPTIONS": {}},
        ),
        ("postgres://ann@[::1]:5433/time", {"NAME": "time", "USER": "ann", "HOST": "::1", "PORT": "5433", "OPTIONS": {}}),
        ("postgres://a@h1:1,h2:2/time", {"NAME": "time", "USER": "a", "HOST": "h1,h2", "PORT": "1,2", "OPTIONS": {}}),
        (
            "postgres://a@h/time?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&connect_timeout=3",
            {
                "NAME": "time",
                "USER": "a",
                "HOST": "h",
                "OPTIONS": {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem", "connect_timeout": "3"},
            },
        ),
        ("postgres:///?service=time", {"NAME": "", "OPTIONS": {"service": "time"}}),
    ],
)
def test_every_form_is_understood(url: str, expected: dict[str, Any]) -> None:
    engine = "django.db.backends.sqlite3" if url.startswith("sqlite") else POSTGRESQL
    assert database_settings(url) == {"ENGINE": engine, **expected}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://ann:geheim@h/time", "must begin with"),
        ("geheim", "must begin with"),
        ("sqlite://geheim", "names no file"),
        ("sqlite:///", "names no file"),
        ("postgres://ann:geheim@h", "names no database"),
        ("postgres://ann:100%geheim@h/time", "no address"),
        ("postgres://ann:geheim@h/time?colour=blue", "no address"),
        ("postgres://ann:gut@so:geheim/x@h/time", "no address"),
    ],
)
def test_a_wrong_url_is_refused_without_repeating_it(url: str, words: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=words) as refusal:
        database_settings(url)
    assert "geheim" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize("over", ["socket", "tcp", "tcp with options", "service"])
def test_a_site_reaches_its_database_over(over: str, site_templates: Any, pg: PgCluster, tmp_path: Path) -> None:
    site: Site = site_templates.blank(pg)
    env = {}
    if over == "service":
        services = tmp_path / "services"
        services.write_text(f"[time]\nhost={pg.socket_dir}\nport={pg.port}\nuser={pg.owner}\ndbname={site.database}\n")
        env = {"PGSERVICEFILE": str(services), "DATABASE_URL": "postgres:///?service=time"}
    elif over != "socket":
        options = "?sslmode=disable&application_name=" + quote("a b&c") if over == "tcp with options" else ""
        env = {"DATABASE_URL": pg.url(site.database, over="tcp") + options}
    code = (
        "from django.db import connection as c; k = c.cursor(); k.execute('SELECT current_database(), current_user'); print(*k.fetchone())"
    )
    try:
        assert site.manage("shell", "--verbosity", "0", "-c", code, env=env).stdout.split() == [site.database, pg.owner]
    finally:
        site.close()
