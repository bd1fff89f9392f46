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


ALL = np.ones(6, np.bool_)


def test_a_step_by_hand(pairs: TextPairs) -> None:
    drawer, vectors = Drawer(pairs, CONFIG), np.eye(6, dtype=np.float32)
    steps = [drawer.draw(np.random.default_rng(seed), vectors, ALL) for seed in range(40)]
    assert {t for s in steps for t in s.texts.tolist()} == {0, 1, 2, 3}  # what cannot be learned is no negative either
    step = next(s for s in steps if len(s.texts) == 4)
    bags = [set(np.flatnonzero(row).tolist()) for row in step.bags.toarray()]
    asked = step.texts[step.answer].tolist()
    masked = [{int(t) for t in step.texts[row]} for row in step.masked]
    # the last six are partners, two of each text that has any; before them come histories, three of each text that
    # comes after another, and one more for each companion of a history
    drawn = len(asked) - 6
    assert 6 <= drawn <= 10
    assert sorted(asked[drawn - 6 : drawn]) == [1, 1, 1, 2, 2, 2]
    for text, bag, hidden in zip(asked[:drawn], bags, masked, strict=False):
        # text 1: after 0 (user 0) or after 3 (user 1); text 2: after 0 and 1
        assert bag in ([{0}, {3}] if text == 1 else [{0, 1}])
        user = {0, 1, 2} if 0 in bag else {3, 1}
        assert hidden == user - {text}  # all that the user took, before or after, but the answer
    # 0 stands together with 1, and 1 with 0 and 3
    assert sorted(asked[drawn:]) == [0, 0, 1, 1, 3, 3]
    for text, (partner,), hidden in zip(asked[drawn:], bags[drawn:], masked[drawn:], strict=True):
        known = {0: {1}, 1: {0, 3}, 3: {1}}[partner]
        assert text in known
        assert hidden == (known | {partner}) - {text}
    assert not step.masked[np.arange(len(asked)), step.answer].any()
    np.testing.assert_allclose(step.bags.sum(1), 1, atol=1e-6)


def test_anchors_are_made_of_new_vectors_alone(pairs: TextPairs) -> None:
    """But for the step's own texts, which are as new as can be."""
    config = replace(CONFIG, batch=2, histories=20, partners=20)
    seen = set()
    for seed in range(30):
        new = np.zeros(6, np.bool_)
        new[3] = True
        step = Drawer(pairs, config).draw(np.random.default_rng(seed), np.eye(6, dtype=np.float32), new)
        ready = {3, *step.texts.tolist()}
        for row, text in enumerate(step.texts[step.answer].tolist()):
            bag = frozenset(np.flatnonzero(step.bags[row].toarray()).tolist())
            assert bag
            assert bag <= ready
            seen.add((text, bag))
        np.testing.assert_allclose(step.bags.sum(1), 1, atol=1e-6)
    assert (1, frozenset({3})) in seen
    assert (2, frozenset({0})) in seen  # 1 came before 2 as well, but stood in no step with 0 and 2


def test_every_text_has_a_companion_in_its_step() -> None:
    """Histories of two and pairs of partners: whoever is drawn first, the other one comes along."""
    n = 40
    couples = {(i, i + 1): 1.0 for i in range(20, n, 2)} | {(i + 1, i): 1.0 for i in range(20, n, 2)}
    pairs = TextPairs(n, np.arange(0, 21, 2), np.arange(20), {"together": partners(n, couples)})
    config, found = replace(CONFIG, batch=6), 0
    for seed in range(20):
        step = Drawer(pairs, config).draw(
            np.random.default_rng(seed), np.eye(n, dtype=np.float32), np.zeros(n, np.bool_)
        )
        texts = set(step.texts.tolist())
        found += sum(t ^ 1 in texts for t in step.texts[:3].tolist())
        for row, text in enumerate(step.texts[step.answer].tolist()):
            assert np.flatnonzero(step.bags[row].toarray()).tolist() == [text ^ 1]
    assert found >= 20  # the kind is drawn by a coin: half of the texts have no pair of the kind drawn


def test_partners_are_drawn_by_weight(pairs: TextPairs) -> None:
    drawer = Drawer(pairs, replace(CONFIG, histories=0, partners=4000))
    step = drawer.draw(np.random.default_rng(1), np.eye(6, dtype=np.float32), ALL)
    asked_for_one = (step.texts[step.answer] == 1) & (np.arange(len(step.answer)) >= len(step.answer) - 12_000)
    share = np.asarray(step.bags[asked_for_one].sum(0)).ravel() / 4000
    assert share[0] == pytest.approx(0.75, abs=0.03)  # weights 3 and 1
    assert share[3] == pytest.approx(0.25, abs=0.03)


def test_a_history_is_cut_to_its_latest_texts() -> None:
    line, all_new = TextPairs(5, np.array([0, 5]), np.arange(5), {}), np.ones(5, np.bool_)
    drawer = Drawer(line, replace(CONFIG, history=2))
    step = drawer.draw(np.random.default_rng(0), np.eye(5, dtype=np.float32), all_new)
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
    drawer, all_new, found = Drawer(pairs, replace(CONFIG, batch=8, hard=0.5, near=1)), np.ones(n, np.bool_), 0
    for seed in range(10):
        step = drawer.draw(np.random.default_rng(seed), vectors, all_new)
        assert len(set(step.texts.tolist())) == len(step.texts) <= 8
        seeds, others = set(step.texts[:2].tolist()), step.texts[2:].tolist()
        # the nearest that is no neighbour on the chain stands two further on
        hard = [t for t in others if {(t + 2) % n, (t - 2) % n} & seeds]
        found += len(hard)
        assert set(hard) <= set(step.texts[step.answer].tolist())  # they are answers of their own anchors
    assert found >= 10


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
