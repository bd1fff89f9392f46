"""Peers whose lists hold a drawn part of the users, beside the cells of the scoreboard over those users alone.

    python -m bench.partial_lists PROTOCOL [--model NAME …] [--cache FOLDER] [--results FOLDER] [--out FILE]

`python -m bench.peers NAME … --set test_users=2000` makes such lists. All metrics are those of the scoreboard; the
difference is a model's first metric minus the peer's, paired by user, with its 95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from bench.measure import machine, write_report
from bench.quality.assemble import Kept, kept_cells
from bench.quality.cells import TASKS, Cell
from bench.quality.code import code_digest
from bench.quality.datasets import CACHE, DATA, RESULTS, Prepared, prepare
from bench.quality.page import interval, title_of
from bench.quality.protocols import PROTOCOLS, Protocol
from gnn.config import EvalConfig
from gnn.evaluation.recs_file import evaluate_recs
from gnn.measure.bootstrap import Bootstrap, Interval
from ingest.progress import SilentProgress
from shopgraph.cli.console import PIPE_WIDTH, table


def of_lists(protocol: Protocol, data: Prepared, lists: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The first task's name, and the protocol's metrics of the users who have a list, indexed by user_id."""
    config = Cell(protocol, "peer", 0, data, "").config
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "users.parquet"
        found = evaluate_recs(config, data.snapshot, lists, per_user=path)
        users = pd.read_parquet(path)
    task = next(iter(found["tasks"]))
    mine = users[(users["task"] == task) & users["user_id"].isin(set(lists["user_id"]))]
    return task, mine.set_index("user_id")[list(protocol.metrics)].astype(np.float64)


def compared(peer: pd.DataFrame, cells: Sequence[Kept], task: str) -> dict[str, tuple[list[Interval], Interval]]:
    """Per model, the peer (an empty name) first: its metrics over the peer's users, and the first's difference."""
    boot = Bootstrap(len(peer), EvalConfig())
    tables = {"": peer} | {cell.model: cell.frame(task, TASKS).loc[peer.index, peer.columns] for cell in cells}
    first, out = peer.iloc[:, 0].to_numpy(), {}
    for name, frame in tables.items():
        values = frame.to_numpy(np.float64)
        *metrics, minus = boot.intervals(np.column_stack([values, values[:, 0] - first]))
        out[name] = (metrics, minus)
    return out


def main() -> None:
    """Score the lists and print a table per peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("protocol", choices=sorted(PROTOCOLS))
    parser.add_argument("--model", nargs="+", default=["item-knn", "ease", "paths", "network", "fused"])
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=Path("bench/results/partial_lists.json"))
    asked = parser.parse_args()
    protocol = PROTOCOLS[asked.protocol]
    lists = sorted((asked.cache / "peers" / protocol.name / "partial").glob("*.parquet"))
    if not lists:
        parser.error(f"there are no such lists of {protocol.name}: python -m bench.peers NAME --set test_users=2000")
    data = prepare(DATA[protocol.data], SilentProgress(), asked.cache)
    cells = kept_cells(protocol, data, asked.model, 1, asked.results, code_digest)
    report: dict[str, Any] = {"machine": machine(), "protocol": protocol.name, "peers": {}}
    screen = Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH)
    for path in lists:
        task, peer = of_lists(protocol, data, pd.read_parquet(path))
        found = {name or path.stem: said for name, said in compared(peer, cells, task).items()}
        heads = ["model", *map(title_of, protocol.metrics), f"{title_of(protocol.metrics[0])} minus the peer's"]
        lines = [(name, *map(interval, said[0]), interval(said[1], signed=True)) for name, said in found.items()]
        screen.print(table(f"{protocol.name}, {len(peer):,} users of {path.stem}", heads, lines, right=heads[1:]))
        report["peers"][path.stem] = {
            name: dict(zip(heads[1:], (i.to_dict() for i in (*metrics, minus)), strict=True))
            for name, (metrics, minus) in found.items()
        }
    write_report(report, asked.out)


if __name__ == "__main__":
    main()
