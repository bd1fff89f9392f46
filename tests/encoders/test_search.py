"""A small shop searched: what is found, in which order and why; answers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoders.errors import EncoderError
from encoders.search.bm25 import WordScores
from encoders.search.catalogue import Catalogue, Rows
from encoders.search.config import SearchConfig
from encoders.search.facets import Band
from encoders.search.filters import Filters, allowed
from encoders.search.fusion import fuse, meaning_weight
from encoders.search.index import Vectors, open_index
from encoders.search.query import MOST_CHARACTERS, MOST_WORDS, Query
from encoders.search.searcher import Searcher
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot

TITLES = [
    "Green tea 20 bags",  # 0, a variant of 1
    "Green tea 40 bags",  # 1
    "Black tea",  # 2
    "Dove shampoo",  # 3
    "Dove soap",  # 4
    "Coffee beans",  # 5, not recommendable
    "Herbal drink",  # 6
    "Green soap",  # 7
]
BRANDS = ["Dove", "Green", "Manufacturer 1", "Manufacturer 2"]
MADE_BY = [(0, 2), (1, 2), (2, 3), (3, 0), (4, 0), (5, 2), (6, 3)]
CATEGORIES = ["drinks", "drinks > coffee", "drinks > tea", "hygiene", "hygiene > soap"]
IN_CATEGORY = [(0, 2), (1, 2), (2, 2), (3, 3), (4, 4), (5, 1), (6, 0), (7, 4)]
PRICES = [2.0, 3.5, 1.0, 4.0, None, 9.0, 2.0, 1.5]
KINDS = [None, None, "organic", None, None, "organic", None, "plain"]
BUYERS = [1, 2, 2, 0, 0, 5, 0, 1]


def edges(pairs: list[tuple[int, int]]) -> EdgeTable:
    src, dst = (np.array(ends, np.int64) for ends in zip(*pairs, strict=True))
    return EdgeTable(src, dst, pa.table({"x": pa.nulls(len(pairs))}).drop_columns(["x"]))


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    def text(values: list[str | None]) -> pa.Array:
        return pa.array(values, pa.large_string())

    columns = {
        "title": text(list(TITLES)),
        "price": pa.array(PRICES, pa.float64()),
        "recommendable": pa.array([row != 5 for row in range(8)]),
        "kind": text(KINDS),
    }
    paths = IdMap.of(CATEGORIES)
    parents = [(1, 0), (2, 0), (4, 3)]
    bought = [(user, product) for product, buyers in enumerate(BUYERS) for user in range(buyers)]
    return Snapshot(
        {
            "Product": NodeTable(IdMap.of([f"p{row}" for row in range(8)]), pa.table(columns)),
            "Brand": NodeTable(IdMap.of([f"b{row}" for row in range(4)]), pa.table({"name": text(list(BRANDS))})),
            "Category": NodeTable(paths, pa.table({"name": text([p.split(" > ")[-1] for p in CATEGORIES])})),
            "User": NodeTable(IdMap.of([f"u{row}" for row in range(5)]), pa.table({"age": pa.nulls(5, pa.int64())})),
        },
        {
            ("Product", "MADE_BY", "Brand"): edges(MADE_BY),
            ("Product", "IN_CATEGORY", "Category"): edges(IN_CATEGORY),
            ("Category", "CHILD_OF", "Category"): edges(parents),
            ("Product", "VARIANT_OF", "Product"): edges([(0, 1)]),
            ("User", "PURCHASED", "Product"): edges(bought),
            ("User", "SAW", "Product"): edges([(0, 6)] * 9),
        },
    )


@pytest.fixture(scope="module")
def searcher(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """Words alone."""
    index = open_index(snapshot, None, SearchConfig(), tmp_path_factory.mktemp("search"))
    return Searcher(Catalogue(snapshot), index, SearchConfig())


def products(searcher: Searcher, text: str, k: int = 10, filters: Filters | None = None) -> list[int]:
    return [hit.product for hit in searcher.search(text, k, filters).hits]


def test_variants_share_a_place_and_the_one_that_is_bought_more_has_it(searcher: Searcher) -> None:
    found = searcher.search("green tea")
    assert found.hits[0].product == 1
    assert found.hits[0].variants == 1
    assert 0 not in [hit.product for hit in found.hits]
    assert found.hits[0].words == {"green": "green", "tea": "tea"}
    assert {hit.product for hit in found.hits} == {1, 2, 7}


def test_a_list_is_as_long_as_asked(searcher: Searcher) -> None:
    assert products(searcher, "green tea", k=1) == [1]


def test_spelling_is_mended_and_said(searcher: Searcher) -> None:
    found = searcher.search("shmapoo")
    assert found.query.mended == {"shmapoo": "shampoo"}
    assert [hit.product for hit in found.hits] == [3]
    assert found.hits[0].words == {"shmapoo": "shampoo"}


def test_what_must_not_be_recommended_is_found_only_when_asked_for(searcher: Searcher) -> None:
    assert products(searcher, "coffee beans") == []
    assert products(searcher, "coffee beans", filters=Filters(every=True)) == [5]


def test_a_score_is_the_sum_of_its_parts(searcher: Searcher) -> None:
    for hit in searcher.search("dove soap").hits:
        parts = hit.parts
        assert hit.score == pytest.approx(parts.words + parts.meaning + parts.names + parts.personal)
        assert (parts.meaning, hit.similarity) == (0, None)


def test_words_nobody_has_find_nothing_without_vectors(searcher: Searcher) -> None:
    found = searcher.search("zeppelin")
    assert (found.hits, found.query.unknown, found.facets.products) == ([], ["zeppelin"], 0)


def test_a_name_is_meant_as_far_as_its_words_tell_its_products(searcher: Searcher) -> None:
    """Both texts with dove are of the brand Dove; of four with green none is of the brand Green."""
    named = {(one.named.kind, one.named.name): one.confidence for one in searcher.search("dove green").intents}
    assert named[("brand", "Dove")] == 1
    assert ("brand", "Green") not in named


def test_a_category_is_meant_with_those_below(searcher: Searcher) -> None:
    intents = searcher.search("drinks").intents
    assert [(one.named.name, one.products.tolist()) for one in intents] == [("drinks", [0, 1, 2, 5, 6])]


def test_an_attribute_is_named(searcher: Searcher) -> None:
    named = {(one.named.kind, one.named.name): one.products.tolist() for one in searcher.search("organic tea").intents}
    assert named[("kind", "organic")] == [2, 5]


def test_a_brand_that_no_text_tells_comes_first(make_shop: Callable[..., Snapshot], tmp_path: Path) -> None:
    """Numbered brands stand in no text: the graph alone tells them. Manufacturer 1 is not "manufacturer 2"."""
    columns = {"title": ["Green tea", "Black tea", "Tea", "Soap"]}
    shop = make_shop(columns, ["Manufacturer 1", "Manufacturer 2"], [(0, 0), (1, 1), (2, 0), (3, 1)])
    searcher = Searcher(Catalogue(shop), open_index(shop, None, SearchConfig(), tmp_path), SearchConfig())
    found = searcher.search("manufacturer 2 tea")
    assert [(one.named.name, one.confidence, one.unsaid) for one in found.intents] == [("Manufacturer 2", 1.0, True)]
    assert [hit.product for hit in found.hits] == [1, 2, 0, 3]
    assert found.hits[0].parts.names == 0.5
    assert products(searcher, "manufacturer 2") == [1, 3]


def test_brand_filters_go_by_name_or_id_whatever_the_case(searcher: Searcher) -> None:
    assert products(searcher, "soap", filters=Filters(brands=["dove"])) == [4]
    assert products(searcher, "soap", filters=Filters(brands=["b0"])) == [4]
    assert set(products(searcher, "soap tea", filters=Filters(brands=["DOVE", "Manufacturer 2"]))) == {4, 2}


def test_category_filters_hold_those_below(searcher: Searcher) -> None:
    assert set(products(searcher, "green tea", filters=Filters(categories=["drinks"]))) == {1, 2}
    assert products(searcher, "green", filters=Filters(categories=["hygiene > soap"])) == [7]
    assert products(searcher, "green", filters=Filters(categories=["SOAP"])) == [7]


def test_price_filters_hold_their_ends_and_leave_out_what_has_no_price(searcher: Searcher) -> None:
    catalogue = searcher.catalogue
    assert np.flatnonzero(allowed(Filters(min_price=2, max_price=3.5), catalogue)).tolist() == [0, 1, 6]
    assert products(searcher, "green tea", filters=Filters(max_price=2)) == [0, 2, 7]


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (Filters(brands=["Duve"]), ("unknown brand 'Duve'", "'Dove'")),
        (Filters(categories=["teas"]), ("unknown category 'teas'", "'tea'")),
        (Filters(min_price=-1), ("--min-price", "0 or more")),
        (Filters(max_price=float("nan")), ("--max-price",)),
        (Filters(min_price=3, max_price=2), ("above",)),
    ],
)
def test_a_filter_that_makes_no_sense_is_told(searcher: Searcher, filters: Filters, words: tuple[str, ...]) -> None:
    with pytest.raises(EncoderError) as caught:
        searcher.search("tea", 10, filters)
    for word in words:
        assert word in str(caught.value)


def test_facets_count_matches_with_variants_once(searcher: Searcher) -> None:
    """Green tea and black tea, the variant not counted; all are drinks, which is therefore left out."""
    facets = searcher.search("tea", filters=Filters(categories=["drinks"])).facets
    assert facets.products == 2
    assert facets.brands == (("Manufacturer 1", 1), ("Manufacturer 2", 1))
    assert facets.categories == ()
    soap = searcher.search("green soap").facets
    assert dict(soap.categories) == {"hygiene": 2, "hygiene > soap": 2, "drinks": 1, "drinks > tea": 1}
    assert sum(band.count for band in soap.prices) == 2  # one of the three has no price


def test_price_bands_cover_every_price(searcher: Searcher) -> None:
    """Prices 1, 1.5, 2, 2, 3.5, 4, 9: the quintiles between are 1.6, 2, 2.9 and 3.9."""
    bands = searcher.search("tea soap shampoo coffee drink green", 10, Filters(every=True)).facets.prices
    # of the two variants the first counts, for 2; bands without a product are not shown
    assert bands == (Band(1.0, 1.6, 2), Band(2.0, 2.9, 2), Band(3.9, 9.0, 2))


def test_the_model_orders_what_is_as_good(searcher: Searcher) -> None:
    """With a weight above all others, the candidate that the model likes best comes first, the worst gets nothing."""
    keen = Searcher(searcher.catalogue, searcher.index, replace(SearchConfig(), personal=2.0))
    liked: list[Rows] = []

    def prefer(rows: Rows) -> np.ndarray:
        liked.append(rows)
        return np.where(rows == 7, 3.0, -rows.astype(np.float32)).astype(np.float32)

    hits = keen.search("green tea", 10, None, prefer).hits
    assert hits[0].product == 7
    assert hits[0].parts.personal == pytest.approx(2.0)
    assert min(hit.parts.personal for hit in hits) == 0
    assert sorted(liked[0].tolist()) == [0, 1, 2, 7]


def test_the_better_a_text_covers_the_words_the_less_vectors_count() -> None:
    config = replace(SearchConfig(), meaning_least=0.2, meaning_most=0.8)
    assert meaning_weight(1.0, config) == pytest.approx(0.2)
    assert meaning_weight(0.0, config) == pytest.approx(0.8)
    assert meaning_weight(0.5, config) == pytest.approx(0.8 - 0.6 / 16)
    words = WordScores(np.array([1, 0], np.float32), np.array([1, 0], np.float32))
    assert fuse(words, np.array([0, 1], np.float32), 0.25).tolist() == [0.75, 0.25]
    assert fuse(words, None, 0.25).tolist() == [1, 0]


@pytest.fixture(scope="module")
def with_vectors(searcher: Searcher) -> tuple[Searcher, list[str]]:
    """Vectors that put the query along the axis of "herbal drink", and what was encoded."""
    axes = np.eye(searcher.index.bm25.texts, dtype=np.float32)
    encoded: list[str] = []

    def encode(text: str) -> Vectors:
        encoded.append(text)
        return axes[searcher.index.text_of[6]]

    index = replace(searcher.index, vectors=axes)
    return Searcher(searcher.catalogue, index, SearchConfig(), encode), encoded


def test_meaning_finds_what_words_do_not(with_vectors: tuple[Searcher, list[str]]) -> None:
    searcher, encoded = with_vectors
    found = searcher.search("infusion")
    assert encoded[-1] == "infusion"
    assert found.hits[0].product == 6
    assert found.hits[0].similarity == 1
    assert found.hits[0].parts.meaning == pytest.approx(SearchConfig().meaning_most)
    assert (found.hits[0].words, found.meaning) == ({}, pytest.approx(0.8))


def test_mended_words_are_encoded_once_a_text_confirms_them(with_vectors: tuple[Searcher, list[str]]) -> None:
    searcher, encoded = with_vectors
    searcher.search("dvoe shmapoo")
    assert encoded[-1] == "dove shampoo"
    searcher.search("shmapoo for zeppelins and other things")  # no text has most of it
    assert encoded[-1] == "shmapoo for zeppelins and other things"


def test_another_source_puts_the_candidates_forward(searcher: Searcher) -> None:
    class Two:
        def products(self, query: Query, vector: Vectors | None, depth: int) -> Rows:
            assert (query.text, vector, depth) == ("green tea", None, SearchConfig().depth)
            return np.array([2, 5])

    found = Searcher(searcher.catalogue, searcher.index, replace(SearchConfig(), names=0.0), None, Two())
    hits = found.search("green tea").hits
    assert 2 in [hit.product for hit in hits]
    assert 5 not in [hit.product for hit in hits]  # which must not be recommended


@pytest.mark.parametrize("text", ["", "   ", "?!…", "\x00\x07\x1b", "☕🫖"])
def test_a_query_without_a_word_is_refused(searcher: Searcher, text: str) -> None:
    with pytest.raises(EncoderError, match="has no word") as caught:
        searcher.search(text)
    assert str(caught.value).isprintable()


def test_a_long_query_is_cut_and_said(searcher: Searcher) -> None:
    found = searcher.search("green tea " + "x" * 10_000)
    assert len(found.query.text) <= MOST_CHARACTERS
    assert "10,010 characters" in found.query.notes[0]
    assert found.hits[0].product == 1
    many = searcher.search(" ".join(f"w{n:02d}x" for n in range(60)))
    assert len(many.query.words) == MOST_WORDS
    assert any(f"first {MOST_WORDS}" in note for note in many.query.notes)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(text=st.text(max_size=80))
def test_any_query_is_answered_or_refused_in_one_line(searcher: Searcher, text: str) -> None:
    try:
        found = searcher.search(text)
    except EncoderError as error:
        assert str(error).isprintable()
        return
    rows = [hit.product for hit in found.hits]
    assert len(rows) == len(set(rows))
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    "text", ["title:tea", "tea~2", "+tea -green", "[tea TO green]", "te*", '"green tea', "tea AND", "a\\"]
)
def test_query_syntax_is_words_like_any_other(searcher: Searcher, text: str) -> None:
    searcher.search(text)


def test_a_shop_of_one_product_can_be_searched(make_shop: Callable[..., Snapshot], tmp_path: Path) -> None:
    shop = make_shop({"title": ["绿茶"]})
    searcher = Searcher(Catalogue(shop), open_index(shop, None, SearchConfig(), tmp_path), SearchConfig())
    assert products(searcher, "有机绿茶") == [0]
