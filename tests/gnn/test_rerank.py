"""Re-ranking against a user-by-user reference, small cases worked by hand, and properties."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gnn.config import RerankConfig
from gnn.errors import GnnError
from gnn.measure.ranking import MASKED, top_k
from gnn.protocol.interactions import Interactions
from gnn.rerank.objective import SMOOTHING, divergence, relevance, shares
from gnn.rerank.reranker import Reranker
from gnn.rerank.rules import RAW
from gnn.rerank.traits import Traits

Histories = Callable[[Mapping[int, Sequence[int]], int, int], Interactions]
ITEMS = 30


def some_traits(seed: int, vectors: bool = True) -> Traits:
    rng = np.random.default_rng(seed)
    unit = rng.normal(size=(ITEMS, 5)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return Traits(
        variant=rng.permutation(ITEMS) % 25,
        brand=rng.integers(-1, 5, ITEMS),
        category=rng.integers(-1, 8, ITEMS),
        coarse=np.concatenate([np.arange(4), rng.integers(0, 4, ITEMS - 4)]),
        vectors=unit if vectors else None,
    )


def alike(traits: Traits, config: RerankConfig, a: int, b: int) -> float:
    if config.similarity == "vectors":
        assert traits.vectors is not None
        return float(traits.vectors[a].astype(float) @ traits.vectors[b].astype(float))
    labels = traits.category if config.similarity == "category" else traits.brand
    return float(labels[a] == labels[b] >= 0)


def kl(p: NDArray[np.float64], members: Sequence[int], traits: Traits) -> float:
    total = 0.0
    for kind, share in enumerate(p):
        if share > 0:
            held = sum(1 for i in members if traits.coarse[i] == kind) / len(members)
            total += share * math.log(share / ((1 - SMOOTHING) * held + SMOOTHING * share))
    return total


def one_list(scores: NDArray[np.float32], history: Sequence[int], traits: Traits, config: RerankConfig, k: int) -> list:
    """One user's list, product by product, as the papers write it; every candidate is in the pool."""
    order = [i for i in sorted(range(ITEMS), key=lambda i: (-scores[i], i)) if scores[i] != MASKED]
    low, span = float(scores[order[-1]]), float(scores[order[0]]) - float(scores[order[-1]])
    p = np.bincount([traits.coarse[i] for i in history], minlength=4) / max(1, len(history))
    chosen: list[int] = []
    while len(chosen) < k:
        worth = {}
        for i in order:
            labels = ((traits.variant, 1), (traits.brand, config.per_brand), (traits.category, config.per_category))
            if any(cap and label[i] >= 0 and sum(label[j] == label[i] for j in chosen) >= cap for label, cap in labels):
                continue
            relevant = (float(scores[i]) - low) / span
            similar = max((alike(traits, config, i, j) for j in chosen), default=0.0)
            value = (1 - config.mmr) * relevant - config.mmr * similar
            worth[i] = (1 - config.calibration) * value - config.calibration * kl(p, [*chosen, i], traits)
        if not worth:
            break
        chosen.append(next(i for i in worth if worth[i] >= max(worth.values()) - 1e-9))
    return chosen


SETTINGS = [
    RerankConfig(mmr=0.3),
    RerankConfig(mmr=0.6, similarity="brand"),
    RerankConfig(mmr=0.5, similarity="vectors"),
    RerankConfig(mmr=0.0, calibration=0.3),
    RerankConfig(mmr=0.0, calibration=1.0),
    RerankConfig(mmr=0.4, similarity="vectors", calibration=0.6, per_brand=2, per_category=1),
]


@pytest.mark.parametrize("config", SETTINGS)
@pytest.mark.parametrize("seed", range(4))
def test_lists_are_those_of_the_reference(config: RerankConfig, seed: int, interactions: Histories) -> None:
    rng, traits = np.random.default_rng(seed), some_traits(seed)
    scores = rng.normal(size=(12, ITEMS)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = MASKED
    known = {u: rng.choice(ITEMS, rng.integers(1, 9), replace=False).tolist() for u in range(1, 12)}
    histories = interactions(known, 12, ITEMS)  # user 0 has no history
    lists = Reranker(config, traits, np.arange(ITEMS), 12).lists(scores, histories, 10)
    for user in range(12):
        want = one_list(scores[user], known.get(user, []), traits, config, 10)
        assert [i for i in lists[user] if i >= 0] == want


def test_mmr_by_hand() -> None:
    """Relevance 1, .9, .8, 0; the first two of one category: at .3 the third comes second, at .05 nothing moves."""
    traits = Traits(np.arange(4), np.full(4, -1), np.array([7, 7, 8, 9]), np.zeros(4, np.int64))
    scores = np.array([[11.0, 10.0, 9.0, 1.0]], np.float32)
    for mmr, want in ((0.3, [0, 2, 1, 3]), (0.05, [0, 1, 2, 3]), (0.08, [0, 1, 2, 3]), (0.11, [0, 2, 1, 3])):
        config = replace(RAW, mmr=mmr)
        assert Reranker(config, traits, np.arange(4), 1).lists(scores, _nobody(1), 4).tolist() == [want]


def test_calibration_by_hand(interactions: Histories) -> None:
    """Half the history is of category 0, half of 1; the model likes 0 only: full calibration alternates."""
    traits = Traits(np.arange(6), np.full(6, -1), np.full(6, -1), np.array([0, 0, 0, 1, 1, 1]))
    histories = interactions({0: [0, 5]}, 1, 6)
    scores = np.array([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]], np.float32)
    for weight, want in ((1.0, [0, 3, 1, 4]), (0.0, [0, 1, 2, 3])):
        config = replace(RAW, calibration=weight, per_brand=1)
        assert Reranker(config, traits, np.arange(6), 1).lists(scores, histories, 4).tolist() == [want]


