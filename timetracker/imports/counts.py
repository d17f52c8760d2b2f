"""What a file comes to: shown after the check and after the import."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Counts"]

# Names that are kept of each list; how many there are is kept of all.
NAMED = 20


@dataclass
class Counts:
    """Numbers of rows: all, those that are new, those that are here already, those that repeat another, and those that are wrong.

    Of new time: the seconds, the first and the last day (ISO, in the file's time zone), and of how many people it is. ``made`` has,
    for clients, projects and tasks that a file of another kind makes, how many, and the first names. ``lists`` has, for each list
    of an export, how many rows are new and how many are here.
    """

    rows: int = 0
    new: int = 0
    here: int = 0
    repeated: int = 0
    bad: int = 0
    seconds: int = 0
    first: str = ""
    last: str = ""
    people: int = 0
    made: dict[str, list[Any]] = field(default_factory=dict)
    lists: dict[str, list[int]] = field(default_factory=dict)

    def making(self, kind: str, names: list[str]) -> None:
        """Note what is made."""
        if names:
            self.made[kind] = [len(names), names[:NAMED]]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @staticmethod
    def from_json(held: dict[str, Any]) -> Counts:
        """Read what :meth:`to_json` made."""
        return Counts(**held)
