"""The WSGI application that gunicorn serves."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timetracker.settings")
application = get_wsgi_application()

# What a page asks for goes to this app's broker, and not to Celery's own default.
import timetracker.celery  # noqa: E402
import timetracker.urls  # noqa: E402, F401 - all pages, for which the first visitor of a process would wait else

# What is loaded by now stays for ever, so the collector need not look through it again: its full pass took 80 to 110 ms in the midst of a
# page (the list of 2,000 archives, measured), and takes 13 to 26 without it.
gc.collect()
gc.freeze()
