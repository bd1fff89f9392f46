"""The same lists evaluated here and by RecTools in one run: seconds, and equal values where definitions agree.

    python -m bench.evaluation_speed [--out FILE] [--repeats N]

Both begin with a table of (user, product, rank) and give the mean of every metric at 10 and 20, coverage and novelty;
ours gives every user's value and a bootstrap interval on top. RecTools' environment is made from
`bench/peers/rectools.txt` at the first run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from bench.measure import machine, write_report
from bench.peers.environments import HERE, ready
from bench.ranking_speed import SIZES, pairs
from gnn.config import EvalConfig
from gnn.measure.beyond_accuracy import coverage, novelty
from gnn.measure.bootstrap import Bootstrap
from gnn.measure.lists import hits_of
from gnn.measure.metrics import RANKED, at_k
from gnn.protocol.tasks import NEXT, Task
from shopgraph.cli.console import PIPE_WIDTH, table

CUTOFFS = (10, 20)
AGREE = ("recall", "precision", "f1", "hit_rate", "ndcg", "mrr")
"""RecTools' MAP divides by all relevant products, ours by those that fit into the list: not compared."""


def make(size: str) -> tuple[Task, pd.DataFrame]:
    """Random lists in which about one place in five hits, as a task and a table."""
    users, items, had, asked = SIZES[size]
    items -= items % had  # then every product has a buyer: of the others the two say different novelties
    history, relevant = pairs(users, items, had, 1), pairs(users, items, asked, 2)
    rng = np.random.default_rng(3)
    lists = pairs(users, items, max(CUTOFFS), 4).items.reshape(users, -1)
    right = relevant.items.reshape(users, -1)
    for place in range(0, max(CUTOFFS), 5):
        hit = right[np.arange(users), rng.integers(0, asked, users)]
        free = ~(lists == hit[:, None]).any(1)
        lists[free, place] = hit[free]
    lists = rng.permuted(lists, axis=1)
    task = Task(NEXT, "test", history, np.arange(items), np.arange(users), relevant, np.zeros(0, np.int64))
    frame = pd.DataFrame({"user_id": np.repeat(np.arange(users), lists.shape[1]), "item_id": lists.ravel()})
    return task, frame.assign(rank=np.tile(np.arange(1, lists.shape[1] + 1), users))


def ours(task: Task, reco: pd.DataFrame, *, intervals: bool) -> dict[str, float]:
    """Means of every metric, from the table."""
    lists = np.full((len(task.users), max(CUTOFFS)), -1)
    lists[reco["user_id"].to_numpy(), reco["rank"].to_numpy() - 1] = reco["item_id"].to_numpy()
    hits, relevant = hits_of(task, lists), np.diff(task.relevant.indptr)
    columns: dict[str, NDArray[np.float64]] = {}
    for k in CUTOFFS:
        columns |= {f"{name}@{k}": values for name, values in at_k(hits, relevant, k).items()}
    share = np.maximum(task.history.buyers, 0.5) / len(task.users)
    columns["novelty"] = novelty(lists, share)
    if intervals:
        Bootstrap(len(task.users), EvalConfig()).intervals(np.stack(list(columns.values()), axis=1))
    found = {name: float(values.mean()) for name, values in columns.items()}
    return found | {"coverage": coverage(np.bincount(lists[lists >= 0], minlength=len(task.candidates)))}


def theirs(task: Task, reco: pd.DataFrame, repeats: int) -> dict[str, Any]:
    """RecTools' seconds and values."""
    arrays: dict[str, Any] = {f"reco_{name}": reco[name].to_numpy() for name in ("user_id", "item_id", "rank")}
    for name, some in (("relevant", task.relevant), ("history", task.history)):
        arrays |= {f"{name}_user_id": some.users, f"{name}_item_id": some.items}
    with tempfile.TemporaryDirectory(prefix="shopgraph-bench-") as folder:
        file = Path(folder) / "lists.npz"
        np.savez(file, cutoffs=np.asarray(CUTOFFS), catalog=task.candidates, **arrays)
        words = [str(ready("rectools")), str(HERE / "drivers" / "run_rectools.py"), str(file), str(repeats)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"RecTools failed: {done.stderr[-800:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def timed(task: Task, reco: pd.DataFrame, repeats: int, *, intervals: bool) -> tuple[list[float], dict[str, float]]:
    """Our seconds, the first round left out, and values."""
    seconds, values = [], {}
    for _ in range(repeats + 1):
        began = time.perf_counter()
        values = ours(task, reco, intervals=intervals)
        seconds.append(time.perf_counter() - began)
    return seconds[1:], values


def compare(size: str, repeats: int) -> dict[str, Any]:
    """Measure both at one size.

    Raises:
        AssertionError: a value differs that must not.
    """
    task, reco = make(size)
    plain, values = timed(task, reco, repeats, intervals=False)
    peer = theirs(task, reco, repeats)
    sampled, _ = timed(task, reco, repeats, intervals=True)
    agree = [f"{name}@{k}" for name in AGREE for k in CUTOFFS] + ["coverage", "novelty"]
    for name in agree:
        if not np.isclose(values[name], peer["values"][name], rtol=1e-9):
            raise AssertionError(f"{name}: {values[name]} here, {peer['values'][name]} in RecTools")
    differ = [f"{name}@{k}" for name in RANKED if name not in AGREE for k in CUTOFFS]
    return {
        "seconds": {"ours": plain, "ours, with 1,000 bootstrap rounds": sampled, "RecTools": peer["seconds"]},
        "equal": {name: values[name] for name in agree},
        "defined otherwise": {name: [values[name], peer["values"][name]] for name in differ},
    }


def show(report: dict[str, Any]) -> None:
    """Print a table per size."""
    out = Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH)
    for size, found in report["found"].items():
        peer = median(found["seconds"]["RecTools"])
        rows = [(name, f"{median(s):.4f}", f"{peer / median(s):.1f}") for name, s in found["seconds"].items()]
        title = f"\n{size}: {SIZES[size][0]:,} users, {len(found['equal'])} metrics equal"
        out.print(table(title, ("", "median s", "times as fast as RecTools"), rows, right=("median s",)))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench/results/evaluation_speed.json"))
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    report = {"machine": machine(), "found": {size: compare(size, args.repeats) for size in SIZES}}
    show(report)
    write_report(report, args.out)


if __name__ == "__main__":
    main()
