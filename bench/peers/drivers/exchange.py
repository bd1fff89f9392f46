"""What every driver reads and writes; runs in the peer's own environment and knows nothing of this project."""

import argparse
import csv
import json
import os
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

BLOCK = 512


@dataclass(frozen=True)
class Data:
    """A split in whole numbers.

    Attributes:
        users: ids; a user's number is the place here.
        products: ids, likewise.
        train: columns user, product, position, in whole numbers.
        valid: likewise.
        test_users: numbers of the users whose lists are wanted.
        candidates: whether a list may hold a product, shape (n_products,).
        kg: columns head, relation, tail as text; products by their ids.
    """

    users: list
    products: list
    train: pd.DataFrame
    valid: pd.DataFrame
    test_users: np.ndarray
    candidates: np.ndarray
    kg: pd.DataFrame

    def histories(self):
        """Products per user: those of train, oldest first, then those of valid; a list of arrays."""
        parts = [frame.sort_values(["user", "position"], kind="stable") for frame in (self.train, self.valid)]
        both = pd.concat(parts).sort_values("user", kind="stable")
        cuts = np.searchsorted(both["user"].to_numpy(), np.arange(1, len(self.users)))
        return np.split(both["product"].to_numpy(), cuts)


def read(folder):
    """The `Data` in `folder`."""
    folder = Path(folder)
    tables = {n: _table(folder / f"{n}.csv") for n in ("train", "valid", "test_users", "products", "kg")}
    users = sorted(set(tables["train"]["user_id"]) | set(tables["valid"]["user_id"]))
    products = tables["products"]["product_id"].tolist()
    user_of, product_of = ({name: row for row, name in enumerate(names)} for names in (users, products))
    train, valid = (
        pd.DataFrame(
            {
                "user": tables[name]["user_id"].map(user_of).astype(int),
                "product": tables[name]["product_id"].map(product_of).astype(int),
                "position": tables[name]["position"].astype(int),
            }
        )
        for name in ("train", "valid")
    )
    return Data(
        users,
        products,
        train,
        valid,
        tables["test_users"]["user_id"].map(user_of).to_numpy(int),
        tables["products"]["candidate"].to_numpy(int) == 1,
        tables["kg"],
    )


def _table(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def write_lists(path, data, scores, k):
    """Write the best candidates that a user does not know, for every test user.

    Equal scores stand in the order of the products' numbers. A score of minus infinity or nan is no recommendation.

    Args:
        path: CSV file: user_id, rank from 1, product_id, score.
        data: the split.
        scores: function of user numbers (n,) that gives float scores (n, n_products).
        k: length of a list.
    """
    histories = data.histories()
    with Path(path).open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["user_id", "rank", "product_id", "score"])
        for start in range(0, len(data.test_users), BLOCK):
            users = data.test_users[start : start + BLOCK]
            block = np.array(scores(users), dtype=np.float64)
            block[np.isnan(block)] = -np.inf
            block[:, ~data.candidates] = -np.inf
            for row, user in zip(block, users, strict=True):
                row[histories[user]] = -np.inf
                best = np.argsort(-row, kind="stable")[:k]
                best = best[row[best] > -np.inf]
                out.writerows([data.users[user], n + 1, data.products[i], row[i]] for n, i in enumerate(best))


def arguments():
    """The command line that every driver has."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, help="folder of the exported split")
    parser.add_argument("--work", required=True, help="folder for files of its own")
    parser.add_argument("--out", required=True, help="CSV file of the lists")
    parser.add_argument("--report", required=True, help="JSON file of what happened")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=15.0, help="of processor time per thread, for training")
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON: the peer's settings")
    args = parser.parse_args()
    os.chdir(args.work)  # peers write logs of their own to where they are started
    return args


def versions(*packages):
    """Installed versions by package."""
    return {name: version(name) for name in packages}


class Clock:
    """What the stages of a run take, and the time that is left to a stage.

    Attributes:
        seconds: wall clock by stage.
        processor_seconds: of this process by stage; on a busy machine they lie far below.
    """

    def __init__(self, minutes):
        self.seconds, self.processor_seconds = {}, {}
        self.limit = minutes * 60 * int(os.environ.get("OMP_NUM_THREADS", "1"))
        self.began = time.perf_counter(), time.process_time()

    def mark(self, stage):
        """What went on since the last mark was `stage`."""
        now = time.perf_counter(), time.process_time()
        self.seconds[stage], self.processor_seconds[stage] = (
            round(after - before, 2) for after, before in zip(now, self.began, strict=True)
        )
        self.began = now

    def spent(self):
        """Whether the time of this stage is over: of the processor, so that a busy machine changes no result."""
        return time.process_time() - self.began[1] > self.limit


def write_report(path, clock, **facts):
    """Write what happened as JSON."""
    times = {"seconds": clock.seconds, "processor_seconds": clock.processor_seconds}
    Path(path).write_text(json.dumps(times | facts, indent=1, default=str))
