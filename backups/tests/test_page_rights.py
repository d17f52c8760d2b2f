"""Who may do what on each page: every mounted URL has a row in one table, and is asked by everybody who must not get through.

A page that is mounted and has no row here fails the first test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.http import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from pytest_django import Settings

from backups.audit import audit_record
from backups.downloads import download_token
from backups.exceptions import AuditUnwritable
from backups.models import Backup, BackupSchedule, Operation
from backups.tests.stored import MORNING, archive_placed, journal_ended, store_of_its_own

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_gate"), pytest.mark.one_engine]

# Answers to whoever asks, or has a signed link or the monitor's token: backups/tests/test_health.py and test_progress_pages.py.
PUBLIC = {"alive", "ready", "health", "metrics", "progress-data", "progress", "cancel"}
# Nobody has it: Django's own ways to change rows that stand for something else.
NOBODY = "-"

ADD, CHANGE, VIEW, DELETE, DOWNLOAD, RESTORE = (f"{right}_backup" for right in ("add", "change", "view", "delete", "download", "restore"))
UPLOAD: Mapping[str, Mapping[str, str]] = {
    "upload": {"GET": ADD, "POST": ADD},
    "upload-start": {"POST": ADD},
    "upload-path": {"POST": ADD},
    "upload-piece": {"HEAD": ADD, "PATCH": ADD, "DELETE": ADD},
    "upload-finish": {"POST": ADD},
    "upload-discard": {"POST": ADD},
}
RESTORING: Mapping[str, Mapping[str, str]] = {
    "restore": {"GET": RESTORE, "POST": RESTORE},
    "preview": {"GET": RESTORE, "POST": RESTORE},
    "undo": {"GET": RESTORE, "POST": RESTORE},
    "result": {"GET": VIEW},
}
SCHEDULE = {f"admin:backups_backupschedule_{page}": page for page in ("changelist", "add", "history", "delete", "change")}

# The URL's name: the right that each of its methods needs. Every method that is not named is refused (405) or harmless.
TABLE: Mapping[str, Mapping[str, str]] = {
    **{f"admin:backups_{name}": rights for name, rights in {**UPLOAD, **RESTORING}.items()},
    **{f"backups:site-{name}": rights for name, rights in {**UPLOAD, **RESTORING}.items()},
    "backups:site-choose": {"GET": RESTORE},
    "admin:backups_backup_changelist": {"GET": VIEW, "POST": VIEW},
    "admin:backups_backup_add": {"GET": ADD, "POST": ADD},
    "admin:backups_backup_history": {"GET": VIEW},
    "admin:backups_backup_delete": {"GET": NOBODY, "POST": NOBODY},
    "admin:backups_backup_change": {"GET": VIEW, "POST": CHANGE},
    "admin:backups_archive": {"GET": VIEW, "POST": CHANGE},
    "admin:backups_running": {"GET": VIEW},
    "admin:backups_verify": {"POST": CHANGE},
    "admin:backups_reconcile": {"POST": CHANGE},
    "admin:backups_download": {"GET": DOWNLOAD, "POST": DOWNLOAD},
    "admin:backups_download-file": {"GET": DOWNLOAD, "HEAD": DOWNLOAD},
    "admin:backups_delete": {"GET": DELETE, "POST": DELETE},
    "admin:backups_delete-several": {"GET": DELETE, "POST": DELETE},
    "admin:backups_operation_changelist": {"GET": VIEW},
    "admin:backups_operation_history": {"GET": VIEW},
    "admin:backups_operation_change": {"GET": VIEW},
    "admin:backups_operation_add": {"GET": NOBODY, "POST": NOBODY},
    "admin:backups_operation_delete": {"GET": NOBODY, "POST": NOBODY},
    "admin:backups_backupschedule_changelist": {"GET": "view_backupschedule"},
    "admin:backups_backupschedule_history": {"GET": "view_backupschedule"},
    "admin:backups_backupschedule_add": {"GET": "add_backupschedule", "POST": "add_backupschedule"},
    "admin:backups_backupschedule_delete": {"GET": "delete_backupschedule", "POST": "delete_backupschedule"},
    "admin:backups_backupschedule_change": {"GET": "view_backupschedule", "POST": "change_backupschedule"},
}
ASKED = [(name, method) for name, rights in TABLE.items() for method in rights]
UNSAFE = [(name, method) for name, method in ASKED if method not in ("GET", "HEAD")]


def mounted(resolver: URLResolver, space: str = "") -> Iterator[str]:
    """The names of all URLs below ``resolver``."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            yield f"{space}{entry.name}"
        else:
            yield from mounted(entry, f"{space}{entry.namespace}:" if entry.namespace else space)


