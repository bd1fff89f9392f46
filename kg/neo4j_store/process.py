"""The managed server's process: told apart from any other, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

_STOP_SECONDS = 60.0
_ENTRY = "CommunityEntryPoint"
_IMPORTER = "org.neo4j.cli.AdminTool"


def is_ours(pid: int, home: Path) -> bool:
    """Whether process `pid` is a server of `home`: ids are used again, so the command line is looked at."""
    return f"{_ENTRY} {' '.join(home_arguments(home))}" in _command_line(pid)


def home_arguments(home: Path) -> list[str]:
    """The arguments that name the server's folder."""
    return [f"--home-dir={home}", f"--config-dir={home / 'conf'}"]


def _command_line(pid: int) -> str:
    if Path("/proc/self/cmdline").exists():
        try:
            return (Path("/proc") / str(pid) / "cmdline").read_text().replace("\0", " ")
        except OSError:
            return ""
    asked = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def end(pid: int) -> None:
    """End our process `pid` and wait for it: politely, and by force only when it does not go."""
    for order in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, order)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline:
            if has_ended(pid):
                return
            time.sleep(0.1)


def has_ended(pid: int) -> bool:
    """Whether the server with process `pid` is gone; one that ended but whose parent has not noticed is, too."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # started by another command
        return _ENTRY not in _command_line(pid)


def importer_arguments(home: Path) -> list[str]:
    """Java's arguments of an import into the server of `home`; the property tells it from imports of others."""
    return [f"-Dshopgraph.home={home}", _IMPORTER]


def end_importer(home: Path) -> None:
    """End an importer of `home` whose command was killed: two of them must not write one database."""
    wanted = " ".join(importer_arguments(home))
    for pid in _processes():
        while wanted in _command_line(pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                break
            time.sleep(0.1)


def _processes() -> list[int]:
    if Path("/proc/self/cmdline").exists():
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    asked = subprocess.run(["ps", "-axo", "pid="], capture_output=True, text=True, check=False)
    return [int(line) for line in asked.stdout.split()]
