"""The app's configuration."""

from django.apps import AppConfig


class ExportsConfig(AppConfig):
    """Exports of data; hears when a restore has ended."""

    name = "timetracker.exports"
    label = "exports"

    def ready(self) -> None:
        """Connect the receiver of the backups' signal."""
        from backups.signals import restore_ended
        from timetracker.exports.restores import agree_after_restore

        restore_ended.connect(agree_after_restore, dispatch_uid="exports.agree_after_restore")
