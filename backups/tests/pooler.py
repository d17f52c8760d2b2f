"""A pooler between site and server, as strict as PgBouncer: it knows one database, and no connection may set options.

It pools nothing. What it refuses is what matters: locks, swaps and shadows must go past it, to the server itself.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

from backups.tests.servers import PgCluster

__all__ = ["Pooler"]

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
PIECE = 65536


class Pooler:
    """Listens on :attr:`port` of loopback and leads connections to ``database`` on to ``cluster``; :attr:`refused` says which not."""

    def __init__(self, cluster: PgCluster, database: str) -> None:
        """Begin to listen."""
        self.cluster, self.database = cluster, database
        self.refused: list[dict[str, str]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """End all connections and stop listening."""
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(60)

    @contextlib.contextmanager
    def running(self) -> Iterator[Pooler]:
        """Close it at the end of the block."""
        try:
            yield self
        finally:
            self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                self._begin(self._lead, client)

    def _begin(self, target: object, *args: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _lead(self, client: socket.socket) -> None:
        """Read how the connection begins, and refuse it or lead it on."""
        with contextlib.suppress(OSError, struct.error):
            while True:
                (length,) = struct.unpack("!I", _exactly(client, 4))
                packet = _exactly(client, length - 4)
                if struct.unpack("!I", packet[:4])[0] not in (SSL_REQUEST, GSS_REQUEST):
                    break
                client.sendall(b"N")
            words = packet[4:].decode().split("\0")
            given = dict(zip(words[::2], words[1::2], strict=False))
            if given.get("options") or given["database"] != self.database:
                self.refused.append(given)
                reason = b"SFATAL\0C08P01\0Munsupported startup parameter, or no such database\0\0"
                client.sendall(b"E" + struct.pack("!I", len(reason) + 4) + reason)
                client.close()
                return
            server = socket.create_connection(("127.0.0.1", self.cluster.port))
            self._sockets.append(server)
            server.sendall(struct.pack("!I", length) + packet)
            self._begin(_pass_on, client, server)
            _pass_on(server, client)


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = source.recv(count - len(data))
        if not piece:
            raise ConnectionError("closed")
        data += piece
    return data


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Hand on what comes until one side closes; then close both."""
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
