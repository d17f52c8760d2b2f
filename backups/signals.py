"""Signals with which other apps hear of restores.

Both are sent with ``operation`` (the id, 32 hex digits) and ``kind`` (restore or undo). A receiver of
:data:`restore_ended` may return a sentence (str) or None; sentences are added to the restore's report. It is sent
when the gate is open again, with ``outcome`` ``new`` (the restored data is live) or ``old`` (everything as before).
"""

from django.dispatch import Signal

__all__ = ["restore_begins", "restore_ended"]

restore_begins = Signal()
restore_ended = Signal()
