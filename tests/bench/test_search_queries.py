"""The queries of the search benchmark: what is done to titles, what types leave behind, and reciprocal ranks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from rapidfuzz.distance import OSA

from bench.search.by_type import type_queries, without_types
from bench.search.known_item import known_items
from bench.search.systems import reciprocal_ranks
from encoders.product_text import product_texts
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot


def text(values: list[str]) -> pa.Array:
    return pa.array(values, pa.large_string())


def edges(src: list[int], dst: list[int]) -> EdgeTable:
    columns = pa.table({"x": pa.nulls(len(src))}).drop_columns(["x"])
    return EdgeTable(np.array(src, np.int64), np.array(dst, np.int64), columns)


def shop(titles: list[str], categories: list[str], in_category: list[int]) -> Snapshot:
    paths = IdMap.of(categories)
    return Snapshot(
        {
            "Product": NodeTable(
                IdMap.of([f"p{n:02d}" for n in range(len(titles))]), pa.table({"title": text(titles)})
            ),
            "Category": NodeTable(paths, pa.table({"name": text([p.split(" > ")[-1] for p in paths.ids.to_pylist()])})),
        },
        {
            ("Product", "IN_CATEGORY", "Category"): edges(list(range(len(titles))), in_category),
            ("Category", "CHILD_OF", "Category"): edges([], []),
        },
    )


@pytest.fixture
def titles() -> Snapshot:
    names = [f"brand{n % 3} creamy lotion number {chr(97 + n % 26)}{n}x" for n in range(60)]
    return shop(names, ["a"], [0] * 60)


def test_known_items_are_made_of_their_titles(titles: Snapshot) -> None:
    queries = known_items(titles, 30, seed=1)
    column = titles.nodes["Product"].columns["title"].to_pylist()
    assert sorted(set(queries.kinds)) == ["both", "mistyped", "shortened"]
    assert queries.validation.sum() == 15
    for query, kind, relevant in zip(queries.texts, queries.kinds, queries.relevant, strict=True):
        (row,) = relevant.tolist()
        own = column[row].split()
        asked = query.split()
        if kind == "shortened":
            assert 2 <= len(asked) <= 4
            places = [own.index(word) for word in asked]
            assert places == sorted(places)
        else:
            slips = [min(OSA.distance(word, other) for other in own) for word in asked]
            assert set(slips) <= {0, 1}
        if kind == "mistyped":
            assert len(asked) == len(own)
            assert [word[0] for word in asked] == [word[0] for word in own]  # never the first letter


def test_the_same_seed_gives_the_same_queries(titles: Snapshot) -> None:
    assert known_items(titles, 30, 1).texts == known_items(titles, 30, 1).texts != known_items(titles, 30, 2).texts


def test_nothing_of_a_type_is_left_in_the_texts() -> None:
    categories = ["FOOD", "FOOD > BREAD", "FOOD > BREAD > RYE BREAD", "FOOD > TEA", "FOOD > TEA > TEA"]
    bare, types = without_types(shop(["Rye Bread 1 lb", "Tea 20 ct", "Thing"], categories, [2, 4, 1]))
    assert types == ["RYE BREAD", "TEA", ""]
    assert bare.nodes["Category"].ids.ids.to_pylist() == ["FOOD", "FOOD > BREAD"]
    assert product_texts(bare) == ["1 lb. FOOD, BREAD", "20 ct. FOOD", "Thing. FOOD, BREAD"]


def test_types_are_asked_for_by_name_and_their_products_sought() -> None:
    types = ["RYE"] * 5 + ["TEA"] * 6 + [""]
    allowed = np.array([True] * 10 + [False, True])
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10])
    queries = type_queries(types, allowed, groups, seed=0)
    assert queries.texts == ["RYE"]  # of tea four groups may be recommended
    assert queries.relevant[0].tolist() == [0, 1, 2, 3, 4]


def test_reciprocal_ranks_by_hand() -> None:
    found = reciprocal_ranks([np.array([3, 2, 2], np.float32), np.array([0, 9, 1], np.float32)])
    assert found == pytest.approx([1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 62 + 1 / 62])
