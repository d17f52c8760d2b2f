"""People of each role on a furnished site, and how they come in."""

from __future__ import annotations

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import PASSWORD
from backups.tests.browser.person import Person
from backups.tests.web import SiteProcesses

__all__ = ["comes_to_work", "hire"]

_HIRE = """
from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give
for role in Role:
    name = role.value.lower()
    user, _ = User.objects.get_or_create(username=name, email=f"{{name}}@example.org", full_name=f"The {{name}}", is_staff=True)
    user.set_password("{password}")
    user.save()
    role_give(user, role)
"""


def hire(server: SiteProcesses) -> None:
    """Make an account for each role, which is called like it: ``owner``, ``manager``, ``member``, ``bookkeeper``."""
    server.site.manage("shell", "--verbosity", "0", "--command", _HIRE.format(password=PASSWORD))


def comes_to_work(arrives: Arrives, server: SiteProcesses, username: str, **options: object) -> Person:
    """Somebody of the team who is logged in, on Today."""
    person = arrives(server, **options)
    person.log_in(username, at="/login/", then="/")
    return person
