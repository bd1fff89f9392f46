"""Pairs, masks and hard negatives of a tuning, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from encoders.tuning.batches import Drawer
from encoders.tuning.config import FinetuneConfig
from encoders.tuning.held_out import Question, hold_out
from encoders.tuning.pairs import TextPairs, ranges

CONFIG = FinetuneConfig(batch=8, hard=0.0, histories=3, partners=2, popularity=0.0)


def partners(n: int, weights: dict[tuple[int, int], float]) -> sp.csr_matrix:
    rows, columns = zip(*weights, strict=True)
    return sp.csr_matrix((np.asarray(list(weights.values()), np.float32), (rows, columns)), shape=(n, n))


@pytest.fixture
def pairs() -> TextPairs:
    """Texts 0-5: user 0 took 0, 1, 2 in this order; user 1 took 3, 1; user 2 took 4. Nobody took 5."""
    together = partners(6, {(0, 1): 1.0, (1, 0): 3.0, (1, 3): 1.0, (3, 1): 1.0})
    return TextPairs(6, np.array([0, 3, 5, 6]), np.array([0, 1, 2, 3, 1, 4]), {"together": together})


def test_takers_and_what_can_be_learned(pairs: TextPairs) -> None:
    assert pairs.takers.tolist() == [1, 2, 1, 1, 1, 0]
    # 1 and 2 come after something, 0, 1 and 3 have partners; 4 is somebody's only text and 5 is nobody's
    assert pairs.learnable.tolist() == [True, True, True, True, False, False]


def test_without_leaves_no_pair_of_a_text(pairs: TextPairs) -> None:
    rest = pairs.without(np.array([False, True, False, False, False, False]))
    assert rest.texts.tolist() == [0, 2, 3, 4]
    assert rest.indptr.tolist() == [0, 2, 3, 4]
    assert rest.partners["together"].nnz == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=8))
def test_ranges_one_after_another(parts: list[tuple[int, int]]) -> None:
    begin = np.array([a for a, _ in parts], np.int64)
    length = np.array([b for _, b in parts], np.int64)
    bounds, found = ranges(begin, begin + length)
    assert found.tolist() == [n for a, b in parts for n in range(a, a + b)]
    assert bounds.tolist() == np.concatenate([[0], np.cumsum(length)]).tolist()


def test_a_step_by_hand(pairs: TextPairs) -> None:
    vectors = np.eye(6, dtype=np.float32)
    step = Drawer(pairs, CONFIG).draw(np.random.default_rng(0), vectors)
    assert sorted(step.texts.tolist()) == [0, 1, 2, 3]  # what cannot be learned is no negative either
    bags = [set(np.flatnonzero(row).tolist()) for row in step.bags.toarray()]
    asked = step.texts[step.answer].tolist()
    histories, rest = slice(0, 6), slice(6, None)
    # text 1: after 0 (user 0) or after 3 (user 1); text 2: after 0 and 1; three histories each
    assert sorted(asked[histories]) == [1, 1, 1, 2, 2, 2]
    for row, text in enumerate(asked[histories]):
        bag = bags[row]
        assert bag in ([{0}, {3}] if text == 1 else [{0, 1}])
        user = {0, 1, 2} if 0 in bag else {3, 1}
        masked = {int(t) for t in step.texts[step.masked[row]]}
        assert masked == user - {text}  # all that the user took, now or later, but the answer
    # partners: two draws for each text that has any; 0 stands together with 1, and 1 with 0 and 3
    assert sorted(asked[rest]) == [0, 0, 1, 1, 3, 3]
    for row, text in enumerate(asked[rest], start=6):
        (partner,) = bags[row]
        known = {0: {1}, 1: {0, 3}, 3: {1}}[partner]
        assert text in known
        masked = {int(t) for t in step.texts[step.masked[row]]}
        assert masked == (known | {partner}) - {text}
    assert not step.masked[np.arange(len(asked)), step.answer].any()
    np.testing.assert_allclose(step.bags.sum(1), 1, atol=1e-6)


def test_partners_are_drawn_by_weight(pairs: TextPairs) -> None:
    drawer = Drawer(pairs, replace(CONFIG, histories=0, partners=4000))
    step = drawer.draw(np.random.default_rng(1), np.eye(6, dtype=np.float32))
    of_one = step.bags[step.texts[step.answer] == 1].sum(0)
    share = np.asarray(of_one).ravel() / 4000
    assert share[0] == pytest.approx(0.75, abs=0.03)  # weights 3 and 1
    assert share[3] == pytest.approx(0.25, abs=0.03)


def test_a_history_is_cut_to_its_latest_texts() -> None:
    line = TextPairs(5, np.array([0, 5]), np.arange(5), {})
    step = Drawer(line, replace(CONFIG, history=2)).draw(np.random.default_rng(0), np.eye(5, dtype=np.float32))
    for row, text in enumerate(step.texts[step.answer].tolist()):
        assert np.flatnonzero(step.bags[row].toarray()).tolist() == list(range(max(0, text - 2), text))


def test_popular_texts_are_drawn_by_a_power_of_their_takers() -> None:
    takers = [1] * 16 + [16]  # the last text has sixteen takers, each after another text
    texts = [t for first in range(16) for t in (first, 16)]
    pairs = TextPairs(17, np.arange(0, 33, 2), np.array(texts), {"x": partners(17, {(i, 16): 1.0 for i in range(16)})})
    assert pairs.takers.tolist() == takers
    for power, share in ((0.0, 1 / 17), (0.5, 4 / 20), (1.0, 16 / 32)):
        np.testing.assert_allclose(Drawer(pairs, replace(CONFIG, popularity=power)).chance[-1], share)


def test_hard_negatives_are_near_and_no_partners(pairs: TextPairs) -> None:
    angle = np.array([0.0, 0.1, 0.5, 0.2, 0.05, 0.01])
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    drawer = Drawer(pairs, replace(CONFIG, near=2))
    # of 0: 5 and 4 are nearest but never answers, 1 is a partner; of 1: 0 and 3 are partners
    assert drawer.near(np.array([0, 1]), vectors).tolist() == [[3, 2], [2, -1]]


def test_hard_negatives_join_the_step() -> None:
    n = 40
    chain = {(i, (i + 1) % n): 1.0 for i in range(n)}
    pairs = TextPairs(n, np.array([0]), np.zeros(0, np.int64), {"next": partners(n, chain)})
    angle = np.arange(n) * 0.01
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    drawer = Drawer(pairs, replace(CONFIG, batch=8, hard=0.5, near=1))
    for seed in range(5):
        step = drawer.draw(np.random.default_rng(seed), vectors)
        assert len(set(step.texts.tolist())) == len(step.texts) <= 8
        seeds, hard = set(step.texts[:4].tolist()), step.texts[4:].tolist()
        # the nearest that is no neighbour on the chain stands two further on
        assert all({(h + 2) % n, (h - 2) % n} & seeds for h in hard)
        assert set(hard) <= set(step.texts[step.answer].tolist())  # they are answers of their own anchors


def test_held_out_texts_leave_every_pair_and_are_asked_for(pairs: TextPairs) -> None:
    rest, question = hold_out(pairs, 0.21, np.random.default_rng(4))  # one of five
    (held,) = question.texts.tolist()
    assert held not in rest.texts
    matrix = rest.partners["together"].toarray()
    assert not matrix[held].any()
    assert not matrix[:, held].any()
    users = [u for u, own in enumerate(([0, 1, 2], [3, 1], [4])) if held in own and len(own) > 1]
    assert question.taken.tolist() == [[True]] * len(users)
    for row, user in zip(question.histories.toarray(), users, strict=True):
        assert set(np.flatnonzero(row).tolist()) == {0: {0, 1, 2}, 1: {3, 1}}[user] - {held}


def test_ndcg_by_hand() -> None:
    histories = sp.csr_matrix(np.array([[1, 0, 0, 0]], np.float32))
    question = Question(np.array([1, 2, 3]), histories, np.array([[True, False, True]]))
    vectors = np.array([[1, 0], [0.6, 0.8], [1, 0], [0, 1]], np.float32)
    # the order is 2, 1, 3: hits at the second and third place of two possible
    expected = (1 / np.log2(3) + 1 / np.log2(4)) / (1 + 1 / np.log2(3))
    assert question.ndcg(vectors) == pytest.approx(expected)
    assert Question(np.zeros(0, np.int64), histories[:0], np.zeros((0, 0), np.bool_)).ndcg(vectors) == 0
