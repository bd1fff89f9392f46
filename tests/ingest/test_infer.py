"""Inferred brands and categories: by hand, and held to their confidence on a made-up shop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from ingest.enrich.infer import InferSettings
from ingest.enrich.infer_brand import guess_brands
from ingest.enrich.infer_category import SMOOTHING, guess_categories
from ingest.enrich.title_words import WORDS_MACRO
from ingest.errors import IngestError

Build = Callable[..., Any]
ON = {"infer": InferSettings()}


def guesses(rows: list[tuple[str, str | None, str | None, str | None]], by: Callable[..., str]) -> pd.DataFrame:
    connection = duckdb.connect()
    table = pd.DataFrame(rows, columns=["product_id", "title", "brand", "category"], dtype="str")
    connection.register("given", table)
    connection.execute("CREATE TABLE products AS SELECT * FROM given")
    relation = by(connection, "products")
    return connection.execute(f"FROM {relation} ORDER BY product_id").df().set_index("product_id")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("L&#39;Oréal Paris", ["loreal", "paris"]),
        ("L\u2019OREAL-Paris!", ["loreal", "paris"]),
        ("Head &amp; Shoulders", ["head", "and", "shoulders"]),
        ("head and shoulders", ["head", "and", "shoulders"]),
        ("Füller 0,5 mm&nbsp;blau", ["fuller", "0", "5", "mm", "blau"]),
        ("Кофе", ["кофе"]),
        ("—", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    connection = duckdb.connect()
    connection.execute(f"CREATE MACRO {WORDS_MACRO}")
    assert connection.execute("SELECT sg_words(?)", [text]).fetchall() == [(words,)]


def shop_of(*brands: str, each: int = 10) -> list[tuple[str, str | None, str | None, str | None]]:
    return [(f"{b}-{n}", f"{b} thing {n}", b, None) for b in brands for n in range(each)]


def test_a_brand_is_found_as_whole_words_the_longest_first() -> None:
    rows = shop_of("Dove", "Dove Men", "St. Ives", "No 7")
    rows += [
        ("x1", "DOVE men soap", None, None),
        ("x2", "Doves soap", None, None),
        ("x3", "st ives scrub", None, None),
        ("x4", "Dove soap", None, None),
        ("x5", None, None, None),
        ("x6", "No 75 cream", None, None),
    ]
    found = guesses(rows, guess_brands)
    unknown = found[found["known"].isna()]
    assert unknown["guess"].to_dict() == {"x1": "Dove Men", "x3": "St. Ives", "x4": "Dove"}


def test_common_words_and_names_of_several_brands_are_left_out() -> None:
    rows = shop_of("Dove", "Clear", "NYX", "Nyx", "Pot")
    rows += [(f"d{n}", f"Clear dove thing {n}", "Dove", None) for n in range(30)]  # clear is rather a word
    rows += [
        ("x1", "Clear soap", None, None),
        ("x2", "nyx lipstick", None, None),
        ("x3", "thing for Pot or Dove", None, None),  # neither begins the title
        ("x4", "Pot for Dove", None, None),  # one does
    ]
    unknown = guesses(rows, guess_brands).query("known.isna()")
    assert unknown["guess"].to_dict() == {"x4": "Pot"}


def test_a_product_is_judged_without_itself() -> None:
    """The only product of a brand cannot find its own name; with two, each knows of one other."""
    found = guesses([*shop_of("Dove"), *shop_of("Solo", each=1), *shop_of("Duo", each=2)], guess_brands)
    assert "Solo-0" not in found.index
    assert found.loc["Duo-0", "guess"] == "Duo"
    # all names begin titles of their own brand: 13 of 13, but for the lone one that is not asked
    assert found.loc["Duo-0", "margin"] > np.log(1e8)


def test_the_share_of_a_name_by_hand() -> None:
    rows = shop_of("Leaf", each=8) + [(f"o{n}", f"Leaf box {n}", "Box", None) for n in range(2)]
    rows += [("x", "Leaf tea", None, None)]
    found = guesses(rows, guess_brands)
    usual = 8 / 10  # names of one word that begin a title
    share = (8 + 2 * usual) / (10 + 2)
    assert found.loc["x", "margin"] == pytest.approx(np.log(share / (1 - share)))
    without = (7 + 2 * usual) / (9 + 2)
    assert found.loc["Leaf-0", "margin"] == pytest.approx(np.log(without / (1 - without)))
    wrong = (8 + 2 * usual) / (9 + 2)  # a box is not one of those that the name was wrong about, for itself
    assert found.loc["o0", "margin"] == pytest.approx(np.log(wrong / (1 - wrong)))


def test_categories_are_those_of_naive_bayes() -> None:
    """Against the formula, written out."""
    rng = np.random.default_rng(2)
    kinds = {"tea": "green black leaf bag", "cup": "blue green clay big", "pot": "clay big iron lid"}
    rows: list[tuple[str, str | None, str | None, str | None]] = []
    for n in range(90):
        kind = list(kinds)[n % 3]
        words = [*rng.choice(kinds[kind].split(), 3), str(rng.choice(["set", "gift"]))]
        rows.append((f"p{n:02d}", " ".join(words), None, None if n >= 80 else kind))
    found = guesses(rows, guess_categories)
    titles = {r[0]: sorted(set(str(r[1]).split())) for r in rows}
    known = {r[0]: r[3] for r in rows if r[3]}
    assert set(found.index) == set(titles)
    for product, words in titles.items():
        others = {p: k for p, k in known.items() if p != product}
        everywhere = pd.Series([w for p in known for w in titles[p]]).value_counts()
        scores = {}
        for kind in kinds:
            own = pd.Series([w for p, k in others.items() if k == kind for w in titles[p]]).value_counts()
            if not own.reindex(words, fill_value=0).sum():
                continue
            size = sum(k == kind for k in others.values())
            chance = [
                (own.get(w, 0) + SMOOTHING * everywhere[w] / everywhere.sum()) / (own.sum() + SMOOTHING)
                for w in words
                if w in everywhere
            ]
            scores[kind] = np.log(size) + np.log(chance).sum()
        best, second = sorted(scores.values(), reverse=True)[:2]
        assert scores[found.loc[product, "guess"]] == best
        assert found.loc[product, "margin"] == pytest.approx(best - second, abs=1e-4)


def test_filled_values_are_marked_and_counted(build: Build) -> None:
    lines = [f"p{n},Leaf tea {n},Leaf,drinks" for n in range(45)] + ["x,Leaf tea,,", "y,Leafy thing,,", "z,,,"]
    built = build({"products.csv": "product_id,title,brand,category\n" + "\n".join(lines) + "\n"}, **ON)
    rows = {r["product_id"]: r for r in built.rows("products")}
    # all 45 known ones were right: (45 + 1) / (45 + 2)
    x = {k: rows["x"][k] for k in ("brand", "brand_inferred", "category", "category_inferred")}
    assert x == {"brand": "Leaf", "brand_inferred": True, "category": "drinks", "category_inferred": True}
    assert rows["x"]["brand_confidence"] == rows["x"]["category_confidence"] == pytest.approx(46 / 47)
    for other in ("p0", "y", "z"):
        assert not rows[other]["brand_inferred"]
        assert rows[other]["brand_confidence"] is None
    assert (rows["p0"]["brand"], rows["y"]["brand"], rows["z"]["category"]) == ("Leaf", None, None)
    quality = built.report.tables["products"]
    assert quality.inferred == {"brand": 1, "category": 1}
    assert (quality.rows_in, quality.loaded, quality.mended) == (48, 48, 0)
    assert built.quality()["tables"]["products"]["inferred"] == {"brand": 1, "category": 1}
    assert "Inferred fields" in (built.root / "work" / "reports" / "quality.html").read_text()


def test_too_few_known_products_fill_nothing(build: Build) -> None:
    lines = [f"p{n},Leaf tea {n},Leaf" for n in range(10)] + ["x,Leaf tea,"]
    files = {"products.csv": "product_id,title,brand\n" + "\n".join(lines) + "\n"}
    row = {r["product_id"]: r for r in build(files, **ON).rows("products")}["x"]
    assert (row["brand"], row["brand_inferred"], row["brand_confidence"]) == (None, False, None)
    bold = build(files, infer=InferSettings(min_confidence=0.9))
    row = {r["product_id"]: r for r in bold.rows("products")}["x"]
    assert (row["brand"], row["brand_confidence"]) == ("Leaf", pytest.approx(11 / 12))


def test_each_field_can_be_turned_off(build: Build) -> None:
    lines = [f"p{n},Leaf tea {n},Leaf,drinks" for n in range(45)] + ["x,Leaf tea,,"]
    files = {"products.csv": "product_id,title,brand,category\n" + "\n".join(lines) + "\n"}
    built = build(files, infer=InferSettings(brand=False))
    assert "brand_inferred" not in built.arrow("products").column_names
    assert built.report.tables["products"].inferred == {"category": 1}


@pytest.mark.parametrize("threads", [1, 2])
def test_confidence_is_the_share_of_right_guesses(build: Build, threads: int) -> None:
    """A shop whose titles name another brand now and then: hidden values show how sure the guesses may be."""
    rng = np.random.default_rng(11)
    n = 4_000
    brands = rng.choice(["Leaf", "Pot", "Iron Lady", "Clay"], n)
    error = {"Leaf": 0.01, "Pot": 0.02, "Iron Lady": 0.15, "Clay": 0.3}
    wrong = rng.random(n) < [error[b] for b in brands]
    titles = np.where(wrong, rng.permutation(brands), brands)
    hidden = rng.random(n) < 0.3
    table = pd.DataFrame({
        "product_id": [f"p{i}" for i in range(n)],
        "title": [f"{t} thing {i}" for i, t in enumerate(titles)],
        "brand": np.where(hidden, "", brands),
    })  # fmt: skip
    built = build(
        {"products.csv": table.to_csv(index=False)}, infer=InferSettings(min_confidence=0.01), threads=threads
    )
    filled = pd.DataFrame(built.rows("products")).set_index("product_id").loc[table["product_id"]]
    filled["right"] = filled["brand"].to_numpy() == brands
    filled = filled[filled["brand_inferred"]]
    assert len(filled) > 1_000
    for confidence, rows in filled.groupby("brand_confidence"):
        spread = 4 * np.sqrt(confidence * (1 - confidence) / len(rows)) + 0.01
        assert abs(rows["right"].mean() - confidence) < spread
    assert filled["brand_confidence"].nunique() > 1


def test_settings_that_cannot_be_meant(build: Build) -> None:
    with pytest.raises(IngestError, match=r"ingest\.infer"):
        build({"products.csv": "product_id\np\n"}, infer=InferSettings(min_confidence=0.0))
