"""Ways to break a command off."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable

from bench.cut_proxy import CutProxy
from bench.fault_place import PATIENCE, Place, last_line, run
from ingest.progress import SilentProgress
from kg.neo4j_store.server import start


def break_off(command: list[str], seconds: float, strike: Callable[[subprocess.Popen[str]], None]) -> str:
    """Run `command`, strike after `seconds`, and say how it ended."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, text=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            strike(process)
        code = process.wait(PATIENCE)
        said.seek(0)
        return "killed" if code == -signal.SIGKILL else "done" if code == 0 else last_line(said.read())[:100]


def killed(place: Place, words: tuple[str, ...], seconds: float) -> str:
    """The program dies."""
    return break_off(place.command(words), seconds, lambda process: process.kill())


def server_killed(place: Place, words: tuple[str, ...], seconds: float) -> str:
    """The server dies and is started again while the program still waits for it, or has given up."""

    def strike(_: subprocess.Popen[str]) -> None:
        assert place.server is not None
        assert place.server.pid is not None
        os.kill(place.server.pid, signal.SIGKILL)
        os.waitpid(place.server.pid, 0)
        place.server = start(SilentProgress(), place.options)

    return break_off(place.command(words), seconds, strike)


def connection_cut(place: Place, words: tuple[str, ...], seconds: float) -> str:
    """Every connection is cut, and for two seconds nobody gets another."""
    assert place.options is not None
    with CutProxy(place.options.bolt_port) as proxy:
        command = place.command(words, f"bolt://127.0.0.1:{proxy.port}")
        return break_off(command, seconds, lambda _: proxy.cut(2.0))


def disk_full(place: Place, words: tuple[str, ...], limit: float) -> str:
    """No file of the program can grow past `limit` bytes."""

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing fails with an error, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))

    code, line = run(place.command(words), preexec_fn=small)
    return "done" if code == 0 else "killed" if code < 0 else line[:100]


STRIKES: dict[str, Callable[[Place, tuple[str, ...], float], str]] = {
    "killed": killed, "server": server_killed, "connection": connection_cut, "disk": disk_full
}  # fmt: skip
