"""What it costs not to train again: an older network that is told what happened since, a warm start, a training anew.

    python -m bench.staleness [PROTOCOL] [--days 30 7] [--seed 0] [--out FILE]

The graph network is trained with a cut-off so many days before the protocol's. Then the validation period of the
protocol is asked of: that network with what it knew of its users then; the same weights with everything until now
(what `recommend --events` and an update of the graph give without training); `train --warm` from it; a training anew.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bench.measure import machine, write_report
from bench.quality.cells import Cell
from bench.quality.datasets import DATA, Prepared, prepare
from bench.quality.protocols import PROTOCOLS, Protocol
from gnn.config import GnnConfig
from gnn.measure.bootstrap import Bootstrap
from gnn.measure.lists import ndcg_per_user
from gnn.model.align import make_split
from gnn.model.bundle import Bundle
from gnn.model.catalogue import NETWORK
from gnn.model.parts import Workshop, fit_parts, open_workshop
from gnn.model.training import train
from gnn.model.warm import starts
from gnn.network.device import cpu_threads
from gnn.protocol.events import DAY
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Given
from gnn.protocol.splits import Split, instant
from ingest.progress import SilentProgress
from shopgraph.cli.console import PIPE_WIDTH, table

ANEW = "trained anew"


def earlier(config: GnnConfig, split: Split, days: int) -> GnnConfig:
    """The settings with a validation period of `days` that ends where that of `split` begins."""
    until = split.cutoffs["valid_from"]
    begin = datetime.fromtimestamp((instant(until, "split") - days * DAY) / 1e6, UTC).isoformat()
    return replace(config, split=replace(config.split, method="time", valid_from=begin, test_from=until))


def compared(protocol: Protocol, data: Prepared, days: int, seed: int) -> dict[str, dict[str, Any]]:
    """Per way: seconds, epochs, changed users, NDCG per user and task."""
    config = Cell(protocol, NETWORK, seed, data, "", {}).config
    given = Given(data.snapshot, data.vectors)
    with cpu_threads(config.train.threads), tempfile.TemporaryDirectory() as scratch:
        shop, split = open_workshop(given, config, SilentProgress())
        before = earlier(shop.config, split, days)
        place = Path(scratch) / "eval"
        train(data.snapshot, data.vectors, before, place, SilentProgress(), model=NETWORK)
        bundle, history = Bundle.load(place), split.history("valid")
        then = make_split(data.snapshot, before)
        warm = replace(shop, starts=starts(place, data.snapshot, shop.config, split))
        ways: dict[str, Callable[[], Fitted]] = {
            "older network, knows nothing since": lambda: _at(bundle, given, then.history("valid")),
            "older network, told what happened since": lambda: _at(bundle, given, history),
            "warm start": lambda: fit_parts(warm, [NETWORK], history, [NETWORK]).fitted[NETWORK],
            ANEW: lambda: fit_parts(shop, [NETWORK], history, [NETWORK]).fitted[NETWORK],
        }
        return {name: _measured(shop, make) for name, make in ways.items()}


def _at(bundle: Bundle, given: Given, history: Interactions) -> Fitted:
    """The network of `bundle` over another history: one propagation, nothing is learned."""
    part = bundle.parts[NETWORK].moved(given, history, bundle.ids)
    if part is None:
        raise TypeError(NETWORK)
    return part


def _measured(shop: Workshop, make: Callable[[], Fitted]) -> dict[str, Any]:
    began = time.perf_counter()
    part = make()
    seconds = round(time.perf_counter() - began, 2)
    k, cells = max(shop.config.eval.k), shop.config.eval.block
    ndcg = {task.name: ndcg_per_user(task, part, k, cells) for task in shop.tasks}
    facts = {name: part.facts.get(name) for name in ("epochs_run", "changed_users")}
    return {"seconds": seconds, **facts, "ndcg": ndcg}


def summed_up(ways: dict[str, dict[str, Any]], config: GnnConfig) -> dict[str, dict[str, Any]]:
    """JSON-able: per way and task the mean, and the paired difference to the training anew with its interval."""
    found = {
        name: {key: value for key, value in way.items() if key != "ndcg"} | {"ndcg": {}} for name, way in ways.items()
    }
    for task, anew in ways[ANEW]["ndcg"].items():
        columns: dict[str, NDArray[np.float64]] = {}
        for name, way in ways.items():
            columns[name] = way["ndcg"][task]
            columns[f"{name}, difference"] = way["ndcg"][task] - anew
        sample = Bootstrap(len(anew), config.eval).sample(columns)
        for name in ways:
            mean, gap = sample.interval(name), sample.interval(f"{name}, difference")
            found[name]["ndcg"][task] = {"mean": mean.to_dict(), "minus anew": gap.to_dict()}
    return found


def show(title: str, found: dict[str, dict[str, Any]]) -> None:
    """A line per way."""
    tasks = list(found[ANEW]["ndcg"])
    rows = []
    for name, way in found.items():
        told = [str(way[key]) if way[key] is not None else "" for key in ("changed_users", "epochs_run")]
        values = [(way["ndcg"][task]["mean"], way["ndcg"][task]["minus anew"]) for task in tasks]
        said = (f"{m['mean']:.4f}  {d['mean']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]" for m, d in values)
        rows.append((name, f"{way['seconds']:.1f}", *told, *said))
    columns = ("way", "seconds", "users changed", "epochs", *(f"NDCG and minus anew, {task}" for task in tasks))
    Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH).print(table(title, columns, rows, right=columns[1:4]))


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("protocol", nargs="?", default="complete-journey", choices=sorted(PROTOCOLS))
    parser.add_argument("--days", nargs="+", type=int, default=[30, 7])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench/results/staleness.json"))
    asked = parser.parse_args()
    protocol = PROTOCOLS[asked.protocol]
    data = prepare(DATA[protocol.data], SilentProgress())
    report: dict[str, Any] = {"machine": machine(), "protocol": asked.protocol, "seed": asked.seed, "days": {}}
    for days in asked.days:
        ways = compared(protocol, data, days, asked.seed)
        found = summed_up(ways, Cell(protocol, NETWORK, asked.seed, data, "", {}).config)
        report["days"][days] = found
        show(f"{asked.protocol}, {days} days later", found)
        write_report(report, asked.out)


if __name__ == "__main__":
    main()
