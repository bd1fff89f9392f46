"""A real dirty source through a mapping: UCI Online Retail, against counts by pandas."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from ingest.build import build_tables

SOURCE = Path(__file__).parents[3] / "shared" / "data" / "online-retail" / "online_retail.parquet"
MAPPING = """
[tables.products]
files = ["online_retail.parquet"]
columns = { product_id = "Description", title = "Description" }
extras = false

[tables.events]
files = ["online_retail.parquet"]
time_zone = "Europe/London"
[tables.events.columns]
user_id = "CustomerID"
product_id = "Description"
time = "InvoiceDate"
quantity = "Quantity"
price = "UnitPrice"
[tables.events.constants]
event = "purchase"
"""
pytestmark = [
    pytest.mark.benchmark_data,
    pytest.mark.skipif(not SOURCE.is_file(), reason="the shared data sets are not here"),
]


def test_every_invoice_line_is_accounted_for(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    report = build_tables(str(SOURCE.parent), tmp_path / "tables", tmp_path / "reports", mapping=mapping)
    lines = pd.read_parquet(SOURCE)
    names = lines["Description"].str.strip()
    nameless = names.isna() | names.str.lower().isin(["", "null", "none", "nan", "n/a"])
    anonymous = lines["CustomerID"].isna()
    empty = lines["Quantity"] <= 0
    negative = lines["UnitPrice"] < 0
    good = ~(nameless | anonymous | empty | negative)
    distinct = lines[good].assign(Description=names).drop_duplicates()
    events = report.tables["events"]
    assert events.rows_in == len(lines) == 541_909
    assert events.loaded == len(distinct)
    assert events.merged == int(good.sum()) - len(distinct)
    assert events.rules == {
        "missing_key": int((nameless | anonymous).sum()),
        "no_quantity": int((empty & ~nameless & ~anonymous).sum()),
    }
    products = report.tables["products"]
    assert (products.loaded, products.quarantined) == (names[~nameless].nunique(), int(nameless.sum()))
    ids = pq.read_table(tmp_path / "tables" / "users.parquet")["user_id"].to_pylist()
    assert "17850" in ids  # the source has 17850.0
    held = pq.read_table(tmp_path / "tables" / "quarantine" / "events.parquet")
    expected = [int(i) + 1 for i in lines.index[~good]]
    assert held["line"].to_pylist() == expected
