"""Lists that other tools or plain rules made: found in the cache, scored by the same evaluation, kept like cells.

A file is `peers/PROTOCOL/PEER-seedN.parquet` with user_id, rank, product_id and score; the JSON file beside it, if any,
says what its training took (`seconds.train`, `peak_mib`). Rules of a data set lie in its own folder `rules`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from bench.quality.cells import Cell, keep_users, load, with_suffix
from bench.quality.datasets import Prepared
from bench.quality.one_cell import measure
from bench.quality.protocols import Protocol
from gnn.protocol.tasks import NEW

_NAME = re.compile(r"(.+)-seed(\d+)\.parquet")


def peers(protocol: Protocol, data: Prepared, cache: Path, results: Path, code: str) -> Iterator[Path]:
    """The files of the peers' cells, without suffix: those of lists in the cache are scored unless they have been."""
    names = set()
    for path in sorted(
        [*(data.folder / "rules").glob("*.parquet"), *(cache / "peers" / protocol.name).glob("*.parquet")]
    ):
        found = _NAME.fullmatch(path.name)
        if found is None:
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        cell = Cell(protocol, found[1], int(found[2]), data, f"{code} {digest}")
        stem = cell.stem(results / "cells" / "peers")
        if load(stem) is None:
            measure(cell, stem, lambda one, place, path=path: score(one, place, path))  # type: ignore[misc]
        names.add((cell.model, cell.seed))
        yield stem
    folder = results / "cells" / "peers" / protocol.name
    kept = [(path, json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
    for path, record in sorted(kept, key=lambda one: one[1].get("at", one[1]["date"]), reverse=True):
        mine = record["inputs"]["snapshot"] == data.snapshot.fingerprint
        if mine and (record["model"], record["seed"]) not in names:
            names.add((record["model"], record["seed"]))
            yield path.with_name(path.name.removesuffix(".json"))


def score(cell: Cell, stem: Path, lists: Path) -> dict[str, Any]:
    """The figures of a file of lists, as `cells.run_cell` gives those of a model.

    Nothing is said of the next purchase: a peer's lists leave out what the user had.
    """
    from gnn.evaluation.recs_file import evaluate_recs

    stem.parent.mkdir(parents=True, exist_ok=True)
    found = evaluate_recs(
        cell.config, cell.data.snapshot, pd.read_parquet(lists), per_user=with_suffix(stem, ".parquet")
    )
    keep_users(cell, stem, "recs")
    sizes = ("users", "cold_users", "candidates", "relevant")
    tasks = {
        name: {key: task[key] for key in sizes} | (dict(task["recommenders"]["recs"]) if name == NEW else {})
        for name, task in found["tasks"].items()
    }
    return {"tasks": tasks, "validation": {}, "rows": found["rows"], "training": _training(lists)}


def _training(lists: Path) -> dict[str, Any]:
    """What is known of how the lists came to be: seconds, most resident MiB, what ended it, settings and versions."""
    path = lists.with_suffix(".json")
    said = json.loads(path.read_text()) if path.exists() else {}
    kept = ("peak_mib", "ended", "settings", "versions")
    return {"seconds": said.get("seconds", {}).get("train")} | {key: said.get(key) for key in kept}
