"""``python -m bench.visiting PORT OUT COUNT``: people who look at pages of the admin until SIGTERM, as fast as they are answered.

They are the visitors of the tests (:mod:`backups.tests.visitors`): each answer is judged by what is in it, who is logged out logs
in again. They only read. At the end what they saw is in OUT as the JSON of :class:`~backups.tests.visitors.Seen`.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from backups.tests.visitors import Visitor, visit

# Short lists: what a long one costs by itself would be measured otherwise.
PAGES = ("/admin/clients/client/", "/admin/tracking/project/", "/admin/tracking/task/")


class Onlooker(Visitor):
    """A visitor who writes nothing."""

    def turn(self) -> None:
        """Look at one page, or log in."""
        if self.is_in:
            self.look(self.chance.choice(PAGES))
        else:
            self.log_in()

    def read(self) -> None:
        """The last look."""
        self.look(PAGES[0])


def main(port: int, out: Path, count: int) -> None:
    """Be the visitors until SIGTERM."""
    # S311: which page comes next is no secret.
    visit(out, lambda record, stopped: [Onlooker(port, number, record, random.Random(number), stopped) for number in range(count)])  # noqa: S311


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
