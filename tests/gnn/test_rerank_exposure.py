"""The exposure cap: who gives way, and the count over blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gnn.protocol.interactions import Interactions
from gnn.rerank import reranker as pipeline
from gnn.rerank.caps import Exposure, settle
from gnn.rerank.reranker import Reranker
from gnn.rerank.rules import RAW
from gnn.rerank.traits import Traits


def nobody(users: int) -> Interactions:
    whole, half = np.zeros(0, np.int64), np.zeros(0, np.float32)
    return Interactions(np.zeros(users + 1, np.int64), whole, half, half, whole, whole, 50)


def plain_traits(items: int) -> Traits:
    return Traits(np.arange(items), np.full(items, -1), np.full(items, -1), np.zeros(items, np.int64))


def test_who_loses_least_gives_way_whatever_the_order() -> None:
    """All want product 0, which is left once; the second user's next best is far worse."""
    value = np.array([[1.0, 0.9, 0.0], [1.0, 0.2, 0.1], [1.0, 0.8, 0.7]])
    columns = np.tile(np.arange(3), (3, 1))
    left = np.array([1, 1, 3])
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        place, found = settle(value[order].copy(), columns, left)
        assert found.all()
        # the first and the third user meet again at product 1: .9 - 0 is more to lose than .8 - .7
        assert dict(zip(order, place.tolist(), strict=True)) == {0: 1, 1: 0, 2: 2}


def test_of_equal_losses_the_earlier_user_is_first_and_none_may_be_left() -> None:
    columns = np.array([[0, 1], [0, 1], [0, 1]])
    place, found = settle(np.array([[2.0, 1.0]] * 3), columns, np.array([1, 1]))
    assert columns[np.arange(3), place][found].tolist() == [0, 1]
    assert found.tolist() == [True, True, False]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), users=st.integers(1, 12), items=st.integers(1, 8), most=st.integers(0, 4))
def test_nobody_is_refused_a_product_that_is_not_used_up(seed: int, users: int, items: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    value = rng.random((users, items))
    value[rng.random(value.shape) < 0.2] = -np.inf
    columns = np.stack([rng.permutation(items) for _ in range(users)])
    left = rng.integers(0, most + 1, items)
    place, found = settle(value.copy(), columns, left)
    taken = columns[np.arange(users), place]
    counts = np.bincount(taken[found], minlength=items)
    assert (counts <= left).all()
    for user in range(users):
        mine = value[user, place[user]] if found[user] else -np.inf
        assert (counts[columns[user, value[user] > mine]] == left[columns[user, value[user] > mine]]).all()


def test_the_allowance_grows_with_the_lists() -> None:
    exposure = Exposure(2, 100, 0.29)
    assert exposure.most == 29  # not 28, which 0.29 * 100 in floating point would give
    assert Exposure(2, 3, 0.1).most == 1
    exposure.begin(50)
    assert exposure.left().tolist() == [15, 15]
    exposure.commit(np.array([[0, -1], [0, 1]]))
    assert exposure.left().tolist() == [13, 14]
    exposure.begin(50)
    assert exposure.left().tolist() == [27, 28]


@pytest.mark.parametrize("block", [1, 7, 40])
def test_the_cap_holds_over_blocks_and_late_users_get_their_share(block: int) -> None:
    """Forty users of one taste; a tenth of the lists: four places for each product."""
    scores = np.tile(-np.arange(50, dtype=np.float32), (40, 1))
    maker = Reranker(replace(RAW, exposure_cap=0.1), plain_traits(50), np.arange(50), 40)
    parts = [
        maker.lists(scores[at : at + block], nobody(len(scores[at : at + block])), 5) for at in range(0, 40, block)
    ]
    lists = np.concatenate(parts)
    assert (lists >= 0).all()  # 50 products * 4 places = 40 lists * 5 places: the last place is taken
    assert np.bincount(lists.ravel(), minlength=50).tolist() == [4] * 50
    if block < 40:  # each quarter of the users has the favourite once, in each order of blocks
        assert [(part == 0).any(1).sum() for part in np.split(lists, 4)] == pytest.approx([1] * 4, abs=1)


def test_a_second_look_at_a_wider_pool_grants_nothing_more() -> None:
    """The first ten of forty lists: one place for each of fifty products, though the pool holds ten of them."""
    scores = np.tile(-np.arange(50, dtype=np.float32), (10, 1))
    maker = Reranker(replace(RAW, exposure_cap=0.1, pool=10), plain_traits(50), np.arange(50), 40)
    assert sorted(maker.lists(scores, nobody(10), 5).ravel()) == list(range(50))


def test_users_that_come_in_one_call_are_parted_by_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(60, 50)).astype(np.float32) - np.arange(50, dtype=np.float32) / 10

    def lists() -> NDArray[np.int64]:
        return Reranker(replace(RAW, exposure_cap=0.2), plain_traits(50), np.arange(50), 60).lists(
            scores, nobody(60), 6
        )

    whole = lists()
    monkeypatch.setattr(pipeline, "CELLS", 500)  # ten users at a time
    parted = lists()
    for found in (whole, parted):
        assert (found >= 0).all()
        assert np.bincount(found.ravel()).max() == 12


def test_one_list_alone_is_not_capped() -> None:
    scores = -np.arange(9, dtype=np.float32)[None]
    lists = Reranker(replace(RAW, exposure_cap=0.01), plain_traits(9), np.arange(9), 1).lists(scores, nobody(1), 4)
    assert lists.tolist() == [[0, 1, 2, 3]]
