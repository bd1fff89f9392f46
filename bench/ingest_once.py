"""Clean one directory of tables once, with shopgraph or plain pandas; print the events' account and CPU time as JSON.

    python -m bench.ingest_once shopgraph|pandas SOURCE OUT

Both read products and events from Parquet, hold the events to the same rules and write the clean events, sorted, and
the quarantine with file, line, rule, column, value and row. shopgraph also writes products, users and a report.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

AS_OF = datetime.fromisoformat("2018-06-01T00:00:00+00:00")
EARLIEST = pd.Timestamp("1990-01-01", tz="UTC")
EVENTS = ("impression", "click", "view", "cart", "purchase", "review", "wishlist", "return", "search")
MISSING = ("", "null", "none", "nan", "n/a")
IDS = ("user_id", "product_id", "event", "store", "order_id")


def with_shopgraph(source: Path, out: Path) -> dict[str, Any]:
    """The account of the events by the build of clean tables."""
    from ingest.build import build_tables

    report = build_tables(str(source), out / "tables", out / "reports", as_of=AS_OF)
    events = report.tables["events"]
    return {
        "rows_in": events.rows_in, "loaded": events.loaded, "merged": events.merged,
        "quarantined": events.quarantined, "rules": dict(sorted(events.rules.items())),
    }  # fmt: skip


def with_pandas(source: Path, out: Path) -> dict[str, Any]:
    """The same account by pandas, in memory."""
    products = pd.read_parquet(source / "products.parquet", columns=["product_id"])["product_id"]
    parts = [_part(path, source) for path in sorted(source.glob("events-*.parquet"))]
    raw = pd.concat(parts, ignore_index=True)
    del parts
    events = raw.drop(columns=["source_file", "line"])
    for name in IDS:
        events[name] = _id(events[name])
    events["event"] = events["event"].str.lower()
    late = pd.Timestamp(AS_OF) + pd.Timedelta(days=1)
    rules = [  # name, column, rows at fault; the first that holds is the reason
        ("missing_key", "user_id", events["user_id"].isna()),
        ("missing_key", "product_id", events["product_id"].isna() & (events["event"] != "search")),
        ("missing_key", "event", events["event"].isna()),
        ("unknown_event", "event", ~events["event"].isin(EVENTS)),
        ("dangling_product", "product_id", events["product_id"].notna() & ~events["product_id"].isin(products)),
        ("time_too_early", "time", events["time"] < EARLIEST),
        ("time_too_late", "time", events["time"] > late),
        ("no_quantity", "quantity", (events["event"] == "purchase") & (events["quantity"] <= 0)),
        ("negative_quantity", "quantity", (events["event"] != "return") & (events["quantity"] < 0)),
        ("negative_price", "price", events["price"] < 0),
    ]
    free = pd.Series(True, index=events.index)
    counts: dict[str, int] = {}
    held = []
    for rule, column, fault in rules:
        rows = raw[free & fault]
        free &= ~fault
        if len(rows):
            counts[rule] = counts.get(rule, 0) + len(rows)
            held.append(_quarantined(rows, rule, column))
    good = events[free]
    distinct = good.drop_duplicates().sort_values(["user_id", "time"])
    out.mkdir(parents=True, exist_ok=True)
    distinct.to_parquet(out / "events.parquet", compression="zstd")
    pd.concat(held).sort_values(["source_file", "line"]).to_parquet(out / "quarantine.parquet", compression="zstd")
    return {
        "rows_in": len(raw), "loaded": len(distinct), "merged": len(good) - len(distinct),
        "quarantined": len(raw) - len(good), "rules": dict(sorted(counts.items())),
    }  # fmt: skip


def _part(path: Path, source: Path) -> pd.DataFrame:
    rows = pd.read_parquet(path)
    return rows.assign(source_file=path.relative_to(source).as_posix(), line=range(1, len(rows) + 1))


def _id(values: pd.Series[Any]) -> pd.Series[Any]:
    """Trimmed, in NFC, without the words that stand for a missing value."""
    tidy = values.str.strip().str.normalize("NFC")
    return tidy.mask(tidy.str.lower().isin(MISSING))


def _quarantined(rows: pd.DataFrame, rule: str, column: str) -> pd.DataFrame:
    texts = rows.drop(columns=["source_file", "line"]).to_json(orient="records", lines=True, date_format="iso")
    return pd.DataFrame({
        "source_file": rows["source_file"], "line": rows["line"], "rule": rule, "column": column,
        "value": rows[column].astype("string"), "row": texts.splitlines(),
    })  # fmt: skip


if __name__ == "__main__":
    how, given, target = sys.argv[1:]
    cleaned = {"shopgraph": with_shopgraph, "pandas": with_pandas}[how](Path(given), Path(target))
    print(json.dumps({"counts": cleaned, "cpu_seconds": round(time.process_time(), 1)}))
