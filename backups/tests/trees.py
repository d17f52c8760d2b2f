"""Small trees of files for tests of the uploads: described as a dict, written, read back and compared."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies

from backups.uploads import switch
from backups.uploads.tree import is_ours

__all__ = ["Killed", "Tree", "dying_at", "read_tree", "remove", "replace_file", "temporary_root", "trees", "write_tree"]

# Path to content; a folder without files ends in "/" and has None.
Tree = dict[str, bytes | None]


@contextlib.contextmanager
def temporary_root() -> Iterator[Path]:
    """An empty MEDIA_ROOT for one example of a property."""
    # In memory where that is offered: hundreds of examples would wait for the disk.
    shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=shared_memory) as folder:
        yield Path(folder).resolve()


def write_tree(root: Path, tree: Mapping[str, bytes | None]) -> None:
    """Write the files (and empty folders) of ``tree`` below ``root``."""
    for path, content in tree.items():
        target = root / path
        if content is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def read_tree(root: Path) -> Tree:
    """What is below ``root``, without the staging of the backups."""
    found: Tree = {}
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        if here == Path():
            folders[:] = [name for name in folders if not is_ours(name)]
        if here != Path() and not folders and not files:
            found[f"{here}/"] = None
        for name in [*files, *(name for name in folders if (root / here / name).is_symlink())]:
            path = here / name
            status = (root / path).lstat()
            found[str(path)] = (
                (root / path).read_bytes() if stat.S_ISREG(status.st_mode) else b"-> " + os.fsencode((root / path).readlink())
            )
    return found


def replace_file(path: Path, content: bytes) -> None:
    """Change a file as upload storages do: a new file takes its name."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _without_conflicts(tree: dict[str, bytes]) -> Tree:
    """Leave out files of whose name there is a folder."""
    folders = {str(parent) for path in tree for parent in Path(path).parents}
    return {path: content for path, content in tree.items() if path not in folders}


_names = strategies.sampled_from(["a", "b", "c", "ä ß", "d.txt"])
# At most three levels of five names, so that trees meet often: file on file, folder on folder, file on folder.
trees: strategies.SearchStrategy[Tree] = strategies.dictionaries(
    strategies.lists(_names, min_size=1, max_size=3).map("/".join), strategies.binary(max_size=3), max_size=8
).map(_without_conflicts)


class Killed(BaseException):
    """Stands for kill -9: nothing between it and the test may catch it."""


def dying_at(monkeypatch: Any, limit: int, *, after: bool = False, meanwhile: Callable[[], object] | None = None) -> list[tuple[str, str]]:
    """Let the switch die at its ``limit``-th rename (from 0), before or after it is done; returns the renames as they are made.

    With ``meanwhile``, do not die but call that instead: somebody else writes at that instant.
    """
    real, made = switch.rename, list[tuple[str, str]]()

    def rename(source: str, target: str) -> None:
        at_limit = len(made) == limit
        made.append((Path(source).name, Path(target).parent.name))
        if at_limit and not after:
            if meanwhile is None:
                raise Killed
            meanwhile()
        real(source, target)
        if at_limit and after:
            raise Killed

    monkeypatch.setattr(switch, "rename", rename)
    return made
