"""The settings of a site with the app ``growing`` beside all others."""

from timetracker.settings import *  # noqa: F403
from timetracker.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "backups.tests.growing"]
