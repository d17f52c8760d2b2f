"""The app's configuration."""

from django.apps import AppConfig


class TrackingConfig(AppConfig):
    """Projects, tasks and time; hears when a restore has ended."""

    name = "timetracker.tracking"
    label = "tracking"
    verbose_name = "Time tracking"

    def ready(self) -> None:
        """Connect the receiver of the backups' signal."""
        from backups.signals import restore_ended
        from timetracker.tracking.restores import report_running_timers

        restore_ended.connect(report_running_timers, dispatch_uid="tracking.report_running_timers")
