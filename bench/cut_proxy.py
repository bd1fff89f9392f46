"""A small TCP proxy on loopback whose connections can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class CutProxy:
    """Passes bytes between a port of its own and `target`, until it is told to cut.

    Attributes:
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self._closed_until = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, seconds: float) -> None:
        """Cut every connection, and for so long each new one at once."""
        self._closed_until = time.monotonic() + seconds
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def __enter__(self) -> CutProxy:
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut(0.0)

    def _accept(self) -> None:
        while True:
            try:
                mine, _ = self._listener.accept()
            except OSError:  # closed
                return
            if time.monotonic() < self._closed_until:
                mine.close()
                continue
            try:
                other = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                mine.close()
                continue
            self._open += [mine, other]
            for source, sink in ((mine, other), (other, mine)):
                threading.Thread(target=_pass, args=(source, sink), daemon=True).start()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
