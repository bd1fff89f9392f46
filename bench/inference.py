"""How right inferred brands and categories are: known values of real shops are hidden, fold by fold, and compared.

    python -m bench.inference [--data amazon-beauty complete-journey] [--folds 5] [--out FILE]

The clean products of a data set lose the brands, or the categories, of one fold; what the ingest room infers of them
at any confidence is compared with what they had. Each product is judged once, by a dictionary that has not seen it.
Products with the same title stand in different folds, as they would in a shop that lacks a value here and there: where
a shop lacks the values of a whole range of products, expect less.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from bench.data import amazon_beauty
from bench.data.source import raw
from bench.measure import write_report
from ingest.build import IngestSettings, build_tables
from ingest.enrich.infer import FILL_RULES, InferSettings, measure
from ingest.enrich.labels import LabelSettings
from ingest.names import literal

BANDS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 1.01)
"""Edges of the bands of confidence that are reported."""


def _clean(source: str, scratch: Path) -> Path:
    """The clean products of a source, with nothing inferred."""
    plain = IngestSettings(infer=InferSettings(brand=False, category=False), labels=LabelSettings(on=False))
    build_tables(source, scratch / "tables", scratch / "reports", settings=plain)
    return scratch / "tables" / "products.parquet"


def beauty_products(scratch: Path) -> Path:
    """The clean products of amazon-beauty."""
    contract = amazon_beauty.write(raw(amazon_beauty.NAME), scratch / "contract")
    (contract / "triples.parquet").unlink()
    return _clean(str(contract), scratch)


def journey_products(scratch: Path) -> Path:
    """The clean products of Complete Journey."""
    return _clean("complete-journey", scratch)


DATA: dict[str, Callable[[Path], Path]] = {"amazon-beauty": beauty_products, "complete-journey": journey_products}


def masked(products: Path, column: str, folds: int) -> pd.DataFrame:
    """product_id, truth, guess and confidence of every product whose `column` is known and that got a guess."""
    parts = []
    for fold in range(folds):
        connection = duckdb.connect()
        connection.execute(
            f"CREATE TABLE all_products AS SELECT product_id, title, brand, category, "
            f"('0x' || left(md5('fold' || product_id), 8))::UBIGINT % {folds} = {fold} AND {column} IS NOT NULL "
            f"AS hidden FROM read_parquet({literal(str(products))})"
        )
        connection.execute(
            f"CREATE VIEW masked AS SELECT * REPLACE (CASE WHEN NOT hidden THEN {column} END AS {column}) "
            "FROM all_products"
        )
        measure(connection, FILL_RULES[column].check(connection, "masked"), "inferred")
        parts.append(
            connection.execute(
                f"SELECT product_id, a.{column} AS truth, guess, confidence FROM inferred i "
                "JOIN all_products a USING (product_id) WHERE hidden ORDER BY product_id"
            ).df()
        )
        connection.close()
    return pd.concat(parts, ignore_index=True)


def by_band(guesses: pd.DataFrame, known: int) -> list[dict[str, Any]]:
    """Per band of confidence: guesses, their share of the known products, mean confidence and precision."""
    right = guesses["truth"] == guesses["guess"]
    rows = []
    for low, high in pairwise(BANDS):
        inside = (guesses["confidence"] >= low) & (guesses["confidence"] < high)
        n = int(inside.sum())
        rows.append({
            "band": f"{low:g} to {min(high, 1):g}",
            "guesses": n,
            "coverage": n / known,
            "confidence": float(guesses.loc[inside, "confidence"].mean()) if n else None,
            "precision": float(right[inside].mean()) if n else None,
        })  # fmt: skip
    return rows


def at_least(guesses: pd.DataFrame, known: int, confidence: float) -> dict[str, Any]:
    """Coverage and precision of the guesses that a setting lets through."""
    kept = guesses[guesses["confidence"] >= confidence]
    precision = float((kept["truth"] == kept["guess"]).mean()) if len(kept) else None
    return {"min_confidence": confidence, "coverage": len(kept) / known, "precision": precision}


def examine(name: str, folds: int) -> dict[str, Any]:
    """The report of one data set, per column."""
    with tempfile.TemporaryDirectory() as scratch:
        products = DATA[name](Path(scratch))
        table = pd.read_parquet(products, columns=["title", "brand", "category"])
        report: dict[str, Any] = {"products": len(table)}
        for column in FILL_RULES:
            known = int(table[column].notna().sum())
            guesses = masked(products, column, folds)
            settings = InferSettings()
            report[column] = {
                "known": known,
                "missing": len(table) - known,
                "bands": by_band(guesses, known),
                "default": at_least(guesses, known, settings.min_confidence),
            }
            print(f"\n{name}, {column}: {known:,} known, {len(table) - known:,} missing")
            print(pd.DataFrame(report[column]["bands"]).round(4).to_string(index=False))
            print(f"at the default: {json.dumps(report[column]['default'])}", flush=True)
    return report


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="precision and coverage of inferred brands and categories")
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report = {name: examine(name, arguments.folds) for name in arguments.data}
    if arguments.out:
        write_report(report, arguments.out)


if __name__ == "__main__":
    main()
