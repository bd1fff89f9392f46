"""Scores any tool's recommendation file by the protocol of `gnn.evaluation.evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gnn.config import EvalConfig, GnnConfig
from gnn.errors import GnnError
from gnn.evaluation.facts import Facts
from gnn.evaluation.figures import Question, report, user_columns
from gnn.evaluation.per_user_file import PerUserFile
from gnn.evaluation.rating_errors import Ratings, rating_errors
from gnn.evaluation.readings import Reading
from gnn.model.align import make_split
from gnn.model.bundle import read_head
from gnn.protocol.splits import describe
from gnn.protocol.tasks import Task, make_tasks, recommendable
from ingest.config_dict import from_dict
from kg.snapshot import Snapshot

COLUMNS = ("user_id", "rank", "product_id", "score", "rating")
WHERE = "recommendation file"


@dataclass(frozen=True)
class Rows:
    """Rows of the file in the order of user and place; m rows.

    Attributes:
        users: rows of the users, known ones only, shape (m,).
        items: rows of the products, -1 where the graph does not know them, shape (m,).
        rating: predicted ratings, nan where there is none, shape (m,).
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    rating: NDArray[np.float64]


def evaluate_recs(
    model: Path | GnnConfig,
    snapshot: Snapshot,
    recs: pd.DataFrame,
    *,
    per_user: Path | None = None,
    config: EvalConfig | None = None,
) -> dict[str, Any]:
    """Evaluate lists that anyone made.

    Only the order of a user's ranks counts; rows of one rank stand by score (larger first), then as in the file. A
    listed product that is no candidate keeps its place without a hit; a product listed twice counts at its better
    place; users who are asked about and have no list get zeros. Where the file has predicted ratings and the held-out
    events true ones, their errors are told too.

    Args:
        model: folder of the bundle whose split is used, or settings.
        snapshot: the graph.
        recs: columns user_id, rank, product_id, perhaps score and rating; in any order.
        per_user: file to which every user's metrics go (`gnn.evaluation.per_user_file`).
        config: what to report; None: as the bundle was trained with.

    Returns:
        As `gnn.evaluation.evaluate.evaluate`, with the one recommender `recs`; per task `without_list`, the users
        asked about that the file does not have; `rows`: what of the file was used; `ratings` (see `rating_errors`).

    Raises:
        GnnError: the file has no rows or lacks a column, a rank, score or rating is none, no user of the file is known,
            or `per_user` cannot be written.
    """
    settings = model if isinstance(model, GnnConfig) else from_dict(GnnConfig, read_head(model)["config"], str(model))
    config = config or settings.eval
    split = make_split(snapshot, settings)
    rows, used = _rows(recs, snapshot)
    out: dict[str, Any] = {"split": describe(split), "stage": split.stage, "k": list(config.k), "rows": used}
    facts = Facts.of(snapshot, config.user_groups)
    out["tasks"] = {}
    with PerUserFile(per_user) as file:
        for task in make_tasks(split, split.stage, recommendable(snapshot), settings.split.min_buyers):
            question = Question(task, facts)
            readings = {"recs": Reading(_lists(task, rows, max(config.k)), np.full(len(task.users), np.nan))}
            tables = {name: user_columns(question, reading, config.k) for name, reading in readings.items()}
            file.add(task, tables, snapshot)
            missing = int((~np.isin(task.users, rows.users)).sum())
            out["tasks"][task.name] = report(question, readings, tables, config) | {"without_list": missing}
    if "rating" in recs.columns:
        said = (rows.items >= 0) & ~np.isnan(rows.rating)
        keys = rows.users[said] * len(snapshot.nodes["Product"]) + rows.items[said]
        out["ratings"] = rating_errors(Ratings.of(keys, rows.rating[said]), snapshot, split)
    return out


def _rows(recs: pd.DataFrame, snapshot: Snapshot) -> tuple[Rows, dict[str, int]]:
    """The rows of known users, and the account of all rows."""
    missing = [c for c in COLUMNS[:3] if c not in recs.columns]
    if missing:
        found = ", ".join(map(str, recs.columns)) or "no columns"
        raise GnnError(f"column {missing[0]!r} is missing", WHERE, f"it has {found}")
    if recs.empty:
        raise GnnError("it has no rows", WHERE, "a row holds user_id, rank, product_id")
    rank, score, rating = _ranks(recs["rank"]), _numbers(recs, "score"), _numbers(recs, "rating")
    users = snapshot.nodes["User"].ids.rows(_ids(recs["user_id"]))
    items = snapshot.nodes["Product"].ids.rows(_ids(recs["product_id"]))
    if not (users >= 0).any():
        raise GnnError("no user of the file is in the graph", WHERE, "user_id holds the graph's ids")
    order = np.lexsort((-score, rank, users))  # nan scores stand last
    order = order[users[order] >= 0]
    rows = Rows(users[order], items[order], rating[order])
    places = pd.DataFrame({"user": rows.users, "rank": rank[order]})
    pairs = pd.DataFrame({"user": rows.users, "item": rows.items})[rows.items >= 0]
    return rows, {
        "rows": len(recs),
        "unknown_users": len(set(np.asarray(_ids(recs["user_id"]))[users < 0].tolist())),
        "unknown_products": int((items < 0).sum()),
        "shared_ranks": int(places.duplicated(keep=False).sum()),
        "listed_twice": int(pairs.duplicated().sum()),
    }


def _ids(column: pd.Series[Any]) -> list[str]:
    """Ids as text; whole numbers that came as floats lose their `.0`."""
    if pd.api.types.is_float_dtype(column):
        return [str(int(v)) if float(v).is_integer() else str(v) for v in column.tolist()]
    return column.astype(str).tolist()


def _ranks(column: pd.Series[Any]) -> NDArray[np.float64]:
    """Ranks: whole numbers from 1, or from 0."""
    rank = np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
    bad = np.flatnonzero(~(np.isfinite(rank) & (rank >= 0) & (rank == np.floor(rank))))
    if len(bad):
        raise GnnError(f"{_said(column.iloc[bad[0]])} is no rank", WHERE, "ranks are whole numbers from 1")
    return rank


def _numbers(recs: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """A column of numbers, nan where the cell is empty or there is no such column."""
    if name not in recs.columns:
        return np.full(len(recs), np.nan)
    cells = recs[name]
    number = np.asarray(pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
    said = (cells.notna() & (cells.astype(str).str.strip() != "")).to_numpy()
    bad = np.flatnonzero(np.isnan(number) & said)
    if len(bad):
        raise GnnError(f"{_said(cells.iloc[bad[0]])} is no {name}", WHERE, f"{name} holds numbers")
    return number


def _said(cell: object) -> str:
    return repr(cell) if isinstance(cell, str) else str(cell)


def _lists(task: Task, rows: Rows, k: int) -> NDArray[np.int64]:
    """Candidate columns of the first k different products per user of the task, shape (u, k)."""
    pair = pd.DataFrame({"user": rows.users, "item": rows.items})
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
