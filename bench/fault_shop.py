"""A made-up shop of any size with something in most tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def write_shop(folder: Path, events: int) -> Path:
    """Write CSV and Parquet tables of a shop with so many events, the same every time."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(7)
    products, users = max(20, events // 40), max(10, events // 80)
    rows = np.arange(events)
    pd.DataFrame(
        {
            "product_id": [f"p{i:06d}" for i in range(products)],
            "title": [f"Thing “{i}”, {['red', 'blue', ''][i % 3]}" for i in range(products)],
            "brand": [f"Brand {i % 37}" if i % 7 else None for i in range(products)],
            "category": [f"all > part {i % 5} > shelf {i % 23}" for i in range(products)],
            "price": np.arange(products) % 900 / 10,
        }
    ).to_csv(folder / "products.csv", index=False)
    pd.DataFrame({"user_id": [f"u{i:06d}" for i in range(users)], "age": np.arange(users) % 80}).to_csv(
        folder / "users.csv", index=False
    )
    pd.DataFrame(
        {
            "event_id": [f"e{i:08d}" for i in rows],
            "user_id": [f"u{i:06d}" for i in draw.integers(users, size=events)],
            "product_id": [f"p{i:06d}" for i in draw.integers(products, size=events)],
            "event": np.array(["view", "cart", "purchase", "purchase"])[rows % 4],
            "time": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rows * 37 % (300 * 86_400), unit="s"),
            "quantity": 1 + rows % 3,
            "price": rows % 500 / 10,
            "order_id": [f"o{i // 5}" for i in rows],
        }
    ).to_parquet(folder / "events.parquet", index=False)
    pd.DataFrame(
        {"head": [f"p{i:06d}" for i in range(10)], "relation": "near", "tail": [f"place {i}" for i in range(10)]}
    ).to_csv(folder / "triples.csv", index=False)
    return folder


def write_deliveries(folder: Path, events: int) -> tuple[Path, Path]:
    """The shop of `write_shop` without its last third, and a delivery of that third with changes and removals."""
    older, delivery = write_shop(folder / "older", events), folder / "delivery"
    delivery.mkdir()
    sold, products = pd.read_parquet(older / "events.parquet"), pd.read_csv(older / "products.csv")
    cut, known = events * 2 // 3, len(products) * 9 // 10
    early = sold[:cut][sold["product_id"][:cut].isin(products["product_id"][:known])]
    early.to_parquet(older / "events.parquet", index=False)
    products[:known].to_csv(older / "products.csv", index=False)
    sold[cut:].to_parquet(delivery / "events.parquet", index=False)
    changed = pd.concat([products[: known // 5].assign(price=99.5), products[known:]])
    changed.to_csv(delivery / "products.csv", index=False)
    pd.DataFrame(
        {"table": ["events"] * 20 + ["users"] * 3, "id": [*early["event_id"][:20], "u000001", "u000003", "u000005"]}
    ).to_csv(delivery / "removals.csv", index=False)
    return older, delivery
