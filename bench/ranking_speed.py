"""Full ranking beside bare `torch.topk(U @ V.T)` over the same arrays, in turn.

    python -m bench.ranking_speed [--out FILE] [--repeats N] [--sizes complete-journey,large]

Ours masks what the users had, breaks ties by the product's row and gives lists; what metrics and AUC add is measured
beside it. Both sides take the same blocks of users, since the scores of all do not fit in memory.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from bench.measure import machine, write_report
from gnn.config import EvalConfig
from gnn.measure.auc import auc
from gnn.measure.lists import hits_of, masked_scores, ranked_lists
from gnn.measure.metrics import at_k
from gnn.measure.ranking import blocks
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Items
from gnn.protocol.tasks import NEW, Task
from shopgraph.cli.console import PIPE_WIDTH, table

SIZES = {"complete-journey": (2_238, 22_377, 284, 59), "large": (100_000, 20_000, 30, 5)}
"""Users, candidates, products that each user had, products that each is asked about."""
DIM, K = 64, 20
CELLS = EvalConfig().block


@dataclass
class Vectors(Fitted):
    """Score = product of a user's and a product's vector, float32, of shape (users, d) and (products, d)."""

    of_users: torch.Tensor
    of_items: torch.Tensor

    def scores(self, users: NDArray[np.int64], items: Items = None) -> NDArray[np.float32]:
        """Shape (len(users), products); `items` is every product here."""
        del items
        return (self.of_users[users[0] : users[-1] + 1] @ self.of_items.T).numpy()


def pairs(users: int, items: int, each: int, seed: int) -> Interactions:
    """Every user with `each` random products."""
    rng = np.random.default_rng(seed)
    step = items // each
    found = (np.arange(each) * step + rng.integers(0, step, (users, each))).ravel()
    ones, none = np.ones(len(found), np.float32), np.zeros(len(found), np.int64)
    return Interactions(np.arange(users + 1) * each, found, ones, ones, none, none, items)


def sides(users: int, items: int, had: int, asked: int) -> dict[str, Callable[[], Any]]:
    """What is measured, by name."""
    torch.manual_seed(0)
    model = Vectors(torch.randn(users, DIM), torch.randn(items, DIM))
    history, relevant = pairs(users, items, had, 1), pairs(users, items, asked, 2)
    task = Task(NEW, "test", history, np.arange(items), np.arange(users), relevant, np.zeros(0, np.int64))

    def bare() -> torch.Tensor:
        found = [torch.topk(model.of_users[at] @ model.of_items.T, K, dim=1)[1] for at in blocks(users, items, CELLS)]
        return torch.cat(found)

    def metrics() -> dict[str, NDArray[np.float64]]:
        lists = ranked_lists(task, model, K, CELLS)
        return at_k(hits_of(task, lists), np.diff(relevant.indptr), K)

    def areas() -> None:
        for at in blocks(users, items, CELLS):
            some = relevant.take(np.arange(at.start, at.stop))
            auc(masked_scores(task, model, at), some.users, some.items, overwrite=True)

    return {
        "torch.topk(U @ V.T)": bare,
        "ours: masks, ties, lists": lambda: ranked_lists(task, model, K, CELLS),
        "ours, with the metrics": metrics,
        "AUC alone": areas,
    }


def measure(repeats: int, size: str) -> dict[str, list[float]]:
    """Seconds of every side, each in its turn, after one round that does not count."""
    found = sides(*SIZES[size])
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(repeats + 1):
        for name, work in found.items():
            began = time.perf_counter()
            work()
            if turn:
                seconds[name].append(round(time.perf_counter() - began, 4))
    return seconds


def show(report: dict[str, Any]) -> None:
    """Print a table per size."""
    out = Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH)
    for size, seconds in report["seconds"].items():
        bare = seconds["torch.topk(U @ V.T)"]
        rows = [
            (name, f"{median(found):.3f}", f"{min(found):.3f}", f"{median(found) / median(bare):.2f}",
             f"{min(found) / min(bare):.2f}")
            for name, found in seconds.items()
        ]  # fmt: skip
        users, items, *_ = SIZES[size]
        heads = ("", "median s", "best s", "median / bare", "best / bare")
        out.print(table(f"\n{size}: {users:,} users x {items:,} products", heads, rows, right=heads[1:]))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench/results/ranking_speed.json"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", default=",".join(SIZES))
    args = parser.parse_args()
    seconds = {size: measure(args.repeats, size) for size in args.sizes.split(",")}
    report = {"machine": machine(), "threads": torch.get_num_threads(), "sizes": SIZES, "seconds": seconds}
    show(report)
    write_report(report, args.out)


if __name__ == "__main__":
    main()
