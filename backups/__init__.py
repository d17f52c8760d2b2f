"""Backups that are proven when they are made, and restores that cannot tear.

One archive holds the database, the settings snapshot and the uploads. A restore is built and proven beside the
live data, swapped in, and can be undone. Other apps use :mod:`backups.gate` (is a restore in progress?) and
:mod:`backups.signals` (a restore begins, a restore has ended); everything else is used through the commands and
:mod:`backups.services`. This package imports nothing of the project around it.
"""
