"""Where builds are broken off: a store, the workspace that uses it, and the command line on both."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.graph_load import empty
from bench.main_job import free_port
from ingest.progress import SilentProgress
from kg.neo4j_store.credentials import password_file, server_home
from kg.neo4j_store.server import ServerInfo, ServerOptions, start, status, stop
from kg.shape import shape_graph
from kg.snapshot_read import read_snapshot
from kg.stores import open_store

PATIENCE = 600.0
"""Seconds after which a command hangs."""


@dataclass
class Place:
    """A store and the workspaces that use it.

    Attributes:
        kind: embedded or neo4j.
        root: scratch folder.
        server: of neo4j.
        options: with which to start it again.
    """

    kind: str
    root: Path
    server: ServerInfo | None = None
    options: ServerOptions | None = None

    @property
    def workspace(self) -> Path:
        """The workspace of the point at hand."""
        return self.root / "workspace"

    @property
    def url(self) -> str:
        """Of the store."""
        return self.server.url if self.server else str(self.workspace / "graph.lbug")

    def clear(self) -> None:
        """No workspace, nothing in the store."""
        shutil.rmtree(self.workspace, ignore_errors=True)
        if self.server:
            empty(self.server)

    def keep(self) -> None:
        """Keep the workspace as it is for `put_back`."""
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self.workspace, self._kept)

    def put_back(self) -> None:
        """The workspace that was kept, and in the store its graph: a copy of a run is faster than the run."""
        shutil.copytree(self._kept, self.workspace)
        if self.server:
            files = shape_graph(self.workspace / "tables", self.workspace / "graph", SilentProgress())
            with open_store(self.url) as store:
                store.load(files, SilentProgress())

    @property
    def _kept(self) -> Path:
        return self.root / "kept"

    def command(self, words: tuple[str, ...], url: str | None = None) -> list[str]:
        """The command line of `words` on this place."""
        line = [sys.executable, "-m", "shopgraph.cli.main", *words, "--workspace", str(self.workspace)]
        return [*line, "--store", url or self.url] if self.server else line

    def fingerprint(self) -> str:
        """Of everything in the store, '' where it holds no complete graph."""
        if status() is None if self.server else not Path(self.url).exists():
            return ""
        if self.server:
            start(SilentProgress(), self.options)  # a killed import may have left it starting: this waits for it
        with open_store(self.url) as store:
            if store.built() is None:
                return ""
            return read_snapshot(store, SilentProgress(), everything=True).fingerprint


def run(command: list[str], **how: Any) -> tuple[int, str]:
    """Exit code and last line of a command that is left alone."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, **how)
    return done.returncode, last_line(done.stderr)


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def must(done: tuple[int, str]) -> None:
    """Stop where a run without a fault fails."""
    if done[0]:
        raise RuntimeError(f"an unbroken run failed: {done[1]}")


@contextmanager
def places(kinds: list[str], scratch: Path) -> Iterator[list[Place]]:
    """The stores, Neo4j in a private server."""
    os.environ["SHOPGRAPH_STATE"] = str(scratch / "state")
    for name in ("NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE", "SHOPGRAPH_STORE"):
        os.environ.pop(name, None)
    made = [Place("embedded", scratch / "embedded")] if "embedded" in kinds else []
    try:
        if "neo4j" in kinds:
            options = ServerOptions(bolt_port=free_port(), heap="512m", page_cache="128m")
            server = start(SilentProgress(), options)
            os.environ["NEO4J_PASSWORD"] = password_file(server_home()).read_text()  # a proxy has another address
            made.append(Place("neo4j", scratch / "neo4j", server, options))
        yield made
    finally:
        os.environ.pop("NEO4J_PASSWORD", None)
        if status():
            stop()
