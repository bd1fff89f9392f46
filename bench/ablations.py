"""What each part of the graph network is worth: the network with one part switched off, on validation.

    python -m bench.ablations PROTOCOL [PROTOCOL …] [--variant NAME …] [--seed N] [--out FILE]

Nothing of test is read. Every variant trains from the same seed for as long as validation improves; a difference below
the spread over seeds says nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console

from bench.measure import machine, write_report
from bench.quality.cells import Cell
from bench.quality.datasets import DATA, Prepared, prepare
from bench.quality.protocols import PROTOCOLS, Protocol
from gnn.config import GnnConfig, GraphConfig
from gnn.model.catalogue import NETWORK
from gnn.model.parts import fit_parts, open_workshop
from gnn.network.device import cpu_threads
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import Views
from gnn.network.objective import Batch
from gnn.network.reading import how_to_read
from gnn.network.signals import Signals
from gnn.protocol.events import read_side
from gnn.protocol.recommender import Given
from gnn.tuning.spaces import applied
from ingest.progress import SilentProgress
from kg.snapshot import Snapshot
from shopgraph.cli.console import PIPE_WIDTH, table


@dataclass(frozen=True)
class Variant:
    """The network with something changed.

    Attributes:
        settings: dotted keys.
        reading: the variant makes sense where users are read like this; empty: always.
        shuffled: products trade their brands, categories and triples at random.
        leaking: what a step predicts stays among its messages.
        beside: the variant makes sense where users do more than what is predicted.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    reading: str = ""
    shuffled: bool = False
    leaking: bool = False
    beside: bool = False


_GRAPHLESS = {"graph.use_brands": False, "graph.use_categories": False, "graph.use_related": False}
VARIANTS: dict[str, Variant] = {
    "whole": Variant(),
    "without other behaviours": Variant({"graph.side_events": []}, beside=True),
    "without repeat term": Variant({"model.repeats": False}, "set", beside=True),
    "without brands, categories and triples": Variant(_GRAPHLESS),
    "with a shuffled graph": Variant(shuffled=True),
    "without text": Variant({"graph.use_text": False}),
    "with other signals": Variant({"model.signals.use": True}),
    "users as sets": Variant({"model.user": "set"}, "sequence"),
    "without propagation": Variant({"model.sequence.layers": 0}, "sequence"),
    "without id dropout": Variant({"model.sequence.id_dropout": 0.0}, "sequence"),
    "without users' vectors": Variant({"model.user_vectors": False}, "set"),
    "one propagation": Variant({"model.layers": 1}, "set"),
    "without convolution": Variant({"model.sequence.convolution": 0}, "sequence"),
    "without the mean of the weights": Variant({"train.averaging": 0.0}),
    "no product stands as new": Variant({"train.product_dropout": 0.0}, "set"),
    "without dropout": Variant({f"train.{n}dropout": 0.0 for n in ("", "user_", "product_", "edge_")}, "set"),
    "with leaks left in": Variant(reading="set", leaking=True),
    "users as sets, with leaks left in": Variant({"model.user": "set"}, "sequence", leaking=True),
}


def shuffled(snapshot: Snapshot, seed: int = 0) -> Snapshot:
    """The graph in which products have traded their places in every relation but the events of users."""
    place = np.random.default_rng(seed).permutation(len(snapshot.nodes["Product"]))
    edges = dict(snapshot.edges)
    for (source, name, target), edge in snapshot.edges.items():
        if source == "User" or name == "VARIANT_OF":
            continue
        src = place[np.asarray(edge.src)] if source == "Product" else edge.src
        dst = place[np.asarray(edge.dst)] if target == "Product" else edge.dst
        edges[source, name, target] = replace(edge, src=src, dst=dst)
    return replace(snapshot, edges=edges)


def leaking(trainer: NetworkTrainer, batch: Batch) -> Views:
    """The forward pass of a step that keeps the pairs that it predicts in the message graph."""
    return _FORWARD(trainer, replace(batch, hidden=batch.hidden[:0]))


_FORWARD = NetworkTrainer.forward


def measured(protocol: Protocol, data: Prepared, variant: Variant, seed: int) -> dict[str, Any] | None:
    """Validation NDCG per task, epochs and seconds; None where the variant makes no sense on the data."""
    config = applied(Cell(protocol, NETWORK, seed, data, "", {}).config, variant.settings)
    if variant.leaking:
        with patch.object(NetworkTrainer, "forward", leaking):
            return _fit(data, config, data.snapshot, variant)
    return _fit(data, config, shuffled(data.snapshot) if variant.shuffled else data.snapshot, variant)


def _fit(data: Prepared, config: GnnConfig, snapshot: Snapshot, variant: Variant) -> dict[str, Any] | None:
    with cpu_threads(config.train.threads):
        shop, split = open_workshop(Given(snapshot, data.vectors), config, SilentProgress())
        history = split.history("valid")
        if variant.beside and not _beside(snapshot, config):
            return None
        plain = replace(config, model=replace(config.model, user="auto"))
        if variant.reading not in ("", how_to_read(history, plain)):
            return None
        if not config.graph.use_text and data.vectors is None:
            return None
        chosen = config.model.signals
        if chosen.use and Signals.of(snapshot, history, chosen, config.graph.target_events) is None:
            return None
        began = time.perf_counter()
        part = fit_parts(shop, [NETWORK], history, [NETWORK]).fitted[NETWORK]
        seconds = time.perf_counter() - began
        ndcg = {task.name: shop.quality(part, task) for task in shop.tasks}
    return {"ndcg": ndcg, "epochs": part.facts["epochs_run"], "seconds": round(seconds, 1)}


def _beside(snapshot: Snapshot, config: GnnConfig) -> bool:
    """Whether users do more than what is predicted, whatever the variant leaves of it."""
    return bool(read_side(snapshot, config.graph.target_events, GraphConfig().side_events))


def show(name: str, found: Mapping[str, dict[str, Any]]) -> None:
    """A line per variant."""
    tasks = list(next(iter(found.values()))["ndcg"])
    rows = [
        (variant, *(f"{run['ndcg'][task]:.4f}" for task in tasks), run["epochs"], f"{run['seconds']:.0f}")
        for variant, run in found.items()
    ]
    columns = ("variant", *(f"validation NDCG, {task}" for task in tasks), "epochs", "seconds")
    Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH).print(table(name, columns, rows, right=columns[1:]))


def main() -> None:
    """Train the variants and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("protocols", nargs="+", choices=sorted(PROTOCOLS))
    parser.add_argument("--variant", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench/results/ablations.json"))
    asked = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "seed": asked.seed, "protocols": {}}
    for name in asked.protocols:
        protocol, found = PROTOCOLS[name], {}
        data = prepare(DATA[protocol.data], SilentProgress())
        for variant in asked.variant:
            run = measured(protocol, data, VARIANTS[variant], asked.seed)
            if run is not None:
                found[variant] = run
                print(f"{name}, {variant}: {run}", flush=True)
        report["protocols"][name] = found
        if found:
            show(name, found)
        else:
            print(f"{name}: none of these variants makes sense on its data")
        write_report(report, asked.out)


if __name__ == "__main__":
    main()