@dataclass(frozen=True)
class World:
    """What there is to ask for."""

    archive: str
    numbers: Mapping[str, int]
    operation: str

    def path(self, name: str, account: int) -> str:
        """The path of the URL called ``name``, for what is there; a download's link is that of ``account``."""
        page = name.rpartition(":")[2].removeprefix("backups_").removeprefix("site-")
        if page == "download-file":
            return reverse(name, args=[download_token(self.archive, account=account), self.archive])
        if page in ("restore", "verify", "download", "delete", "archive"):
            return reverse(name, args=[self.archive])
        if page in ("preview", "result", "upload-piece", "upload-finish", "upload-discard"):
            return reverse(name, args=[self.operation])
        model, _, view = page.rpartition("_")
        return reverse(name, args=[self.numbers[model]] if view in ("history", "delete", "change") else [])


@pytest.fixture
def world(db: None, settings: Settings, tmp_path: Path) -> World:
    """An archive that may be deleted, the newest, an operation, and a schedule."""
    store = store_of_its_own(settings, tmp_path / "store")
    archive = archive_placed(store)
    archive_placed(store, 1)
    ended = journal_ended("verify", archive=archive)
    operation = Operation.objects.create(operation_id=ended.id, kind="verify", status="done", started_at=MORNING)
    schedule = BackupSchedule.objects.first() or BackupSchedule.objects.create()
    numbers = {"backup": Backup.objects.get(name=archive).pk, "operation": operation.pk, "backupschedule": schedule.pk}
    return World(archive, numbers, ended.id)


def everything() -> list[Permission]:
    """All rights of this app."""
    return list(Permission.objects.filter(content_type__app_label="backups"))


def asked_by(world: World, name: str, method: str, *, is_staff: bool, rights: list[Permission]) -> HttpResponseBase:
    """The answer to a person with these rights."""
    person = get_user_model().objects.create_user("person", password="correct horse battery", is_staff=is_staff)
    person.user_permissions.set(rights)
    browser = Client()
    browser.force_login(person)
    return browser.generic(method, world.path(name, person.pk))


def is_to_login(answer: HttpResponseBase) -> bool:
    return answer.status_code == 302 and answer.headers["Location"].startswith(reverse("admin:login"))


def test_every_page_has_a_row_in_the_table() -> None:
    names = {name for name in mounted(get_resolver()) if name.startswith(("backups:", "admin:backups_"))}
    assert names == TABLE.keys() | {f"backups:{name}" for name in PUBLIC}


def test_every_permission_that_can_be_given_opens_a_page() -> None:
    assert {right.codename for right in everything()} == {right for rights in TABLE.values() for right in rights.values()} - {NOBODY}


def test_permissions_on_the_history_that_allowed_nothing_are_taken_away() -> None:
    content_type = ContentType.objects.get_for_model(Operation)
    person = get_user_model().objects.create_user("person", password="correct horse battery")
    for act in ("add", "change", "delete", "view"):
        person.user_permissions.add(Permission.objects.create(content_type=content_type, codename=f"{act}_operation", name=act))
    person.user_permissions.add(Permission.objects.get(codename=VIEW))
    migration = import_module("backups.migrations.0004_history_without_permissions")
    migration.remove_permissions(apps, connection.schema_editor())
    assert [right.codename for right in person.user_permissions.all()] == [VIEW]


