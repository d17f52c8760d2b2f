"""Demo data: an invented agency of ten people over eighteen months, or of so many over years.

``demo_make`` and ``demo_remove`` are for ``manage.py demo_data``. The same seed, number of entries and people, megabytes
and anchor day give the same rows and the same files, byte for byte, in a database that had none. All names are invented.

``words`` holds the vocabulary, ``calendar`` the working days, ``agency`` people, clients and projects, ``entries`` their
time, ``invoices`` and ``expenses`` the money, ``papers`` and ``pictures`` the files' contents, ``attachments`` the
documents, ``tables`` and ``files`` the way into the database and the storage.
"""

from timetracker.tracking.demo.make import DemoReport, demo_make
from timetracker.tracking.demo.refusal import DemoRefused
from timetracker.tracking.demo.remove import demo_remove

__all__ = ["DemoRefused", "DemoReport", "demo_make", "demo_remove"]
