"""Puts the places to stop into the operations of this process."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.conf import settings

from backups.tests.halting import halt, note_start


class HaltingConfig(AppConfig):
    """Wraps the journal's steps and, of a swap, the two instants between which only the server is a gate."""

    name = "backups.tests.halting"

    def ready(self) -> None:
        """Wrap them."""
        from backups.journal import Journal
        from backups.services import in_place, restore, undo

        start, enter = Journal.start, Journal.enter

        def start_noted(journal: Journal) -> None:
            note_start(settings.DATA_DIR, journal.id)
            start(journal)

        def enter_watched(journal: Journal, stage: str) -> None:
            enter(journal, stage)
            halt(settings.DATA_DIR, stage)

        setattr(Journal, "start", start_noted)  # noqa: B010 - the type checker allows no other way
        setattr(Journal, "enter", enter_watched)  # noqa: B010
        for module in (restore, undo, in_place):
            for name, stage in (("gate_close", "closed"), ("uploads_switch", "switched")):
                if hasattr(module, name):
                    setattr(module, name, _followed(getattr(module, name), stage))


def _followed(step: Any, stage: str) -> Any:
    def followed(*args: Any, **kwargs: Any) -> Any:
        result = step(*args, **kwargs)
        halt(settings.DATA_DIR, stage)
        return result

    return followed
