"""The app's configuration."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People and roles."""

    name = "timetracker.accounts"
    label = "accounts"
    verbose_name = "People"
