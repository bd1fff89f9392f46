"""Scores any tool's recommendation file by the protocol of `gnn.evaluation.evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.evaluation.evaluate import Reading, report
from gnn.model.align import make_split
from gnn.model.bundle import read_head
from gnn.protocol.slices import deepest_category
from gnn.protocol.splits import describe
from gnn.protocol.tasks import Task, make_tasks, recommendable
from ingest.config_dict import from_dict
from kg.snapshot import Snapshot

COLUMNS = ("user_id", "rank", "product_id", "score")


def evaluate_recs(model: Path | GnnConfig, snapshot: Snapshot, recs: pd.DataFrame) -> dict[str, Any]:
    """Evaluate lists that anyone made.

    A listed product that is no candidate keeps its place without a hit; a product listed twice counts at its better
    place; users who are asked about and have no list get zeros.

    Args:
        model: folder of the bundle whose split is used, or settings.
        snapshot: the graph.
        recs: columns user_id, rank, product_id (score is not read); in any order.

    Returns:
        As `gnn.evaluation.evaluate.evaluate`, with the one recommender `recs`, and `rows`: what of the file was used.

    Raises:
        GnnError: a column is missing, a rank is no number, or no user of the file is known.
    """
    config = model if isinstance(model, GnnConfig) else from_dict(GnnConfig, read_head(model)["config"], str(model))
    split = make_split(snapshot, config)
    tasks = make_tasks(split, split.stage, recommendable(snapshot), config.split.min_buyers)
    users, items, used = _rows(recs, snapshot)
    out: dict[str, Any] = {"split": describe(split), "stage": split.stage, "k": list(config.eval.k), "rows": used}
    kinds = deepest_category(snapshot)
    out["tasks"] = {}
    for task in tasks:
        lists = _lists(task, users, items, max(config.eval.k))
        reading = Reading(lists, np.full(len(task.users), np.nan))
        out["tasks"][task.name] = report(task, {"recs": reading}, kinds, config.eval)
    return out


def _rows(recs: pd.DataFrame, snapshot: Snapshot) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
    """User and product rows in the order of user and rank; -1 for products that the graph does not know."""
    missing = [c for c in COLUMNS[:3] if c not in recs.columns]
    if missing:
        found = ", ".join(map(str, recs.columns))
        raise GnnError(f"column {missing[0]!r} is missing", "recommendation file", f"it has {found}")
    rank = pd.to_numeric(recs["rank"], errors="coerce")
    if rank.isna().any():
        bad = recs["rank"][rank.isna()].iloc[0]
        raise GnnError(f"{bad!r} is no rank", "recommendation file", "ranks are whole numbers from 1")
    users = snapshot.nodes["User"].ids.rows(recs["user_id"].astype(str).tolist())
    items = snapshot.nodes["Product"].ids.rows(recs["product_id"].astype(str).tolist())
    if not (users >= 0).any():
        raise GnnError("no user of the file is in the graph", "recommendation file", "user_id holds the graph's ids")
    order = np.lexsort((rank.to_numpy(), users))
    order = order[users[order] >= 0]
    used = {
        "rows": len(recs),
        "unknown_users": len(np.unique(recs["user_id"].astype(str).to_numpy()[users < 0])),
        "unknown_products": int((items < 0).sum()),
    }
    return users[order], items[order], used


def _lists(task: Task, users: NDArray[np.int64], items: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Candidate columns of the first k different products per user of the task, shape (u, k)."""
    pair = pd.DataFrame({"user": users, "item": items})
    pair = pair[(pair["item"] < 0) | ~pair.duplicated()]
    place = pair.groupby("user").cumcount().to_numpy()
    row = np.full(task.history.n_users, -1)
    row[task.users] = np.arange(len(task.users))
    column = np.full(task.history.n_items + 1, -1)
    column[task.candidates] = np.arange(len(task.candidates))
    at = row[pair["user"].to_numpy()]
    keep = (place < k) & (at >= 0)
    lists = np.full((len(task.users), k), -1)
    lists[at[keep], place[keep]] = column[pair["item"].to_numpy()[keep]]  # -1 reads the last, empty place
    return lists
