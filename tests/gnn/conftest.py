"""Small graphs made by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray

from gnn.config import GnnConfig, SplitConfig
from gnn.model.training import train
from gnn.protocol.events import Events, read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.splits import split_events
from gnn.protocol.tasks import Task, make_task
from ingest.config_dict import from_dict
from ingest.progress import SilentProgress
from kg.snapshot import EdgeKey, EdgeTable, IdMap, NodeTable, Snapshot

DAY = 86_400_000_000


def nodes(ids: Sequence[str], **columns: Any) -> NodeTable:
    order = np.argsort(np.asarray(ids))
    table = pa.table({"_": pa.nulls(len(ids))}).drop_columns(["_"])
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values).take(pa.array(order)))
    return NodeTable(IdMap.of(ids), table)


def edges(src: NodeTable, dst: NodeTable, pairs: Sequence[tuple[str, str]], **columns: Any) -> EdgeTable:
    s, d = src.ids.rows([a for a, _ in pairs]), dst.ids.rows([b for _, b in pairs])
    order = np.lexsort((np.arange(len(pairs)), d, s))
    table = pa.table({"_": pa.nulls(len(pairs))}).drop_columns(["_"])
    for name, values in columns.items():
        array = values if isinstance(values, pa.Array) else pa.array(values)
        table = table.append_column(name, array.take(pa.array(order)))
    return EdgeTable(s[order], d[order], table)


def micros(days: Sequence[float]) -> pa.Array:
    return pa.array([int(d * DAY) for d in days], pa.timestamp("us", "UTC"))


def make_shop(users: int = 60, products: int = 80, per_user: int = 12, seed: int = 7) -> Snapshot:
    """Two tastes: even users buy of even brands, odd users of odd brands; one product may not be recommended."""
    rng = np.random.default_rng(seed)
    brand = np.arange(products) % 8
    pid = [f"p{i:03d}" for i in range(products)]
    product = nodes(
        pid,
        title=[f"{'green tea' if b % 2 else 'dark coffee'} no {i}" for i, b in enumerate(brand)],
        recommendable=[i != 5 for i in range(products)],
    )
    kinds = [f"drinks > {'tea' if b % 2 else 'coffee'} > line {b}" for b in range(8)]
    paths = ["drinks", "drinks > coffee", "drinks > tea", *kinds]
    category = nodes(paths, name=[p.split(" > ")[-1] for p in paths], level=[p.count(" > ") + 1 for p in paths])
    brands = nodes([f"brand {b}" for b in range(8)], name=[f"brand {b}" for b in range(8)])
    user = nodes([f"u{u:02d}" for u in range(users)])
    pairs, days, split = [], [], []
    for u in range(users):
        for n, p in enumerate(rng.choice(np.flatnonzero(brand % 2 == u % 2), per_user, replace=False)):
            pairs.append((f"u{u:02d}", pid[p]))
            days.append(n)
            split.append("test" if n == per_user - 1 else "valid" if n == per_user - 2 else "train")
    entity = nodes([], type=pa.array([], pa.string()))
    children = [(p, p.rsplit(" > ", 1)[0]) for p in paths if " > " in p]
    made_by = [(p, f"brand {b}") for p, b in zip(pid, brand, strict=True)]
    in_category = [(p, kinds[b]) for p, b in zip(pid, brand, strict=True)]
    related = edges(product, product, [("p000", "p001")], relation=["goes_with"])
    table: dict[EdgeKey, EdgeTable] = {
        ("User", "PURCHASED", "Product"): edges(user, product, pairs, at=micros(days), split=split),
        ("Product", "MADE_BY", "Brand"): edges(product, brands, made_by),
        ("Product", "IN_CATEGORY", "Category"): edges(product, category, in_category),
        ("Category", "CHILD_OF", "Category"): edges(category, category, children),
        ("Product", "RELATED", "Product"): related,
    }
    labels = {"User": user, "Product": product, "Brand": brands, "Category": category, "Entity": entity}
    return Snapshot(labels, table)


def graph_of(rows: Sequence[tuple[str, str, float | None]]) -> Snapshot:
    """A graph of nothing but purchases (user, product, day); users and products are those named."""
    user, product = nodes(sorted({u for u, _, _ in rows})), nodes(sorted({p for _, p, _ in rows}))
    at = pa.array([None if d is None else int(d * DAY) for _, _, d in rows], pa.timestamp("us", "UTC"))
    bought = edges(user, product, [(u, p) for u, p, _ in rows], at=at)
    none = nodes([])
    labels = {"User": user, "Product": product, "Brand": none, "Category": none, "Entity": none}
    return Snapshot(labels, {("User", "PURCHASED", "Product"): bought})


@pytest.fixture(scope="session")
def graph() -> Callable[[Sequence[tuple[str, str, float | None]]], Snapshot]:
    return graph_of


@pytest.fixture(scope="session")
def shop() -> Snapshot:
    return make_shop()


@pytest.fixture(scope="session")
def valid_task(shop: Snapshot) -> Task:
    """New products of the shop at validation; every product is a candidate."""
    split = split_events(read_events(shop, ()), SplitConfig("column"))
    return make_task("new-product", split, "valid", np.ones(80, bool))


def history_of(rows: Mapping[int, Sequence[int]], n_users: int, n_items: int) -> Interactions:
    """Binary interactions without times."""
    users = np.asarray([u for u, items in rows.items() for _ in items], dtype=np.int64)
    items = np.asarray([i for items in rows.values() for i in items], dtype=np.int64)
    events = Events(users, items, np.arange(len(users)), False, None, n_users, n_items)
    return Interactions.from_events(events)


@pytest.fixture
def interactions() -> Callable[[Mapping[int, Sequence[int]], int, int], Interactions]:
    return history_of


@pytest.fixture(scope="session")
def build_shop() -> Callable[..., Snapshot]:
    return make_shop


@pytest.fixture(scope="session")
def text() -> NDArray[np.float32]:
    """Unit vectors of the shop's products: the taste, blurred."""
    vectors = np.random.default_rng(3).normal(size=(80, 16)).astype(np.float32)
    vectors[:, 0] += np.where(np.arange(80) % 2, 2, -2)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


SMALL = {"split": {"method": "column"}, "train": {"threads": 1, "epochs": 8}, "eval": {"bootstrap": 100}}


@pytest.fixture(scope="session")
def config() -> GnnConfig:
    return from_dict(GnnConfig, SMALL, "test")


@pytest.fixture(scope="session")
def bundle_folder(
    tmp_path_factory: pytest.TempPathFactory, shop: Snapshot, text: NDArray[np.float32], config: GnnConfig
) -> Path:
    """A model of the shop, trained once; its refit is in `live` beside it."""
    folder = tmp_path_factory.mktemp("model") / "eval"
    train(shop, text, config, folder, SilentProgress(), refit=True)
    return folder


DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)
