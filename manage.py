#!/usr/bin/env python
"""Django's command line for TimeTracker."""

import gc
import os
import sys


def main() -> None:
    """Run one management command."""
    # Importing Django makes nothing but objects that stay: by itself Python would look through them hundreds of times.
    gc.set_threshold(50_000)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timetracker.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        settings.INSTALLED_APPS  # noqa: B018 - reads the settings, so that what is wrong with them is said in one line
    except ImproperlyConfigured as error:
        sys.exit(f"{error}")
    try:
        execute_from_command_line(sys.argv)
    finally:
        # And once more at the end, for a fifth of a short command's time.
        gc.freeze()


if __name__ == "__main__":
    main()
