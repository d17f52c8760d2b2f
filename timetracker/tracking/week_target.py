"""What is agreed with a person for a week, against what she has worked in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from timetracker.accounts.models import User

__all__ = ["WeekTarget"]


@dataclass(frozen=True)
class WeekTarget:
    """``agreed`` and ``worked`` in seconds; ``agreed`` is None where nothing is.

    What is left or over counts whole minutes, as pages show them: with the sum that is shown it comes to the target that is shown.
    """

    agreed: int | None
    worked: int

    @classmethod
    def of(cls, person: User, worked: int) -> Self:
        """What is agreed with ``person``, against ``worked`` seconds."""
        return cls(None if person.weekly_hours is None else int(person.weekly_hours * 3600), worked)

    @property
    def left(self) -> int:
        """What is missing up to the target, in seconds; not below zero."""
        return max(0, self._missing)

    @property
    def over(self) -> int:
        """What was worked beyond the target, in seconds; not below zero."""
        return max(0, -self._missing)

    @property
    def percent(self) -> int:
        """How much of the target is worked, at most 100."""
        return min(100, 100 * self.worked // self.agreed) if self.agreed else 100

    @property
    def _missing(self) -> int:
        return 60 * ((self.agreed or 0) // 60 - self.worked // 60)
