"""The app's configuration."""

from django.apps import AppConfig


class TrackingConfig(AppConfig):
    """Projects, tasks and time; hears when a restore has ended."""

    name = "timetracker.tracking"
    label = "tracking"
    verbose_name = "Time tracking"
