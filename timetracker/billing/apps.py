"""The app's configuration."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Invoices, payments and expenses."""

    name = "timetracker.billing"
    label = "billing"
    verbose_name = "Billing"
