"""The app's configuration."""

from django.apps import AppConfig


class SiteConfConfig(AppConfig):
    """The site's settings."""

    name = "timetracker.siteconf"
    label = "siteconf"
    verbose_name = "Site settings"