@pytest.mark.parametrize(("name", "method"), ASKED)
def test_nobody_gets_in_without_logging_in(world: World, name: str, method: str) -> None:
    assert is_to_login(Client().generic(method, world.path(name, 1)))


@pytest.mark.parametrize(("name", "method"), ASKED)
def test_a_person_outside_the_staff_does_not_get_in_with_any_right(world: World, name: str, method: str) -> None:
    assert is_to_login(asked_by(world, name, method, is_staff=False, rights=everything()))


@pytest.mark.parametrize(("name", "method"), ASKED)
def test_staff_without_the_right_is_refused_with_all_others(world: World, name: str, method: str) -> None:
    # Whoever may restore sees how it went, whoever may change an archive sees it.
    also = {VIEW: (RESTORE, CHANGE), "view_backupschedule": ("change_backupschedule",)}.get(TABLE[name][method], ())
    others = [right for right in everything() if right.codename not in (TABLE[name][method], *also)]
    assert asked_by(world, name, method, is_staff=True, rights=others).status_code == 403


@pytest.mark.parametrize(("name", "method"), [asked for asked in ASKED if TABLE[asked[0]][asked[1]] != NOBODY])
def test_the_right_alone_lets_staff_in(world: World, settings: Settings, name: str, method: str) -> None:
    # Where nothing can be written into the audit file, nothing happens: so each page is asked, and none begins anything.
    (Path(settings.BACKUPS_STATE_DIR) / "audit.log").mkdir(parents=True)
    with pytest.raises(AuditUnwritable):
        audit_record("try", who="", address="")
    rights = [right for right in everything() if right.codename == TABLE[name][method]]
    answer = asked_by(world, name, method, is_staff=True, rights=rights)
    # 404: there is no such upload, preview or undo, which only those learn who were let in.
    assert answer.status_code not in (401, 403, 405)
    assert answer.status_code < 500
    assert not is_to_login(answer)


@pytest.mark.parametrize(("name", "method"), UNSAFE)
def test_a_request_from_another_site_is_refused(world: World, name: str, method: str, admin_user: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    assert browser.generic(method, world.path(name, admin_user.pk), HTTP_ORIGIN="https://elsewhere.example").status_code == 403


@pytest.mark.parametrize("name", [name for name in TABLE if not any(word in name for word in ("_backup", "_operation", "_archive"))])
def test_a_method_that_is_not_named_is_refused(world: World, name: str, admin_user: Any) -> None:
    browser = Client()
    browser.force_login(admin_user)
    safe = {"HEAD", "OPTIONS"}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - TABLE[name].keys() - safe:
        assert browser.generic(method, world.path(name, admin_user.pk)).status_code == 405, method


@pytest.mark.parametrize(
    "path",
    [
        "archives/..%2f..%2fsecret_key/download/",
        "archives/backup_20260301_080000_98b10547.zip%00/download/",
        "archives/backup_20260301_080000_98B10547.zip/download/",
        "archives/backup_20260301_080000_ffffffff.zip/download/",
        "archives/backup_20260301_080000_ffffffff.zip/delete/",
        "archives/backup_20260301_080000_ffffffff.zip/restore/",
        "operations/0/",
        f"operations/{'f' * 32}/",
    ],
)
def test_what_is_guessed_is_not_there(world: World, path: str, admin_user: Any) -> None:
    browser = Client()
    browser.force_login(admin_user)
    answer = browser.get(f"/admin/backups/backup/{path}", follow=True)
    # Django's admin takes a path that it does not know for the number of a row, and says on its first page that there is none.
    assert answer.status_code == 404 or answer.redirect_chain[-1][0] == "/admin/"
