"""What migrations made is there for every test, whatever ran before it."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from backups.models import BackupSchedule
from timetracker.accounts.roles import Role, permissions_of


@pytest.mark.django_db(transaction=True)
def test_rows_of_the_migrations_outlive_a_flush() -> None:
    before = {role: permissions_of(role) for role in Role}
    assert all(before.values()) and BackupSchedule.objects.filter(is_default=True).exists()
    call_command("flush", interactive=False, verbosity=0)
    assert {role: permissions_of(role) for role in Role} == before
    assert BackupSchedule.objects.get().is_default
