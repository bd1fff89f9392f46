"""The index in its folder: what it holds, when it is built, and that BM25 is BM25."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.config import EncoderConfig
from encoders.errors import EncoderError
from encoders.search.bm25 import Bm25
from encoders.search.config import SearchConfig
from encoders.search.index import open_index
from encoders.search.lexicon import Reading
from encoders.search.real_words import real_words
from encoders.text_config import TextConfig
from encoders.vectors import encode_products
from kg.snapshot import Snapshot

MakeShop = Callable[..., Snapshot]
PLAIN = SearchConfig()


def test_scores_are_those_of_the_formula(tmp_path: Path) -> None:
    """Two of three texts hold term 0, one of them twice: Lucene's BM25 by hand."""
    k1, b = 1.2, 0.75
    Bm25.build([[0, 1], [0, 0, 2, 2], [1, 2]], 3, k1, b, tmp_path)
    index = Bm25.load(tmp_path)
    rarity = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    mean = 8 / 3

    def score(times: int, length: int) -> float:
        return rarity * times / (times + k1 * (1 - b + b * length / mean))

    scores = index.ask([("a", [Reading("a", 0)])])
    expected = np.array([score(1, 2), score(2, 4), 0])
    assert scores.score == pytest.approx(expected / expected.max())
    assert scores.cover == pytest.approx([1, 1, 0])
    assert index.rarity == pytest.approx([rarity] * 3)
    assert (index.holds(0, 1), index.holds(0, 2)) == (True, False)


def test_a_word_nobody_has_lowers_score_and_cover(tmp_path: Path) -> None:
    Bm25.build([[0], [1], [1]], 2, 1.2, 0.75, tmp_path)
    index = Bm25.load(tmp_path)
    alone, beside = index.ask([("a", [Reading("a", 0)])]), index.ask([("a", [Reading("a", 0)]), ("b", [])])
    rarity, unheard = float(index.rarity[0]), math.log(1 + 3.5 / 0.5)
    assert alone.cover[0] == 1
    assert beside.cover[0] == pytest.approx(rarity / (rarity + unheard))
    assert 0 < beside.score[0] < alone.score[0] == 1


def test_a_rarer_form_says_no_more_than_the_word(tmp_path: Path) -> None:
    """Term 1 is rarer than term 0, and a form of it: a text with it does not beat the text with the word itself."""
    Bm25.build([[0, 3], [1, 3], [0, 2], [0, 2]], 4, 1.2, 0.0, tmp_path)
    score = Bm25.load(tmp_path).ask([("a", [Reading("a", 0), Reading("as", 1, 0.7, "form")])]).score
    assert score[1] == pytest.approx(0.7 * score[0])


@pytest.fixture
def shop(make_shop: MakeShop) -> Snapshot:
    return make_shop({"title": ["Green tea", "Black tea", None, "Green tea", "Coffee"]})


def test_equal_texts_are_one_and_products_without_text_have_none(shop: Snapshot, tmp_path: Path) -> None:
    index = open_index(shop, None, PLAIN, tmp_path / "search")
    assert index.text_of.tolist() == [0, 1, -1, 0, 2]
    assert index.bm25.texts == 3
    assert index.vectors is None
    assert dict(zip(index.lexicon.words, index.lexicon.texts.tolist(), strict=True)) == {
        "green": 1, "tea": 2, "black": 1, "coffee": 1,
    }  # fmt: skip


def test_the_vectors_are_those_of_the_distinct_texts(shop: Snapshot, tiny_model: Path, tmp_path: Path) -> None:
    vectors = encode_products(shop, EncoderConfig(model=str(tiny_model)), tmp_path / "embeddings")
    index = open_index(shop, vectors, PLAIN, tmp_path / "search")
    assert index.vectors is not None
    assert np.array_equal(index.vectors, vectors.matrix[[0, 1, 4]])


