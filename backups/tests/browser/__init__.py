"""Tests in a real browser, on whole sites with real processes; and the screenshots of the documentation.

:mod:`~backups.tests.browser.chromium` finds the browser, :mod:`~backups.tests.browser.person` is somebody who uses it,
:mod:`~backups.tests.browser.furnished` makes sites with people and data, :mod:`~backups.tests.browser.steps` are what a person
does there, :mod:`~backups.tests.browser.screens` are all pages that there are to see.
"""
