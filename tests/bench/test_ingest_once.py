"""The bench of cleaning compares like with like: pandas and shopgraph agree row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.ingest_once import with_pandas, with_shopgraph


def dirty(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Events of which every column is wrong or missing now and then, and that repeat."""
    day = datetime(2017, 5, 1, tzinfo=UTC)
    times = [day, day + timedelta(days=3), day - timedelta(days=365 * 40), day + timedelta(days=3650), None]
    columns: dict[str, list[Any]] = {
        "user_id": ["u1", " u1", "u2", "NULL", "", None, "Ärzte", "A\u0308rzte"],
        "product_id": ["p1", "p2", "p9", "n/a", None, "p1 "],
        "event": ["purchase", "Purchase", "return", "void", "search", "view", None],
        "time": times,
        "quantity": [1.0, 2.0, 0.0, -1.0, None],
        "price": [1.5, 0.0, -2.0, None],
        "store": ["s", None],
        "order_id": ["o1", "o2"],
    }
    frame = pd.DataFrame({
        name: [values[i] for i in rng.integers(0, len(values), n) * (rng.random(n) < 0.4)]
        for name, values in columns.items()
    })  # fmt: skip
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return frame


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_both_sides_keep_and_set_aside_the_same_rows(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = tmp_path / "source"
    source.mkdir()
    pd.DataFrame({"product_id": ["p1", "p2"]}).to_parquet(source / "products.parquet")
    for part in range(2):
        dirty(rng, 1500).to_parquet(source / f"events-{part:03}.parquet")
    ours, theirs = with_shopgraph(source, tmp_path / "ours"), with_pandas(source, tmp_path / "theirs")
    assert ours == theirs
    assert len(ours["rules"]) == 8
    assert ours["merged"] > 0
    place = ["source_file", "line", "rule", "column"]
    held = [pd.read_parquet(p)[place].reset_index(drop=True) for p in (
        tmp_path / "ours/tables/quarantine/events.parquet", tmp_path / "theirs/quarantine.parquet",
    )]  # fmt: skip
    pd.testing.assert_frame_equal(*held, check_dtype=False)
    names = ["user_id", "product_id", "event", "time", "quantity", "price", "store", "order_id"]
    kept = [pd.read_parquet(p)[names].sort_values(names).reset_index(drop=True) for p in (
        tmp_path / "ours/tables/events.parquet", tmp_path / "theirs/events.parquet",
    )]  # fmt: skip
    pd.testing.assert_frame_equal(*kept, check_dtype=False)
