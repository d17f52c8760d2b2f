"""Secrets from files: read as they are meant, and never passed over in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from timetracker.secret_files import SECRETS, with_secret_files
from timetracker.tests.test_settings import KEY, read_settings, start

SETTINGS_PAGE = Path(__file__).resolve().parents[2] / "docs/admin/SETTINGS.md"


@pytest.mark.parametrize("name", SECRETS)
def test_each_secret_can_be_in_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("a value with = and %\n")
    environ = {f"{name}_FILE": str(tmp_path / "secret"), "PATH": "/bin"}
    assert with_secret_files(environ) == {**environ, name: "a value with = and %"}


def test_only_the_end_of_the_line_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b" two\nlines \r\n")
    assert with_secret_files({"SECRET_KEY_FILE": str(tmp_path / "secret")})["SECRET_KEY"] == " two\nlines "


def test_a_variable_that_holds_no_secret_is_left_alone(tmp_path: Path) -> None:
    environ = {"LOG_LEVEL_FILE": str(tmp_path / "absent"), "SECRET_KEY": "key", "SECRET_KEY_FILE": ""}
    assert with_secret_files(environ) == environ


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff", "cannot be read")]
)
def test_a_file_without_a_secret_is_refused_by_name(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match=rf"^DATABASE_URL_FILE names {file}, which {said}"):
        with_secret_files({"DATABASE_URL_FILE": str(file)})


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("one")
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY and SECRET_KEY_FILE are both set"):
        with_secret_files({"SECRET_KEY": "another", "SECRET_KEY_FILE": str(tmp_path / "secret")})


def test_the_settings_read_their_secrets_from_files(tmp_path: Path) -> None:
    secrets = {
        "SECRET_KEY": KEY,
        "DATABASE_URL": "postgres://role:pass%2Fword@db:5432/time",
        "BACKUPS_HEALTH_TOKEN": "a-token-that-is-long",
        "BACKUPS_SIGNING_KEYS": "new,old",
    }
    for name, value in secrets.items():
        (tmp_path / name.lower()).write_text(f"{value}\n")
    files: dict[str, Any] = {f"{name}_FILE": str(tmp_path / name.lower()) for name in secrets}
    values = read_settings(tmp_path, "SECRET_KEY", "DATABASES", "BACKUPS_HEALTH_TOKEN", "BACKUPS_SIGNING_KEYS", **files, SECRET_KEY="")
    assert values["SECRET_KEY"] == KEY
    assert values["DATABASES"]["default"]["PASSWORD"] == "pass/word"
    assert values["BACKUPS_HEALTH_TOKEN"] == "a-token-that-is-long"
    assert values["BACKUPS_SIGNING_KEYS"] == ["new", "old"]


def test_nothing_starts_with_a_file_that_is_not_there(tmp_path: Path) -> None:
    completed = start(tmp_path, "check", SECRET_KEY_FILE=str(tmp_path / "absent"))
    assert completed.returncode == 1
    assert completed.stderr.strip().startswith(f"SECRET_KEY_FILE names {tmp_path}/absent, which cannot be read")


def test_the_documentation_names_each_secret() -> None:
    (paragraph,) = [text for text in SETTINGS_PAGE.read_text().split("\n\n") if text.startswith("A variable that holds a secret")]
    for name in SECRETS:
        assert f"`{name}`" in paragraph
