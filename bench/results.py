"""What was measured, as it is kept in ``results.json``: one :class:`Measured` for each contender in each round."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

__all__ = ["Measured", "Results", "SURVEY"]

# The round before the first: under the eyes of a survey, and not timed.
SURVEY = 0


@dataclass(frozen=True)
class Measured:
    """What one contender took in one round.

    ``section`` is a word of ``--only``, ``engine`` such as ``PostgreSQL 15``. ``values`` are seconds where their name says
    ``seconds`` or ``stage``, else what their names say.
    """

    section: str
    engine: str
    entries: int
    contender: str
    round: int
    values: dict[str, float]


@dataclass
class Results:
    """All of one or several runs. ``about`` says what they ran on: machine, versions, settings, data."""

    about: dict[str, str] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Results:
        """What several files hold together; where they say different things ``about`` something, all of them.

        The rounds of each go on counting after those of the files before it: pairs are of one run.
        """
        results = cls()
        about: dict[str, list[str]] = {}
        for path in paths:
            content = json.loads(path.read_text())
            for name, said in content["about"].items():
                about.setdefault(name, []).append(said)
            before = max((item.round for item in results.measured), default=0)
            for item in (Measured(**fields) for fields in content["measured"]):
                results.measured.append(item if item.round == SURVEY else replace(item, round=item.round + before))
        results.about = {name: "; ".join(dict.fromkeys(said)) for name, said in about.items()}
        return results

    def write(self, path: Path) -> None:
        """Keep them in a file; a reader sees the one before or this one."""
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(json.dumps({"about": self.about, "measured": [asdict(item) for item in self.measured]}, indent=1) + "\n")
        partial.replace(path)

    def of(self, section: str, engine: str, entries: int, contender: str) -> Iterator[Measured]:
        """What was measured of one contender, in all rounds."""
        for item in self.measured:
            if (item.section, item.engine, item.entries, item.contender) == (section, engine, entries, contender):
                yield item

    def values(self, section: str, engine: str, entries: int, contender: str, name: str) -> dict[int, float]:
        """One value of a contender by the round, without the survey's."""
        found = self.of(section, engine, entries, contender)
        return {item.round: item.values[name] for item in found if item.round != SURVEY and name in item.values}

    def surveyed(self, section: str, engine: str, entries: int, contender: str, name: str) -> float | None:
        """One value of the survey."""
        found = self.of(section, engine, entries, contender)
        return next((item.values[name] for item in found if item.round == SURVEY and name in item.values), None)

    def engines(self, section: str) -> list[str]:
        """The engines with a figure in a section, in the order of their names."""
        return sorted({item.engine for item in self.measured if item.section == section})

    def sizes(self, section: str, engine: str) -> list[int]:
        """The numbers of entries there."""
        return sorted({item.entries for item in self.measured if (item.section, item.engine) == (section, engine)})

    def contenders(self, section: str, engine: str, entries: int) -> list[str]:
        """The contenders there, in the order of their first figure."""
        chosen = [item for item in self.measured if (item.section, item.engine, item.entries) == (section, engine, entries)]
        return list(dict.fromkeys(item.contender for item in chosen))