def test_divergence_by_hand(interactions: Histories) -> None:
    kinds, histories = np.array([0, 0, 1, 2]), interactions({0: [0, 1, 2, 3], 1: [3]}, 3, 4)
    p = shares(histories, kinds, np.array([True, True, False]))  # no list can hold category 2
    np.testing.assert_allclose(p, [[2 / 3, 1 / 3, 0], [0, 0, 0], [0, 0, 0]])
    found = divergence(np.array([[0, 0, -1], [2, 2, 2], [-1, -1, -1]]), p)
    first = 2 / 3 * math.log((2 / 3) / (0.99 + 0.01 * 2 / 3)) + 1 / 3 * math.log(1 / 0.01)
    np.testing.assert_allclose(found, [first, 0, 0])


def test_relevance_scales_the_nominal_pool() -> None:
    scores = np.array([[4, 3, 2, 1, -np.inf], [5, 5, 5, -np.inf, -np.inf], [2, 0, -np.inf, -np.inf, -np.inf]])
    found = relevance(scores.astype(np.float32), 3)
    np.testing.assert_allclose(found, [[1, 0.5, 0, -0.5, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]])


def random_case(seed: int) -> tuple[NDArray[np.float32], Traits]:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 12, (7, ITEMS)).astype(np.float32)  # with ties
    scores[rng.random(scores.shape) < 0.3] = MASKED
    return scores, some_traits(seed, vectors=False)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    mmr=st.sampled_from([0.0, 0.2, 0.9, 1.0]),
    per_brand=st.integers(0, 3),
    per_category=st.integers(0, 2),
    share=st.sampled_from([0.0, 0.3, 0.5]),
    pool=st.integers(1, 40),
    k=st.integers(1, 12),
)
def test_caps_are_never_exceeded(
    seed: int, mmr: float, per_brand: int, per_category: int, share: float, pool: int, k: int
) -> None:
    scores, traits = random_case(seed)
    config = RerankConfig(mmr=mmr, per_brand=per_brand, per_category=per_category, exposure_cap=share, pool=pool)
    lists = Reranker(config, traits, np.arange(ITEMS), 7).lists(scores, _nobody(7), k)
    most = max(1, math.floor(share * 7)) if share else 7
    assert np.bincount(lists[lists >= 0], minlength=ITEMS).max(initial=0) <= most
    counts = np.bincount(lists[lists >= 0], minlength=ITEMS)
    for user, row in enumerate(lists):
        got = row[row >= 0]
        assert (row[len(got) :] == -1).all()
        assert (scores[user, got] != MASKED).all()
        assert len(set(traits.variant[got])) == len(got)
        full = set()
        for label, cap in ((traits.brand, per_brand), (traits.category, per_category)):
            held = np.bincount(label[got][label[got] >= 0], minlength=10)
            assert not cap or held.max() <= cap
            full |= {("brand" if label is traits.brand else "category", n) for n in range(10) if cap and held[n] >= cap}
        if len(got) < k:  # only because nothing is left that the rules let in
            for item in np.flatnonzero(scores[user] != MASKED):
                assert (
                    traits.variant[item] in traits.variant[got]
                    or ("brand", traits.brand[item]) in full
                    or ("category", traits.category[item]) in full
                    or counts[item] >= most
                )


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 35), pool=st.integers(1, 40))
def test_without_rules_the_order_is_the_models(seed: int, k: int, pool: int) -> None:
    scores, traits = random_case(seed)
    loose = replace(traits, variant=np.arange(ITEMS))
    off = replace(RAW, pool=pool)
    idle = replace(off, per_brand=ITEMS, per_category=ITEMS)  # caps that never bind, but the greedy way
    for config in (off, idle):
        lists = Reranker(config, loose, np.arange(ITEMS), 7).lists(scores, _nobody(7), k)
        assert np.array_equal(lists, top_k(scores, k))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), short=st.integers(1, 9), mmr=st.floats(0, 1))
def test_a_short_list_is_the_beginning_of_a_longer_one(seed: int, short: int, mmr: float) -> None:
    scores, traits = random_case(seed)
    config = RerankConfig(mmr=mmr, per_brand=3)
    ten, less = (Reranker(config, traits, np.arange(ITEMS), 7).lists(scores, _nobody(7), k) for k in (10, short))
    assert np.array_equal(ten[:, :short], less)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), places=st.sets(st.integers(0, 7), min_size=1, max_size=4), pool=st.integers(1, 20))
