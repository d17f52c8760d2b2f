"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timetracker.settings")
application = get_wsgi_application()

# What a page asks for goes to this app's broker, and not to Celery's own default.
import timetracker.celery  # noqa: E402
import timetracker.urls  # noqa: E402, F401 - all pages, for which the first visitor of a process would wait else
