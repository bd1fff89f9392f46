"""The cold split of Complete Journey, on clean tables made by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.data import complete_journey
from bench.data.contract_folder import is_cold


def instants(days: list[str]) -> pd.Series:
    return pd.to_datetime(pd.Series(days), utc=True)


def test_cold_products_have_no_event_before_the_window(tmp_path: Path) -> None:
    names = [f"p{n}" for n in range(40)]
    cold = [name for name, drawn in zip(names, is_cold(names), strict=True) if drawn]
    warm = next(name for name in names if name not in cold)
    assert cold  # by the hash
    group = cold[0]
    products = pd.DataFrame({"product_id": [*names, "variant"], "parent_id": [None] * 40 + [group], "price": 1.0})
    assert not is_cold(["variant"])[0]  # it is cold for its group's sake alone
    days = ["2017-10-14T23:59:59Z", "2017-10-15T00:00:00Z"]
    events = pd.DataFrame(
        {
            "event_id": [str(n) for n in range(6)],
            "user_id": "u",
            "product_id": [group, group, warm, warm, "variant", "variant"],
            "time": instants(days * 3),
        }
    )
    users = pd.DataFrame({"user_id": ["u"], "age": ["35-44"]})
    source = tmp_path / "tables"
    source.mkdir()
    for name, table in (("products", products), ("events", events), ("users", users), ("coupons", users)):
        table.to_parquet(source / f"{name}.parquet")
    out = complete_journey.write(source, tmp_path / "contract")
    assert sorted(p.name for p in out.iterdir()) == ["events.parquet", "products.parquet", "users.parquet"]
    kept = pd.read_parquet(out / "events.parquet")
    assert kept["event_id"].tolist() == ["1", "2", "3", "5"]
    assert pd.read_parquet(out / "products.parquet").columns.tolist() == ["product_id", "parent_id"]
    pd.testing.assert_frame_equal(pd.read_parquet(out / "users.parquet"), users)
