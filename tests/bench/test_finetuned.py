"""The queries of the bench of tuned encoders, and how it compares."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bench.finetuned import FROZEN, compared
from bench.finetuned_search import Queries, known_items, type_queries, without
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot


def table(**columns: list[str]) -> pa.Table:
    return pa.table({name: pa.array(values, pa.large_string()) for name, values in columns.items()})


@pytest.fixture
def shop() -> Snapshot:
    """Two products of a type, one of another, one without a type."""
    titles = ["Green Tea 20 ct", "Green Tea 40 ct", "Milk 1 ga", "Loose Change"]
    products = NodeTable(IdMap.of(["a", "b", "c", "d"]), table(title=titles))
    paths = ["FOOD", "FOOD > DAIRY > MILK", "FOOD > DRINKS > GREEN TEA"]
    category = NodeTable(IdMap.of(paths), table(name=["FOOD", "MILK", "GREEN TEA"]))
    bare = pa.table({"x": pa.nulls(4)}).drop_columns(["x"])
    edges = {("Product", "IN_CATEGORY", "Category"): EdgeTable(np.arange(4), np.array([2, 2, 1, 0]), bare)}
    return Snapshot({"Product": products, "Category": category}, edges)


@pytest.mark.parametrize(
    ("text", "name", "bare"),
    [
        ("Green Tea 20 ct. FOOD, DRINKS", "GREEN TEA", "20 ct. FOOD, DRINKS"),
        ("Teapot. Tea", "TEA", "Teapot."),  # whole words alone
        ("Links - Raw 12 oz", "LINKS - RAW", "12 oz"),
        ("tea", "TEA", ""),
    ],
)
def test_a_name_is_taken_out(text: str, name: str, bare: str) -> None:
    assert without(text, name) == bare


def test_types_against_texts_without_their_name(shop: Snapshot) -> None:
    queries = type_queries(shop)
    assert queries.words == ["GREEN TEA", "MILK"]
    found = {word: {queries.texts[r] for r in rows} for word, rows in zip(queries.words, queries.relevant, strict=True)}
    assert found["GREEN TEA"] == {"20 ct. FOOD, DRINKS", "40 ct. FOOD, DRINKS"}
    assert found["MILK"] == {"1 ga. FOOD, DAIRY"}
    assert len(queries.texts) == 3  # what has no type is neither asked for nor in the way


def test_words_of_a_title_in_their_order(shop: Snapshot) -> None:
    queries = known_items(shop, most=9, words=2)
    assert len(queries.words) == 3  # a title of two words would be the query itself
    for words, (row,) in zip(queries.words, queries.relevant, strict=True):
        text = queries.texts[row].replace(".", "").split()
        first, second = (text.index(word) for word in words.split())
        assert first < second


def test_figures_by_hand() -> None:
    texts = np.eye(12, dtype=np.float32)
    words = np.zeros((2, 12), np.float32)
    words[0] = np.linspace(1, 0.1, 12)  # ranks 0, 1, 2, …
    words[1, 5] = 1  # ranks 5 first, the others by their row
    queries = Queries("x", ["p", "q"], [""] * 12, [np.array([1]), np.array([5, 11])])
    found = queries.measured(words, texts)
    np.testing.assert_allclose(found["recall@10"], [1, 0.5])
    np.testing.assert_allclose(found["mrr@10"], [0.5, 1])
    np.testing.assert_allclose(found["ndcg@10"], [1 / np.log2(3), 1 / (1 + 1 / np.log2(3))])


def test_differences_are_paired() -> None:
    frozen = np.arange(40) % 2.0  # far apart between queries, the gain the same for each
    report = compared({FROZEN: {"ndcg": frozen}, "lora": {"ndcg": frozen + 0.1}})
    gain = report["lora"]["ndcg"]["gain"]
    assert gain["mean"] == pytest.approx(0.1)
    assert gain["low"] == pytest.approx(0.1)
    assert "gain" not in report[FROZEN]["ndcg"]
