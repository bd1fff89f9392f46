"""Pairs of texts by hand, and the proof that none of them comes from what is held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from encoders.tuning.pairs import TextPairs
from gnn.config import GnnConfig, SplitConfig
from gnn.errors import GnnError
from gnn.evaluation.canaries import plant
from gnn.model.align import make_split
from gnn.protocol.events import DAY, Events
from gnn.protocol.splits import Split
from gnn.protocol.text_pairs import NEED, SHRINK, text_pairs, with_needs
from gnn.protocol.text_reach import reach, refuse_past
from kg.snapshot import EdgeTable, Snapshot

Graph = Callable[[Sequence[tuple[str, str, float | None]]], Snapshot]


def events(rows: Sequence[tuple[int, int, float]], n_items: int, *, timed: bool = True) -> Events:
    users, items, order = (np.asarray(column) for column in zip(*rows, strict=True))
    at = (order * DAY if timed else order).astype(np.int64)
    return Events(users, items, at, timed, None, 3, n_items)


def split_of(train: Events, side: Events | None = None) -> Split:
    nothing = train.where(np.zeros(len(train), np.bool_))
    parts = {"train": {"view": side}} if side is not None else {}
    return Split("time", {}, train, nothing, nothing, side=parts)


# products 0 and 1 have text 0, products 2, 3, 4 have texts 1, 2, 3; product 5 has none
TEXT_OF = np.array([0, 0, 1, 2, 3, -1])
# user 0: day 5 products 0, 1, 2 and 5; day 6 product 3. user 1: day 5 products 2 and 1. user 2: day 9 product 4
ROWS = [(0, 3, 6.5), (0, 0, 5.2), (0, 1, 5.3), (0, 2, 5.4), (0, 5, 5.4), (1, 2, 5.0), (1, 1, 5.1), (2, 4, 9.0)]


def pairs_of(split: Split, window_days: float = 1.0, stretch: int = 2, most: int = 9) -> TextPairs:
    return text_pairs(split, TEXT_OF, window_days=window_days, stretch=stretch, most=most)


def test_histories_in_order_and_without_repeats() -> None:
    pairs = pairs_of(split_of(events(ROWS, 6)))
    assert pairs.indptr.tolist() == [0, 3, 5, 6]
    assert pairs.texts.tolist() == [0, 1, 2, 1, 0, 3]


def filed(rows: Sequence[tuple[int, int]]) -> Snapshot:
    """Products in categories."""
    src, dst = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    table = EdgeTable(src, dst, pa.table({"_": pa.nulls(len(rows))}))
    return Snapshot({}, {("Product", "IN_CATEGORY", "Category"): table})


def test_texts_of_one_category_serve_one_need() -> None:
    pairs = pairs_of(split_of(events(ROWS, 6)))
    # text 0 by both of its products, text 1 and the product without a text in category 0; texts 2 and 3 in 1; 3 in 2
    graph = filed([(0, 0), (1, 0), (2, 0), (5, 0), (3, 1), (4, 1), (4, 2)])
    found = with_needs(pairs, graph, TEXT_OF, 5, 0)
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = expected[2, 3] = expected[3, 2] = 1
    np.testing.assert_array_equal(found.partners[NEED].toarray(), expected)
    assert {kind: m for kind, m in found.partners.items() if kind != NEED} == pairs.partners
    assert with_needs(pairs, graph, TEXT_OF, 0, 0) is pairs
    assert with_needs(pairs, Snapshot({}, {}), TEXT_OF, 5, 0) is pairs
    assert NEED not in with_needs(pairs, filed([(0, 0), (1, 0), (3, 1)]), TEXT_OF, 5, 0).partners


def test_of_a_large_category_some_are_drawn() -> None:
    many = 60
    pairs = TextPairs(many, np.zeros(1, np.int64), np.zeros(0, np.int64), {})
    graph = filed([(n, int(n >= 50)) for n in range(many)])
    drawn = [with_needs(pairs, graph, np.arange(many), 12, seed).partners[NEED].toarray() for seed in (0, 0, 1)]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    for found in drawn:
        assert not found.diagonal().any()
        assert not found[:50, 50:].any()
        assert not found[50:, :50].any()
        counts = (found[:50] > 0).sum(1)
        assert counts.max() <= 13
        assert 8 < counts.mean() < 13  # 13 draws of 50, some of them twice
        assert (found[50:, 50:] + np.eye(10) == 1).all()  # ten are no more than asked for


def test_taken_together_on_one_day() -> None:
    found = pairs_of(split_of(events(ROWS, 6))).partners["taken together"].toarray()
    expected = np.zeros((4, 4))
    # texts 0 and 1 share the baskets of both users, each stands in two; equal texts are no pair
    expected[0, 1] = expected[1, 0] = 2 / (2 + SHRINK)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_wider_window_ties_more() -> None:
    found = pairs_of(split_of(events(ROWS, 6)), window_days=7).partners["taken together"].toarray()
    assert found[0, 2] == pytest.approx(1 / (np.sqrt(2 * 1) + SHRINK))
    assert not found[3].any()


def test_without_times_stretches_of_a_users_events() -> None:
    rows = [(0, 0, 0), (0, 2, 1), (0, 3, 2), (0, 4, 3)]
    found = pairs_of(split_of(events(rows, 6, timed=False))).partners["taken together"].toarray()
    assert sorted(zip(*np.nonzero(found), strict=True)) == [(0, 1), (1, 0), (2, 3), (3, 2)]


def test_seen_then_taken() -> None:
    looks = events([(0, 4, 5.1), (0, 2, 5.1), (1, 4, 8.0)], 6)
    found = pairs_of(split_of(events(ROWS, 6), looks)).partners["seen and taken"].toarray()
    # that day user 0 looked at texts 3 and 1 and took 0 and 1: the row is what was taken, the column what was seen;
    # user 1 took nothing on the day of the look at text 3, which counts below the line
    expected = np.zeros((4, 4))
    expected[0, 3] = expected[1, 3] = 1 / (np.sqrt(2 * 2) + SHRINK)
    expected[0, 1] = 1 / (np.sqrt(2 * 1) + SHRINK)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_only_the_strongest_partners_stay() -> None:
    rows = [(0, 0, 1), (0, 2, 1), (0, 3, 1), (1, 0, 1), (1, 2, 1)]
    found = pairs_of(split_of(events(rows, 6)), most=1).partners["taken together"].toarray()
    assert [np.flatnonzero(row).tolist() for row in found] == [[1], [0], [0], []]


def test_a_supernode_is_nobodys_strongest_partner() -> None:
    rows = [(u, 0, d) for u in range(3) for d in range(30)]  # text 0 is in every basket
    rows += [(0, 2, 1), (0, 3, 1), (0, 2, 2), (0, 3, 2)]
    found = pairs_of(split_of(events(rows, 6)), most=1).partners["taken together"].toarray()
    assert np.flatnonzero(found[1]).tolist() == [2]
    assert np.flatnonzero(found[2]).tolist() == [1]


@pytest.mark.parametrize("method", ["time", "column"])
def test_no_pair_comes_from_a_planted_event(shop: Snapshot, method: str) -> None:
    """Bit-equal with and without events, views and relations planted in the held-out part."""
    split = SplitConfig(method="time", valid_from="1970-01-11", test_from="1970-01-12")
    config = GnnConfig(split=split if method == "time" else SplitConfig(method="column"))
    planted = plant(shop, config)
    rows = np.arange(len(shop.nodes["Product"]))
    for at in (config, replace(config, graph=replace(config.graph, exclude_relations=()))):
        found = [
            text_pairs(make_split(graph, at), rows, window_days=3, stretch=5, most=50)
            for graph in (planted.snapshot, shop)
        ]
        np.testing.assert_array_equal(found[0].texts, found[1].texts)
        np.testing.assert_array_equal(found[0].indptr, found[1].indptr)
        assert list(found[0].partners) == list(found[1].partners) == ["taken together"]
        assert (found[0].partners["taken together"] != found[1].partners["taken together"]).nnz == 0


DAILY = [*(("u", f"p{d}", float(d)) for d in range(10)), *(("v", f"p{d}", float(d)) for d in range(0, 10, 2))]


@pytest.fixture
def line(graph: Graph) -> Snapshot:
    """One user takes a product a day, another one every other."""
    return graph(DAILY)


def timed(valid: str, test: str = "1970-01-10") -> GnnConfig:
    return GnnConfig(split=SplitConfig(method="time", valid_from=valid, test_from=test))


def tuned_on(snapshot: Snapshot, config: GnnConfig) -> dict[str, object]:
    return {"split": reach(make_split(snapshot, config), snapshot)}


def test_an_encoder_that_saw_what_is_held_out_is_refused(line: Snapshot) -> None:
    early, late = timed("1970-01-06"), timed("1970-01-08")
    refuse_past(tuned_on(line, early), make_split(line, late), line)
    refuse_past(tuned_on(line, late), make_split(line, late), line)
    with pytest.raises(GnnError, match=r"tuned on events up to 1970-01-08.* keeps those from 1970-01-06"):
        refuse_past(tuned_on(line, late), make_split(line, early), line)
    refuse_past({}, make_split(line, early), line)


def test_a_tuning_of_a_tuned_encoder_is_looked_through(line: Snapshot) -> None:
    early, late = timed("1970-01-06"), timed("1970-01-08")
    chain = tuned_on(line, early) | {"earlier": tuned_on(line, late)}
    with pytest.raises(GnnError, match="tuned on events up to 1970-01-08"):
        refuse_past(chain, make_split(line, early), line)


def test_without_times_the_very_pairs_must_be_the_same(line: Snapshot, graph: Graph) -> None:
    by_user = GnnConfig(split=SplitConfig(method="leave-one-out"))
    refuse_past(tuned_on(line, by_user), make_split(line, by_user), line)
    with pytest.raises(GnnError, match="another split"):
        refuse_past(tuned_on(line, by_user), make_split(line, timed("1970-01-06")), line)
    with pytest.raises(GnnError, match="another split"):
        refuse_past(tuned_on(line, timed("1970-01-06")), make_split(line, by_user), line)
    grown = graph([*DAILY, ("w", "p0", 1.0)])  # a user with one event, which leave-one-out trains on
    with pytest.raises(GnnError, match="another split"):
        refuse_past(tuned_on(line, by_user), make_split(grown, by_user), grown)


def test_the_pairs_are_told_by_ids_not_by_rows(line: Snapshot, graph: Graph) -> None:
    early = timed("1970-01-06")
    grown = graph([*DAILY, ("a", "a0", 8.0)])  # all rows move, the training part stays
    assert tuned_on(grown, early) == tuned_on(line, early)
