"""The app's configuration."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The clients' portal."""

    name = "portal"
    verbose_name = "Client portal"
