"""Which graphs in stores are the graph of the clean tables: a file beside these, which goes when they do."""

from __future__ import annotations

import json
from pathlib import Path

from shopgraph.workspace import write_whole

FILE = "graphs.json"


def known_graphs(tables: Path) -> list[str]:
    """Fingerprints of the graphs that were made of the tables in this folder."""
    try:
        found: list[str] = json.loads((tables / FILE).read_text())
    except (OSError, ValueError):
        return []
    return found


def remember_graph(tables: Path, fingerprint: str) -> None:
    """Note that a store holds the graph of the tables in this folder under this name."""
    known = known_graphs(tables)
    if fingerprint not in known:
        write_whole(tables / FILE, json.dumps([*known, fingerprint]))
