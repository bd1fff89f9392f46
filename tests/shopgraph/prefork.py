"""Runs commands in children of a process that has imported what they import, which takes longer than most of them.

    python prefork.py

A line on stdin is a job: words, environment, folder, files for stdout and stderr. The exit status is the answer. Each
job is a process of its own, as if the installed command had been started.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

ROOMS = ("ingest", "kg", "encoders", "gnn", "shopgraph")
HEAVY = ("torch_geometric", "transformers.models.bert.modeling_bert", "transformers.models.bert.tokenization_bert")


class Prefork:
    """Starts the process when the first command is run.

    A command that has not ended after `seconds` is killed.
    """

    seconds = 300

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def run(self, words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """What `subprocess.run` of the command would give."""
        if self.process is None:
            here = [sys.executable, __file__]
            self.process = subprocess.Popen(here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            job = {"words": words, "environment": environment, "folder": str(Path.cwd())}
            print(json.dumps(job | {"out": str(out), "err": str(err)}), file=process.stdin, flush=True)
            child = int(process.stdout.readline())
            late = threading.Timer(self.seconds, os.kill, (child, 9))
            late.start()
            status = int(process.stdout.readline())
            late.cancel()
            return subprocess.CompletedProcess(["shopgraph", *words], status, out.read_text(), err.read_text())

    def close(self) -> None:
        """End the process."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait()


def preload() -> None:
    """Import every module of the project, and what they import within functions."""
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for name in HEAVY:
        importlib.import_module(name)
    gc.freeze()


def child(job: dict[str, Any]) -> int:
    """Be the command."""
    for number, (path, flags) in enumerate(
        ((os.devnull, os.O_RDONLY), (job["out"], os.O_WRONLY | os.O_CREAT), (job["err"], os.O_WRONLY | os.O_CREAT))
    ):
        os.dup2(os.open(path, flags, 0o600), number)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    sys.argv = ["shopgraph", *job["words"]]
    from shopgraph.cli.main import main

    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    return 0


def serve() -> None:
    """Do jobs until stdin ends."""
    preload()
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            status = 1
            try:
                status = child(json.loads(line))
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
    os._exit(0)  # so many modules take minutes to clear up


if __name__ == "__main__":
    serve()
