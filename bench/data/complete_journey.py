"""Complete Journey with a tenth of its products made new at the test window; the whole set is a source of its own.

It is derived from the clean tables of a build of the source `complete-journey`: products, users and events alone.

Traps:
- 92,331 products have 32,385 distinct attribute rows. A cold product beside a warm one that shares every attribute is
  hardly cold, so variants (one `parent_id`) are drawn together.
- A product's price is the median over the year's purchases, and there is none for what was never bought: it tells
  that a product will be sold. Here no product has a price.
- Coupons, campaigns and redemptions name cold products before the window: they are left out.
- Cold products have no buyer, so that "five or more buyers" would leave none of them: every recommendable product is
  a candidate, those that were never sold in the year among them.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.data.contract_folder import is_cold, write_tables

VALID_FROM, TEST_FROM = "2017-08-01", "2017-10-15"


def write(source: Path, out: Path, test_from: str = TEST_FROM) -> Path:
    """Write products, users and events.

    Args:
        source: folder of the clean tables of the whole data set.
        out: folder of the contract tables.
        test_from: first day of test, UTC; cold products lose their events before it.
    """
    products = pd.read_parquet(source / "products.parquet").drop(columns="price")
    users = pd.read_parquet(source / "users.parquet")
    events = pd.read_parquet(source / "events.parquet")
    cold = _drawn(products)
    lost = events["product_id"].isin(cold) & (events["time"] < pd.Timestamp(test_from, tz="UTC"))
    return write_tables(out, {"products": products, "users": users, "events": events[~lost]})


def cold_products(contract: Path) -> set[str]:
    """The products that were drawn."""
    return _drawn(pd.read_parquet(contract / "products.parquet"))


def _drawn(products: pd.DataFrame) -> set[str]:
    """Products whose group, the product that they are variants of or else they themselves, the hash draws."""
    return set(products["product_id"][is_cold(products["parent_id"].fillna(products["product_id"]))])
