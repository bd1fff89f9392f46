"""Writes the split of a contract directory as plain files that any peer can read.

    train.csv, valid.csv  user_id, product_id, position: distinct pairs; position orders a user's pairs from 0
    test_users.csv        user_id: those whose lists are wanted
    products.csv          product_id, candidate (1 where a list may hold it)
    kg.csv                head, relation, tail: a product's id, or TYPE:ID of another thing

The answers are written to a file of their own outside that folder, so that no peer can read them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from gnn.config import GraphConfig
from ingest.errors import ShopgraphError

_COLUMNS = {
    "events": ("user_id", "product_id", "event", "time", "sequence", "split"),
    "products": ("product_id", "brand", "category", "recommendable"),
    "triples": ("head", "relation", "tail", "head_type", "tail_type"),
}
_FORMATS = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz")


class PeerError(ShopgraphError):
    """A data set that cannot be exported, or a peer that does not run."""


@dataclass(frozen=True)
class ExportOptions:
    """What of a contract directory is handed to the peers; the evaluation's settings must say the same.

    Attributes:
        valid_from: first instant of valid where the events have no split labels.
        test_from: first instant of test there.
        min_buyers: buyers in train and valid that a candidate needs.
        valid_share: share of the training pairs set aside where the labels know no valid.
        seed: of that draw.
        exclude_relations: triples left out.
    """

    valid_from: str | None = None
    test_from: str | None = None
    min_buyers: int = 0
    valid_share: float = 0.1
    seed: int = 0
    exclude_relations: tuple[str, ...] = GraphConfig().exclude_relations


def export(source: Path, folder: Path, truth: Path, options: ExportOptions | None = None) -> dict[str, int]:
    """Write the files named above.

    Args:
        source: directory with the tables events, and where there are any products and triples.
        folder: where the peers' files go.
        truth: file of the answers: user_id, product_id, pairs of test that the history does not know.
        options: cut-offs, candidates, relations.

    Returns:
        Rows of each file.

    Raises:
        PeerError: there are no events, or nothing parts them.
    """
    options = options or ExportOptions()
    pairs = _pairs(_events(source), options)
    products = _products(source, pairs, options)
    history = pairs[pairs["side"] < 2]
    candidates = products.loc[products["candidate"] == 1, "product_id"]
    test = pairs[(pairs["side"] == 2) & pairs["product_id"].isin(candidates)]
    test = test[test["user_id"].isin(history["user_id"])]
    columns = ["user_id", "product_id", "position"]
    tables = {
        "train": history.loc[history["side"] == 0, columns],
        "valid": history.loc[history["side"] == 1, columns],
        "test_users": test[["user_id"]].drop_duplicates(),
        "products": products[["product_id", "candidate"]],
        "kg": _triples(source, products, options.exclude_relations),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        _write(table, folder / f"{name}.csv")
    _write(test[["user_id", "product_id"]], truth)
    return {name: len(table) for name, table in tables.items()} | {"truth": len(test)}


def read_table(source: Path, name: str) -> pd.DataFrame | None:
    """The columns of a table that peers need, every value as text ('' where missing); None where there is no table."""
    for ending in _FORMATS:
        path = source / f"{name}{ending}"
        if not path.is_file():
            continue
        if ending == ".parquet":
            there = pq.read_schema(path).names
            frame = pd.read_parquet(path, columns=[c for c in _COLUMNS[name] if c in there])
        elif ending.startswith(".csv"):
            return pd.read_csv(path, dtype=str, keep_default_na=False, usecols=lambda c: c in _COLUMNS[name])
        else:
            frame = pd.read_json(path, lines=True, dtype=False)
        known = frame.notna()
        return frame.astype(str).where(known, "")
    return None


def _write(table: pd.DataFrame, path: Path) -> None:
    """Whole or not at all: another run may be reading the same split."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    table.to_csv(part, index=False)
    part.replace(path)


def _events(source: Path) -> pd.DataFrame:
    """The events to be predicted: purchases, else reviews, else all but returns."""
    events = read_table(source, "events")
    if events is None or not len(events):
        raise PeerError("there are no events", str(source), "write an events table")
    names = events["event"].str.strip().str.lower()
    for wanted in ("purchase", "review"):
        if (names == wanted).any():
            return events[(names == wanted).to_numpy()]
    return events[(names != "return").to_numpy()]


