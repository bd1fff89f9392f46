"""Runs one peer's driver in the peer's own environment and brings its lists into one form."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bench.measure import Measured, run
from bench.peers.catalogue import PEERS
from bench.peers.environments import ready
from bench.peers.neutral import PeerError

DRIVERS = Path(__file__).parent / "drivers"
COLUMNS = ("user_id", "rank", "product_id", "score")


@dataclass(frozen=True)
class Wish:
    """What is asked of a run.

    Attributes:
        seed: of the peer's own draws.
        minutes: of training, in processor time per thread; what was best so far counts then.
        k: length of a list.
        threads: of the peer's process.
        settings: beside the catalogue's.
    """

    seed: int = 0
    minutes: float = 15.0
    k: int = 50
    threads: int = 2
    settings: Mapping[str, Any] = field(default_factory=dict)


def run_peer(name: str, folder: Path, wish: Wish, split: Mapping[str, Any]) -> dict[str, Any]:
    """Train a peer and keep its lists; returns what the JSON file beside them says.

    Args:
        name: of the peer.
        folder: `export` in it holds the split.
        wish: what is asked.
        split: how the split was made, for the record.

    Raises:
        PeerError: its lists are not what was asked for.
        RuntimeError: its environment cannot be made, or its process fails.
    """
    folder = folder.resolve()
    stem = f"{name}-seed{wish.seed}"
    work = folder / "work" / stem
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    measured, figures = _run_driver(name, folder / "export", work, wish)
    lists = read_lists(work / "lists.csv", wish.k)
    check(lists, folder / "export")
    # lists of a part of the users compare with nothing that was scored for all
    place = folder / "partial" if wish.settings.get("test_users") else folder
    place.mkdir(exist_ok=True)
    lists.to_parquet(place / f"{stem}.parquet", index=False)
    report = json.loads((work / "report.json").read_text())
    report = {
        "peer": name,
        "seed": wish.seed,
        "threads": wish.threads,
        "split": dict(split),
        "lists": str(place / f"{stem}.parquet"),
        "users": int(lists["user_id"].nunique()),
        "wall_seconds": round(measured.seconds, 1),
        "peak_mib": round(measured.peak_mib),
        **figures,
        **report,
    }
    (place / f"{stem}.json").write_text(json.dumps(report, indent=1) + "\n")
    shutil.rmtree(work)
    return report


def _run_driver(name: str, data: Path, work: Path, wish: Wish) -> tuple[Measured, dict[str, float]]:
    """What the driver's process took, and figures of the server that it talked to."""
    peer = PEERS[name]
    python = str(ready(peer.environment)) if peer.environment else sys.executable
    words = [python, str((DRIVERS / f"{peer.driver}.py").resolve()), "--model", peer.model]
    words += ["--data", str(data), "--work", str(work), "--out", str(work / "lists.csv")]
    words += ["--report", str(work / "report.json"), "--seed", str(wish.seed), "--minutes", str(wish.minutes)]
    words += ["--k", str(wish.k), "--settings", json.dumps({**peer.settings, **wish.settings})]
    threads = {"OMP_NUM_THREADS": str(wish.threads)}
    if not peer.needs_server:
        return run(words, threads), {}
    from bench.peers import gds

    with gds.server() as (login, figures):
        measured = run(words, threads | login)
    return measured, figures


def read_lists(path: Path, k: int) -> pd.DataFrame:
    """A driver's lists in the order of user and rank, with ids as text; shape (rows, 4).

    Raises:
        PeerError: a column is missing, or the ranks of a user do not count 1, 2, … up to `k` at most.
    """
    lists = pd.read_csv(path, dtype={"user_id": str, "product_id": str}, keep_default_na=False)
    if tuple(lists.columns) != COLUMNS:
        raise PeerError(f"columns are {', '.join(lists.columns)}", path.name, f"they must be {', '.join(COLUMNS)}")
    lists = lists.sort_values(["user_id", "rank"], kind="stable", ignore_index=True)
    counted = lists.groupby("user_id").cumcount() + 1
    wrong = (lists["rank"] != counted) | (counted > k)
    if wrong.any():
        raise PeerError(f"user {lists['user_id'][wrong].iloc[0]!r} has wrong ranks", path.name, "mend the driver")
    return lists


def check(lists: pd.DataFrame, data: Path) -> None:
    """See that nobody is told what they know, what is no candidate, or the same twice.

    Raises:
        PeerError: somebody is, or there are lists for others than the test users.
    """
    pairs = list(zip(lists["user_id"], lists["product_id"], strict=True))
    products = pd.read_csv(data / "products.csv", dtype=str, keep_default_na=False)
    asked = set(pd.read_csv(data / "test_users.csv", dtype=str, keep_default_na=False)["user_id"])
    known = set()
    for part in ("train", "valid"):
        table = pd.read_csv(data / f"{part}.csv", dtype=str, keep_default_na=False)
        known |= set(zip(table["user_id"], table["product_id"], strict=True))
    faults = {
        "a product twice in a list": len(set(pairs)) < len(pairs),
        "a product that its user knows": not known.isdisjoint(pairs),
        "a product that is no candidate": not set(lists["product_id"])
        <= set(products.loc[products["candidate"] == "1", "product_id"]),
        "a user who is not asked about": not set(lists["user_id"]) <= asked,
    }
    for fault, found in faults.items():
        if found:
            raise PeerError(fault, "the peer's lists", "mend the driver")
