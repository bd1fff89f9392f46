"""A real dirty source through a mapping: UCI Online Retail, against counts by pandas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ingest.bots import BotSettings
from ingest.build import IngestSettings, build_tables
from ingest.outliers import OutlierSettings

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


@pytest.mark.parametrize("least_factor", [30.0, 1000.0])
def test_outliers_are_those_of_pandas(tmp_path: Path, least_factor: float) -> None:
    """The product's own values where there are twenty, else the shop's; near three own values nothing is odd."""
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    rules = OutlierSettings(on=True, columns=("quantity",), least_factor=least_factor)
    settings = IngestSettings(outliers=rules, bots=BotSettings(on=True))
    tables = tmp_path / "tables"
    report = build_tables(str(SOURCE.parent), tables, tmp_path / "reports", mapping=mapping, settings=settings)
    lines = pd.read_parquet(SOURCE).assign(line=lambda t: t.index + 1)
    lines = lines[lines["Description"].notna() & lines["CustomerID"].notna() & (lines["Quantity"] > 0)]
    lines["product"], lines["log"] = lines["Description"].str.strip(), np.log(lines["Quantity"])
    once = lines.drop_duplicates([c for c in lines if c not in ("line", "Description")])
    of = once.groupby("product")["log"]
    distance = (once["log"] - of.transform("median")).abs()
    own = pd.DataFrame({"n": of.size(), "m": of.median(), "mad": distance.groupby(once["product"]).median()})
    m = once["log"].median()
    mad = (once["log"] - m).abs().median()
    found = lines.join(own, on="product")
    enough = found["n"] >= 20
    far = found["log"] - found["m"].where(enough, m) > np.maximum(
        6 * 1.4826 * found["mad"].where(enough, mad), np.log(least_factor)
    )
    near_own = (found["n"] >= 3) & (found["log"] - found["m"] <= np.log(least_factor))
    expected = found[far & ~near_own]
    assert {80_995, 74_215} <= set(expected["Quantity"])
    held = pq.read_table(tables / "quarantine" / "events.parquet").to_pandas()
    held = held[held["rule"] == "outlier_quantity"]
    assert held["line"].tolist() == expected["line"].tolist()
    assert report.tables["events"].rules["outlier_quantity"] == len(expected)
    assert "bot" not in report.tables["events"].rules
