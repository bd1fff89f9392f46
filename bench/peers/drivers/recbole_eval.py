"""Times RecBole's evaluation on given scores or lists, and says what values it gets; runs in RecBole's environment.

    python recbole_eval.py --given FILE.npz --out FILE.json --work FOLDER --k 10 20 [--batch USERS] [--repeats N]

FILE.npz holds `rows` and `columns` of the relevant pairs, int64, and either `scores`, float32 of shape (users, items)
with minus infinity where an item is out of question, or `lists`, int64 of shape (users, largest k).
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.evaluator import Collector, Evaluator
from recbole.evaluator.collector import DataStruct

METRICS = ["Recall", "NDCG", "MRR", "Hit", "Precision", "MAP"]


def by_scores(config, given, batch):
    """RecBole's table of hits from scores: what its trainer does with every batch of users."""
    collector = Collector(config)
    scores = torch.from_numpy(given["scores"])
    order = np.argsort(given["rows"], kind="stable")
    rows, columns = given["rows"][order], given["columns"][order]
    for start in range(0, len(scores), batch):
        here = slice(*np.searchsorted(rows, [start, start + batch]))
        where = torch.from_numpy(rows[here] - start), torch.from_numpy(columns[here])
        collector.eval_batch_collect(scores[start : start + batch], None, *where)
    return collector.get_data_struct()


def by_lists(given):
    """The same table from lists; items are counted from 0, -1 is no item."""
    lists = given["lists"]
    users, width = len(lists), max(lists.max(), given["columns"].max()) + 1
    relevant = np.unique(given["rows"] * width + given["columns"])
    hits = np.isin(np.arange(users)[:, None] * width + lists, relevant) & (lists >= 0)
    count = np.bincount(relevant // width, minlength=users)
    struct = DataStruct()
    struct.set("rec.topk", torch.from_numpy(np.column_stack([hits, count]).astype(np.int32)))
    return struct


def main():
    """The command."""
    parser = argparse.ArgumentParser()
    for name in ("--given", "--out", "--work"):
        parser.add_argument(name, required=True, type=Path)
    parser.add_argument("--k", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    path, out = args.given.absolute(), args.out.absolute()
    os.chdir(args.work)
    with np.load(path) as file:
        given = dict(file)
    asked = {
        "topk": args.k,
        "metrics": METRICS,
        "use_gpu": False,
        "metric_decimal_place": 12,
        "state": "WARNING",
        "data_path": str(args.work),
    }
    config = Config(model="BPR", dataset="none", config_dict=asked)
    ranking, measuring = [], []
    for _ in range(args.repeats):
        began = time.perf_counter()
        struct = by_scores(config, given, args.batch) if "scores" in given else by_lists(given)
        ranked = time.perf_counter()
        values = Evaluator(config).evaluate(struct)
        ranking.append(ranked - began)
        measuring.append(time.perf_counter() - ranked)
    report = {"ranking_seconds": ranking, "metric_seconds": measuring, "threads": torch.get_num_threads()}
    out.write_text(json.dumps(report | {"values": {k: float(v) for k, v in values.items()}}, indent=1))


if __name__ == "__main__":
    main()
