"""Search measured: known items, types, and latency; python -m bench.search [--out FILE] [--tune]."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.quality.datasets import DATA, prepare, standing
from bench.search.by_type import type_queries, without_types
from bench.search.known_item import Queries, known_items
from bench.search.latency import WARM_UP, latency
from bench.search.measure import GAP, compare, measure
from bench.search.personal import personal
from bench.search.systems import Shop, by_search, open_shop, systems
from encoders.config import EncoderConfig
from encoders.search.config import SearchConfig
from encoders.text_encoder import TextEncoder
from encoders.vectors import encode_products, load_vectors
from kg.snapshot import Snapshot

OURS = "search: with names"
PARTS = ("quality", "personal", "latency")
PERSONAL = "types that households bought, Complete Journey"
QUERIES, TIMED, SEED = 3000, 400, 7
GRID: dict[str, Sequence[float]] = {
    "meaning_least": (0.0, 0.1, 0.2),
    "meaning_most": (0.6, 0.8, 1.0),
    "names": (0.0, 0.02, 0.05, 0.1),
}
TUNED_ON = 700
"""Most validation queries of a task that settings are tried on."""


@dataclass(frozen=True)
class Task:
    """Queries over a shop."""

    name: str
    shop: Shop
    queries: Queries


def main() -> None:
    """Measure, print the tables, and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--tune", action="store_true", help="try the settings of fusion on the validation half too")
    parser.add_argument("--vectors", type=Path, help="folder that keeps the vectors of the texts without type names")
    parser.add_argument("--personal", type=Path, help="workspace of Complete Journey with a trained model")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part alone; may be given again")
    options = parser.parse_args()
    parts, encoder = options.only or PARTS, TextEncoder(EncoderConfig())
    report: dict[str, Any] = {"settings": asdict(SearchConfig()), "model": encoder.files.name}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        beauty, journey = (standing(DATA[name]) or prepare(DATA[name]) for name in ("beauty", "complete-journey"))
        if "quality" in parts:
            tasks = [
                _known_items(beauty.folder, beauty.snapshot, encoder, folder),
                _types(journey.snapshot, encoder, folder, options.vectors or folder / "vectors"),
            ]
            if options.tune:
                report["validation"] = tune(tasks)
            report["tasks"] = {task.name: evaluate(task) for task in tasks}
        if "personal" in parts and options.personal:
            snapshot = Snapshot.load(options.personal / "snapshot")
            report.setdefault("tasks", {})[PERSONAL] = personal(options.personal, snapshot, encoder, folder)
        if "latency" in parts:
            report["latency"] = _latency(journey.folder, journey.snapshot, encoder, folder)
    show(report)
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")


def _known_items(prepared: Path, snapshot: Snapshot, encoder: TextEncoder, scratch: Path) -> Task:
    vectors = load_vectors(prepared / "workspace" / "embeddings", snapshot)
    shop = open_shop(snapshot, vectors, encoder, scratch / "beauty")
    return Task("known items, amazon-beauty", shop, known_items(snapshot, QUERIES, SEED))


def _types(snapshot: Snapshot, encoder: TextEncoder, scratch: Path, kept: Path) -> Task:
    bare, types = without_types(snapshot)
    shop = open_shop(bare, encode_products(bare, encoder.config, kept), encoder, scratch / "types")
    queries = type_queries(types, shop.catalogue.recommendable, shop.catalogue.groups, SEED)
    return Task("types, Complete Journey", shop, queries)


def _latency(prepared: Path, snapshot: Snapshot, encoder: TextEncoder, scratch: Path) -> dict[str, Any]:
    vectors = load_vectors(prepared / "workspace" / "embeddings", snapshot)
    shop = open_shop(snapshot, vectors, encoder, scratch / "journey")
    return latency(shop, encoder, known_items(snapshot, TIMED + WARM_UP, SEED).texts)


def evaluate(task: Task) -> dict[str, Any]:
    """Every system on the half of the queries that nothing was chosen on."""
    asked = ~task.queries.validation
    kinds = [kind for kind, yes in zip(task.queries.kinds, asked.tolist(), strict=True) if yes]
    groups = task.shop.catalogue.groups
    values = {name: measure(rank, task.queries, groups, asked) for name, rank in systems(task.shop).items()}
    return {"queries": int(asked.sum()), "systems": compare(values, OURS, kinds)}


def tune(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """One setting after another: the value with the best NDCG relative to the default's, averaged over the tasks."""
    best, tried = SearchConfig(), []
    base = [_validation(task, best) for task in tasks]
    for name, values in GRID.items():
        scored = []
        for value in values:
            config = replace(best, **{name: value})
            ndcg = base if config == SearchConfig() else [_validation(task, config) for task in tasks]
            scored.append((float(np.mean([now / then for now, then in zip(ndcg, base, strict=True)])), value))
            tried.append({"setting": name, "value": value, "ndcg": ndcg, "relative": scored[-1][0]})
        best = replace(best, **{name: max(scored)[1]})
    return tried


def _validation(task: Task, config: SearchConfig) -> float:
    asked = task.queries.validation.copy()
    asked[np.flatnonzero(asked)[TUNED_ON:]] = False
    values = measure(by_search(task.shop, config), task.queries, task.shop.catalogue.groups, asked)
    return float(values["ndcg"].mean())


def show(report: dict[str, Any]) -> None:
    """Print the figures as tables."""
    console = Console(width=150)
    for row in report.get("validation", []):
        ndcg = ", ".join(f"{one:.4f}" for one in row["ndcg"])
        console.print(f"validation: {row['setting']} {row['value']}: NDCG@10 {ndcg}; relative {row['relative']:.4f}")
    for name, task in report.get("tasks", {}).items():
        table = Table(title=f"{name}: {task['queries']:,} queries", title_justify="left", box=None)
        for column in ("system", "recall@10", "NDCG@10", f"{GAP}, recall@10", f"{GAP}, NDCG@10"):
            table.add_column(column, justify="left" if column == "system" else "right")
        for system, entry in task["systems"].items():
            means = [_interval(entry[f"{metric}@10"], "") for metric in ("recall", "ndcg")]
            gaps = [_interval(entry[f"{GAP}, {metric}@10"], "+") for metric in ("recall", "ndcg")]
            table.add_row(system, *means, *gaps)
        console.print(table)
        for system, entry in task["systems"].items():
            parts = "; ".join(f"{kind} {found['ndcg']:.4f}" for kind, found in entry["by kind"].items())
            console.print(f"  NDCG@10 by kind, {system}: {parts}")
    timed = report.get("latency")
    if timed:
        texts = f"{timed['products']:,} products, {timed['texts']:,} texts"
        console.print(f"latency: {texts}, {timed['cores']} cores, load {timed['load']:.1f}")
        for part in ("whole", "encoding"):
            console.print(f"  {part}: " + ", ".join(f"{name} {value:.1f} ms" for name, value in timed[part].items()))


def _interval(value: dict[str, float] | None, sign: str) -> str:
    if value is None:
        return ""
    return f"{value['mean']:{sign}.4f} [{value['low']:{sign}.4f}, {value['high']:{sign}.4f}]"


if __name__ == "__main__":
    main()