def test_pinned_products_stand_in_their_places(seed: int, places: set[int], pool: int) -> None:
    scores, traits = random_case(seed)
    rng = np.random.default_rng(seed)
    pins = dict(zip(sorted(places), rng.choice(ITEMS, len(places), replace=False).tolist(), strict=True))
    config = RerankConfig(mmr=0.2, per_brand=4, pool=pool)
    lists = Reranker(config, traits, np.arange(ITEMS), 7, pins).lists(scores, _nobody(7), 6)
    for user, row in enumerate(lists):
        got = [i for i in row if i >= 0]
        assert len(set(got)) == len(got)
        for place, item in pins.items():
            if scores[user, item] == MASKED or place >= 6:
                assert scores[user, item] != MASKED or item not in got
            elif len(got) == 6:
                assert row[place] == item
            else:
                assert item in got


def test_a_pin_counts_in_the_caps_and_closes_a_gap_before_it() -> None:
    traits = Traits(np.arange(4), np.array([1, 1, 2, 1]), np.full(4, -1), np.zeros(4, np.int64))
    scores = np.array([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 2.0, -np.inf]], np.float32)
    pinned = Reranker(replace(RAW, per_brand=1), traits, np.arange(4), 2, {2: 3}).lists(scores, _nobody(2), 3)
    assert pinned.tolist() == [[2, 3, -1], [0, 2, -1]]  # the second user may not have it


def test_a_pin_that_a_user_may_not_have_changes_nothing_for_them(interactions: Histories) -> None:
    traits = some_traits(3)
    scores = np.random.default_rng(3).normal(size=(6, ITEMS)).astype(np.float32)
    scores[::2, 4] = MASKED
    histories = interactions({u: [u, u + 9, u + 20] for u in range(6)}, 6, ITEMS)
    config = RerankConfig(mmr=0.5, calibration=0.3, per_brand=2, per_category=2)
    with_pin, without = (
        Reranker(config, traits, np.arange(ITEMS), 6, pins).lists(scores, histories, 8) for pins in ({1: 4}, {})
    )
    assert np.array_equal(with_pin[::2], without[::2])
    assert (with_pin[1::2, 1] == 4).all()


def test_a_wider_pool_is_taken_where_the_first_cannot_fill_the_list() -> None:
    brand = np.array([0] * 25 + [1, 2, 3, 4, 5])
    traits = Traits(np.arange(ITEMS), brand, np.full(ITEMS, -1), np.zeros(ITEMS, np.int64))
    scores = -np.arange(ITEMS, dtype=np.float32)[None].repeat(3, axis=0)
    lists = Reranker(replace(RAW, per_brand=1, pool=4), traits, np.arange(ITEMS), 3).lists(scores, _nobody(3), 4)
    assert lists.tolist() == [[0, 25, 26, 27]] * 3


def test_a_wider_pool_keeps_the_scale_of_the_first() -> None:
    """Brands let in 0, 4 and 5; 4 is of the category of 0. On the scale of the first four places 4 is worth -1/3 and
    5 is worth -7/3: that is further apart than the similarity counts. On that of all six it would be 0.6 and 0.
    """
    traits = Traits(np.arange(6), np.array([0, 0, 0, 0, 1, 2]), np.array([5, 1, 2, 3, 5, 4]), np.zeros(6, np.int64))
    scores = np.array([[10.0, 9.0, 8.0, 7.0, 6.0, 0.0]], np.float32)
    config = replace(RAW, mmr=0.5, per_brand=1, pool=4)
    assert Reranker(config, traits, np.arange(6), 1).lists(scores, _nobody(1), 2).tolist() == [[0, 4]]


def test_candidates_are_a_part_of_the_products() -> None:
    """Labels belong to products, lists name positions among the candidates."""
    traits = Traits(np.arange(6), np.array([0, 1, 1, 2, 2, 3]), np.full(6, -1), np.zeros(6, np.int64))
    scores = np.array([[4.0, 3.0, 2.0, 1.0]], np.float32)
    lists = Reranker(replace(RAW, per_brand=1), traits, np.array([1, 2, 4, 5]), 1, {1: 5}).lists(scores, _nobody(1), 4)
    assert lists.tolist() == [[0, 3, 2, -1]]


def test_vectors_are_asked_for_in_vain() -> None:
    with pytest.raises(GnnError, match="no product vectors"):
        Reranker(RerankConfig(mmr=0.1, similarity="vectors"), some_traits(0, vectors=False), np.arange(3), 1)


def _nobody(users: int) -> Interactions:
    """Users without history."""
    whole, half = np.zeros(0, np.int64), np.zeros(0, np.float32)
    arrays = {"indptr": np.zeros(users + 1, np.int64), "items": whole, "counts": half, "recent": half}
    return Interactions(**arrays, first=whole, last=whole, n_items=ITEMS)
