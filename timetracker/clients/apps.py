"""The app's configuration."""

from django.apps import AppConfig


class ClientsConfig(AppConfig):
    """Clients and documents."""

    name = "timetracker.clients"
    label = "clients"
    verbose_name = "Clients"
