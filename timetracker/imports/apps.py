"""The app's configuration."""

from django.apps import AppConfig


class ImportsConfig(AppConfig):
    """What people bring in from other programs, as files."""

    name = "timetracker.imports"
    label = "imports"
    verbose_name = "Imports"
