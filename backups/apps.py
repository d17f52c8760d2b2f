"""The app's configuration."""

from django.apps import AppConfig


class BackupsConfig(AppConfig):
    """Wires the system checks; nothing else happens at start."""

    name = "backups"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from backups import checks  # noqa: F401