def folders(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_it_is_built_once_and_again_when_an_input_changes(
    shop: Snapshot, make_shop: MakeShop, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "search"
    open_index(shop, None, PLAIN, folder)
    (first,) = folders(folder)
    made = (folder / first / "words.json").stat().st_mtime_ns
    open_index(shop, None, replace(PLAIN, meaning_most=0.5), folder)  # of the question, not of the index
    assert (folder / first / "words.json").stat().st_mtime_ns == made
    other = make_shop({"title": ["Green tea", "Black tea", None, "Green tea", "Cocoa"]})
    for snapshot, vectors, config in (
        (other, None, PLAIN),
        (shop, None, replace(PLAIN, b=0.9)),
        (shop, encode_products(shop, EncoderConfig(model=str(tiny_model)), tmp_path / "embeddings"), PLAIN),
    ):
        open_index(snapshot, vectors, config, folder)
        (name,) = folders(folder)  # the one before is gone
        assert name != first


@pytest.mark.parametrize("damage", ["words.json", "index.json", "bm25/data.csc.index.npy", "text_of.npy"])
def test_a_damaged_index_is_built_again(shop: Snapshot, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "search"
    open_index(shop, None, PLAIN, folder)
    (name,) = folders(folder)
    (folder / name / damage).write_bytes(b"")
    assert open_index(shop, None, PLAIN, folder).text_of.tolist() == [0, 1, -1, 0, 2]
    assert folders(folder) == [name]


def test_one_who_reads_an_older_index_goes_on_reading(shop: Snapshot, make_shop: MakeShop, tmp_path: Path) -> None:
    older = open_index(shop, None, PLAIN, tmp_path)
    open_index(make_shop({"title": ["Cocoa"]}), None, PLAIN, tmp_path)
    assert older.bm25.texts_with(1).tolist() == [0, 1]


def test_a_build_that_fails_leaves_nothing(shop: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("encoders.search.index.Bm25.build", fail)
    with pytest.raises(EncoderError, match="No space left"):
        open_index(shop, None, PLAIN, tmp_path / "search")
    assert folders(tmp_path / "search") == []


def test_what_a_killed_build_left_goes_with_a_later_one(shop: Snapshot, tmp_path: Path) -> None:
    for name, age in ((".building-old", 7200), (".building-now", 0)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    open_index(shop, None, PLAIN, tmp_path)
    assert [name for name in folders(tmp_path) if name.startswith(".")] == [".building-now"]


def test_a_shop_without_any_text_is_told_so(make_shop: MakeShop, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="nothing to search"):
        open_index(make_shop({"title": [None, ""]}), None, PLAIN, tmp_path)
    assert folders(tmp_path) == []


def test_real_words_are_the_whole_ones_of_the_vocabulary(tmp_path: Path) -> None:
    import json

    def of(vocabulary: object) -> frozenset[str]:
        (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
        return real_words(tmp_path)

    assert of({"[CLS]": 0, "ripe": 1, "##ness": 2, "Vine": 3, "7": 4}) == {"ripe", "vine"}
    assert of([["<s>", 0.0], ["\u2581ripe", -3.2], ["ness", -4.0]]) == {"ripe"}
    assert of({"\u0120ripe": 0, "ness": 1}) == {"ripe"}
    (tmp_path / "tokenizer.json").unlink()
    assert real_words(tmp_path) == frozenset()


def test_settings_without_a_meaning_are_refused() -> None:
    for wrong in ({"b": 2.0}, {"k1": -1.0}, {"meaning_most": 1.1}, {"names": -0.1}, {"personal": -1.0}, {"depth": 0}):
        with pytest.raises(EncoderError, match=f"search.{next(iter(wrong))}"):
            replace(PLAIN, **wrong)  # type: ignore[arg-type]


def test_what_is_said_of_a_product_is_what_is_found(make_shop: MakeShop, tmp_path: Path) -> None:
    shop = make_shop({"title": ["Cocoa", "Tea"], "description": ["of Ghana", "of Assam"]})
    both = open_index(shop, None, PLAIN, tmp_path)
    titles = open_index(shop, None, PLAIN, tmp_path, said=TextConfig(product=("{title}",)))
    assert {"cocoa", "ghana"} <= set(both.lexicon.words)
    assert set(titles.lexicon.words) == {"cocoa", "tea"}
