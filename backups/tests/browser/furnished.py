"""Whole sites for a browser: the demo agency, people with different rights, static files, and all processes.

``python -m backups.tests.browser.furnished`` gives a site's database its people.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backups.tests.servers import PgCluster, RedisServer
from backups.tests.site import Site, SiteTemplates, collect_static, populate
from backups.tests.web import SiteProcesses
from backups.tests.workers import site_cache, wait_until

__all__ = ["ADMIN", "CLIENT", "ENTRIES", "GUEST", "KEEPER", "LOOKER", "MANAGER", "NAME", "PASSWORD", "furnish", "furnished_site"]

PASSWORD = "as-good-as-any-for-a-test"
# A superuser; staff who may do everything with backups and nothing else; staff who may only look; a client's person; the agency's manager.
ADMIN, KEEPER, LOOKER, GUEST, MANAGER = "admin", "keeper", "looker", "guest@example.org", "robin"
CLIENT = "Counting House"
# What the site is called: to be typed before anything is replaced.
NAME = "Placeholder & Daughters"
ENTRIES = 300


def furnish(site: Site, *, entries: int = ENTRIES) -> None:
    """Give ``site`` the demo agency and the people above, and static files."""
    assert site.templates, "only a site made by SiteTemplates can be furnished"
    site.extra_env["DJANGO_SETTINGS_MODULE"] = "backups.tests.browser.site_settings"

    def fill(template: Site) -> None:
        populate(template, entries=entries)
        template.extra_env["DJANGO_SETTINGS_MODULE"] = "backups.tests.browser.site_settings"
        process = template.run_python("-m", __name__)
        output = process.communicate(timeout=120)
        assert process.returncode == 0, output

    site.templates.adopt(site, content=f"browser_{entries}", fill=fill)
    collect_static(site)


@contextmanager
def furnished_site(
    templates: SiteTemplates,
    *,
    cluster: PgCluster | None = None,
    redis: RedisServer | None = None,
    processes: int = 1,
    threads: int = 8,
    entries: int = ENTRIES,
) -> Iterator[SiteProcesses]:
    """A furnished site with all its processes for the length of the block; pages and a worker answer when it begins."""
    site = templates.site(cluster)
    try:
        furnish(site, entries=entries)
        if redis:
            site.extra_env["REDIS_URL"] = redis.url
        server = SiteProcesses(site, processes, threads)
        with server.running():
            cache = site_cache(site)
            wait_until(lambda: cache.get("worker") is not None, "a worker")
            yield server
    finally:
        site.close()


def main() -> None:
    """Make the people."""
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Permission

    from portal.models import ClientPerson
    from timetracker.accounts.roles import Role
    from timetracker.clients.models import Client
    from timetracker.siteconf.models import SiteSettings

    SiteSettings.objects.update(company_name=NAME)
    accounts = get_user_model().objects
    accounts.create_superuser(ADMIN, f"{ADMIN}@example.org", PASSWORD)
    rights = Permission.objects.filter(content_type__app_label="backups")
    for name, may in ((KEEPER, rights), (LOOKER, rights.filter(codename__startswith="view_"))):
        staff = accounts.create_user(name, f"{name}@example.org", PASSWORD, is_staff=True)
        staff.user_permissions.set(may)
    manager = accounts.filter(groups__name=Role.MANAGER.value).earliest("pk")
    manager.username = MANAGER
    manager.set_password(PASSWORD)
    manager.save()
    client = Client.objects.filter(projects__isnull=False).distinct().earliest("pk")
    client.name, client.active, client.portal_enabled = CLIENT, True, True
    client.save()
    ClientPerson.objects.create(user=accounts.create_user(GUEST, GUEST, PASSWORD), client=client)


if __name__ == "__main__":
    main()