def _pairs(events: pd.DataFrame, options: ExportOptions) -> pd.DataFrame:
    """Distinct pairs at their earliest side (0 train, 1 valid, 2 test), in the order of their last event there."""
    frame = events[["user_id", "product_id"]].reset_index(drop=True)
    frame["order"] = _order(events)
    frame["side"] = _sides(events, options)
    keys = ["user_id", "product_id"]
    frame = frame[frame["side"] == frame.groupby(keys)["side"].transform("min")]
    frame = frame.sort_values(["user_id", "side", "order"], kind="stable").drop_duplicates(keys, keep="last")
    if not (frame["side"] == 1).any():
        train = np.flatnonzero(frame["side"] == 0)
        drawn = np.random.default_rng(options.seed).random(len(train)) < options.valid_share
        frame.iloc[train[drawn], frame.columns.get_loc("side")] = 1
    frame = frame.sort_values(["user_id", "order"], kind="stable")
    frame["position"] = frame.groupby("user_id").cumcount()
    return frame


def _order(events: pd.DataFrame) -> np.ndarray:
    for name in ("time", "sequence"):
        if name in events and (events[name] != "").any():
            number = pd.to_numeric(events[name], errors="coerce")
            if number.notna().any():
                return number.fillna(-np.inf).to_numpy(float)
            return _instants(events[name]).astype("int64").to_numpy(float)
    return np.arange(len(events), dtype=float)


def _instants(text: pd.Series) -> pd.Series:
    return pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")


def _sides(events: pd.DataFrame, options: ExportOptions) -> np.ndarray:
    label = events["split"].str.strip().str.lower() if "split" in events else pd.Series("", index=events.index)
    if label.isin(["train", "valid", "test"]).any():
        return np.select([label == "valid", label == "test"], [1, 2], 0)
    if options.valid_from is None or options.test_from is None or "time" not in events:
        raise PeerError("nothing parts the events", "events.split", "write a split column, or give both cut-offs")
    number = pd.to_numeric(events["time"], errors="coerce")
    seconds = bool(number.notna().any())
    instants = pd.to_datetime(number, unit="s", utc=True) if seconds else _instants(events["time"])
    bounds = [pd.Timestamp(text) for text in (options.valid_from, options.test_from)]
    valid, test = (b.tz_localize("UTC") if b.tzinfo is None else b for b in bounds)
    return (instants >= valid).to_numpy(int) + (instants >= test).to_numpy(int)


def _products(source: Path, pairs: pd.DataFrame, options: ExportOptions) -> pd.DataFrame:
    """All products with their columns and whether they are candidates."""
    table = read_table(source, "products")
    named = pd.DataFrame({"product_id": pairs["product_id"].unique()})
    products = named if table is None else pd.concat([table, named]).drop_duplicates("product_id").fillna("")
    products = products.sort_values("product_id").reset_index(drop=True)
    buyers = pairs[pairs["side"] < 2].groupby("product_id").size()
    enough = products["product_id"].map(buyers).fillna(0).to_numpy() >= options.min_buyers
    if "recommendable" in products:
        enough &= ~products["recommendable"].str.lower().isin(["false", "0", "no"]).to_numpy()
    products["candidate"] = enough.astype(int)
    return products


def _triples(source: Path, products: pd.DataFrame, excluded: tuple[str, ...]) -> pd.DataFrame:
    """Outside triples, and those that brand and category columns say, without repetition."""
    known = set(products["product_id"])
    rows: list[tuple[str, str, str]] = []
    if "brand" in products:
        rows += [
            (p, "made_by", f"brand:{b}") for p, b in zip(products["product_id"], products["brand"], strict=True) if b
        ]
    if "category" in products:
        for product, paths in zip(products["product_id"], products["category"], strict=True):
            rows += _category_rows(product, paths)
    table = read_table(source, "triples")
    if table is not None:
        table = table[~table["relation"].isin(excluded)]
        ends = [_ends(table, end, known) for end in ("head", "tail")]
        rows += zip(ends[0], table["relation"], ends[1], strict=True)
    return pd.DataFrame(rows, columns=["head", "relation", "tail"]).drop_duplicates()


def _category_rows(product: str, paths: str) -> list[tuple[str, str, str]]:
    rows = []
    for path in filter(None, (p.strip() for p in paths.split(";"))):
        levels = path.split(" > ")
        names = ["category:" + " > ".join(levels[: n + 1]) for n in range(len(levels))]
        rows.append((product, "in_category", names[-1]))
        rows += [(low, "child_of", high) for high, low in pairwise(names)]
    return rows


def _ends(table: pd.DataFrame, end: str, known: set[str]) -> list[str]:
    """Heads or tails: a product's id as it is, other things with their type before them."""
    column = f"{end}_type"
    kinds = table[column].str.lower() if column in table else pd.Series("", index=table.index)
    return [
        name if kind == "product" or (not kind and name in known) else f"{kind or 'entity'}:{name}"
        for name, kind in zip(table[end], kinds, strict=True)
    ]
