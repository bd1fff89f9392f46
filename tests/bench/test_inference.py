"""The measurement of inferred values: every known product is judged once, without its own value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.inference import at_least, by_band, masked


def test_known_values_are_hidden_and_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    brands = rng.choice(["Leaf", "Pot", "Clay"], 600)
    products = pd.DataFrame({
        "product_id": [f"p{n}" for n in range(600)],
        "title": [f"{b} thing {n}" for n, b in enumerate(brands)],
        "brand": brands,
        "category": "things",
    })  # fmt: skip
    products.loc[:99, "brand"] = None
    products.loc[100, ["title", "brand"]] = ["Solo thing", "Solo"]  # nobody else has it: no guess
    products.to_parquet(tmp_path / "products.parquet", index=False)
    found = masked(tmp_path / "products.parquet", "brand", folds=4)
    assert sorted(found["product_id"]) == sorted(p for p in products["product_id"][101:])
    assert (found["guess"] == found["truth"]).all()
    assert found["confidence"].min() > 0.98


def test_bands_and_thresholds_by_hand() -> None:
    guesses = pd.DataFrame({
        "truth": ["a", "a", "b", "b", "b"],
        "guess": ["a", "b", "b", "b", "a"],
        "confidence": [0.99, 0.98, 0.96, 0.85, 0.2],
    })  # fmt: skip
    bands = {row["band"]: (row["guesses"], row["coverage"], row["precision"]) for row in by_band(guesses, known=10)}
    assert bands == {
        "0 to 0.5": (1, 0.1, 0.0), "0.5 to 0.8": (0, 0.0, None), "0.8 to 0.9": (1, 0.1, 1.0),
        "0.9 to 0.95": (0, 0.0, None), "0.95 to 0.98": (1, 0.1, 1.0), "0.98 to 1": (2, 0.2, 0.5),
    }  # fmt: skip
    assert at_least(guesses, 10, 0.95) == {
        "min_confidence": 0.95, "coverage": 0.3, "precision": pytest.approx(2 / 3),
    }  # fmt: skip
