"""Plants canaries: edges that nobody may know before the held-out period, in every place where they could leak in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.model.align import make_split
from gnn.model.bundle import resolved
from gnn.protocol.events import chosen_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.splits import Split, instant
from gnn.protocol.tasks import recommendable
from ingest.contract import derived_names
from kg.schema import EVENT_TYPES
from kg.snapshot import EdgeKey, EdgeTable, NodeTable, Snapshot

LATE = "canary_relation"
"""An outside relation that is not excluded by name and dates from the held-out period."""
LATE_COLUMN = "canary_since"
"""A property of products that dates from the held-out period and that the canaries alone have."""
TIED = 5
"""Products of a user's history that are tied to the user's canary."""


@dataclass(frozen=True)
class Planted:
    """A graph with canaries.

    Attributes:
        snapshot: the graph.
        config: the settings, with the cut-offs of the graph without canaries.
        users: rows of the users who have one, shape (n,).
        canaries: the product that each user takes in the held-out period, shape (n,).
        decoys: a product as popular as the canary that the user does not take, shape (n,).
    """

    snapshot: Snapshot
    config: GnnConfig
    users: NDArray[np.int64]
    canaries: NDArray[np.int64]
    decoys: NDArray[np.int64]


def plant(snapshot: Snapshot, config: GnnConfig, most: int = 200, seed: int = 0) -> Planted:
    """Plant a canary for up to `most` users.

    A coin decides which of two equally popular products becomes the canary, so that whoever has not seen the planted
    edges prefers either with the same probability. Planted are, for each user: an event of the target kind and a view
    in the test period; relations `also_bought` and the like (`graph.exclude_relations`) and one that dates from the
    test period, from products of the user's history to the canary; an earlier run's RECOMMENDED and SIMILAR; and
    properties that canaries alone have: the labels that a build makes of all events, and one that dates from the test
    period.

    Raises:
        GnnError: too few users or products, or events whose order cannot be told.
    """
    split = make_split(snapshot, config)
    fixed = replace(config, split=resolved(config.split, split.method, split.cutoffs))
    history = split.history("test")
    rng = np.random.default_rng(seed)
    users, pairs = _draw(snapshot, split, history, config, most, rng)
    planted = _with_edges(snapshot, fixed, split, history, users, pairs[:, 0])
    again = make_split(planted, fixed)
    key = users * history.n_items + pairs[:, 0]
    kept = again.window("test").has(key) & ~again.history("test").has(key)
    if kept.sum() < 8:
        what = f"only {int(kept.sum())} canaries fall into the held-out period"
        raise GnnError(what, "leak check", "give the events times, labels or sequence numbers, or more users")
    return Planted(planted, fixed, users[kept], pairs[kept, 0], pairs[kept, 1])


def _draw(
    snapshot: Snapshot, split: Split, history: Interactions, config: GnnConfig, most: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Users, and per user a canary and its decoy, neither touched by the user before; every product stands once."""
    warm = np.flatnonzero(np.diff(split.history("valid").indptr) >= 2)
    users = np.sort(rng.permutation(warm)[:most])
    buyers = history.buyers
    able = np.flatnonzero(recommendable(snapshot) & (buyers >= max(1, config.split.min_buyers)))
    ranked = able[np.lexsort((rng.random(len(able)), buyers[able]))]
    couples = ranked[: len(ranked) // 2 * 2].reshape(-1, 2)
    couples = couples[buyers[couples[:, 0]] == buyers[couples[:, 1]]]
    if not len(couples) or not len(users):
        raise GnnError("there are no two equally popular products, or no users", "leak check", "use a larger graph")
    touched = [history, split.window("test"), *history.side.values()]
    rng.shuffle(couples)
    couples = rng.permuted(couples, axis=1)
    taken = np.zeros(len(couples), np.bool_)
    found: list[tuple[int, int]] = []
    for user in rng.permutation(users):
        keys = user * history.n_items + couples
        free = ~taken & ~np.logical_or.reduce([part.has(keys) for part in touched]).any(1)
        if free.any():
            found.append((int(user), int(free.argmax())))
            taken[found[-1][1]] = True
    chosen = np.asarray(sorted(found), np.int64).reshape(-1, 2)
    return chosen[:, 0], couples[chosen[:, 1]]


def _with_edges(
    snapshot: Snapshot,
    config: GnnConfig,
    split: Split,
    history: Interactions,
    users: NDArray[np.int64],
    canaries: NDArray[np.int64],
) -> Snapshot:
    edges = dict(snapshot.edges)
    target = chosen_events(snapshot, config.graph.target_events)[0]
    late = int(split.test.order.max()) if len(split.test) else int(split.valid.order.max())
    if split.cutoffs:
        late = max(late, instant(split.cutoffs["test_from"], "split"))
    said: dict[str, Any] = {config.split.split_column: "test", "quantity": 1}
    if split.train.timed:
        said["at"] = late if split.method == "time" else late + 1
    said["sequence"] = None if split.train.timed or not split.train.sequenced else late + 1
    for name in (target, "view"):
        key = ("User", EVENT_TYPES[name], "Product")
        like = edges.get(key) or edges["User", EVENT_TYPES[target], "Product"]
        base = edges.get(key) or EdgeTable(users[:0], users[:0], like.columns.slice(0, 0))
        edges[key] = _appended(base, users, canaries, said)
    own = [history.of(int(u))[:TIED] for u in users]
    src, dst = np.concatenate(own), np.repeat(canaries, [len(o) for o in own])
    related: EdgeKey = ("Product", "RELATED", "Product")
    kinds: list[Mapping[str, Any]] = [{"relation": kind} for kind in config.graph.exclude_relations]
    kinds += [{"relation": LATE, "at": late}] if split.method == "time" else []
    for values in kinds:
        edges[related] = _appended(edges.get(related) or _empty(("relation", "at")), src, dst, values)
    recommended: EdgeKey = ("User", "RECOMMENDED", "Product")
    edges[recommended] = _appended(edges.get(recommended) or _empty(("run",)), users, canaries, {"run": "earlier"})
    similar: EdgeKey = ("Product", "SIMILAR", "Product")
    edges[similar] = _appended(edges.get(similar) or _empty(("run",)), src, dst, {"run": "earlier"})
    return Snapshot(snapshot.nodes | {"Product": _with_columns(snapshot.nodes["Product"], canaries, late)}, edges)


def _with_columns(products: NodeTable, canaries: NDArray[np.int64], late: int) -> NodeTable:
    """The products with what no model may read of them."""
    others = np.ones(len(products), np.bool_)
    others[canaries] = False
    date = pa.array(np.full(len(products), late), mask=others).cast(pa.timestamp("us", "UTC"))
    told = pa.array(np.ones(len(products)), mask=others)
    columns = products.columns
    for name, values in {LATE_COLUMN: date, **dict.fromkeys(derived_names("products"), told)}.items():
        if name in columns.column_names:
            columns = columns.drop_columns([name])
        columns = columns.append_column(name, values)
    return NodeTable(products.ids, columns)


def _empty(columns: Sequence[str]) -> EdgeTable:
    none = np.zeros(0, np.int64)
    types = {"at": pa.timestamp("us", "UTC")}
    return EdgeTable(none, none, pa.table({c: pa.array([], types.get(c, pa.string())) for c in columns}))


def _appended(table: EdgeTable, src: NDArray[np.int64], dst: NDArray[np.int64], values: Mapping[str, Any]) -> EdgeTable:
    """The table with edges that have `values`, in the order of snapshots; but for `at`, only columns that it has."""
    if "at" in values and "at" not in table.columns.column_names:
        undated = table.columns.append_column("at", pa.nulls(len(table), pa.timestamp("us", "UTC")))
        table = EdgeTable(table.src, table.dst, undated)
    columns = {}
    for field in table.columns.schema:
        value = values.get(field.name)
        if field.name == "id":
            columns["id"] = pa.array([f"canary-{n}" for n in range(len(src))]).cast(field.type)
        elif value is None:
            columns[field.name] = pa.nulls(len(src), field.type)
        else:
            columns[field.name] = pa.array([value] * len(src)).cast(field.type)
    extra = pa.table(columns, schema=table.columns.schema) if columns else table.columns.slice(0, 0)
    all_src, all_dst = np.concatenate([table.src, src]), np.concatenate([table.dst, dst])
    joined = pa.concat_tables([table.columns, extra]) if columns else pa.table({})
    order = np.lexsort((np.arange(len(all_src)), all_dst, all_src))
    return EdgeTable(all_src[order], all_dst[order], joined.take(pa.array(order)) if columns else joined)
