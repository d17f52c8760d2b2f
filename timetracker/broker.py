"""The broker of one host: messages as files in a private folder.

Kombu's own, but for what lets a message go wrong: there a reader can take a file that is being written, one that a full disk
has cut off ends the worker, and each message goes through the machine's temporary folder, which need not be writable.
"""

from __future__ import annotations

import logging
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

__all__ = ["Channel", "Transport"]

logger = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    """A message appears under its name when it is whole, and is taken by renaming it within the folder."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # its bases disagree
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}"
        folder = Path(self.data_folder_out)
        partial = folder / f".{name}.partial"
        try:
            partial.write_bytes(dumps(payload).encode())  # type: ignore[no-untyped-call]
            partial.rename(folder / f"{name}.{queue}.msg")
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise ChannelError(f"A message cannot be put into {folder}: {error.strerror}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for path in sorted(Path(self.data_folder_in).glob(f"*.{queue}.msg")):
            taken = path.with_name(f".{path.name}.taken")
            try:
                path.rename(taken)
            except FileNotFoundError:
                # Another worker was quicker.
                continue
            except OSError as error:
                raise ChannelError(f"No message can be taken out of {path.parent}: {error.strerror}") from error
            try:
                return loads(taken.read_bytes().decode())  # type: ignore[no-untyped-call]
            except (OSError, ValueError) as error:
                logger.warning("A message in %s is damaged and was thrown away: %s", path.parent, error)
            finally:
                taken.unlink(missing_ok=True)
        raise Empty


class Transport(filesystem.Transport):
    """Kombu's transport with the channel above."""

    Channel = Channel
