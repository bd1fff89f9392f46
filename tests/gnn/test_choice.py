"""What `auto` keeps: chosen by one half of the validation users, compared by the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gnn.config import AutoConfig, GnnConfig
from gnn.model.choice import choose_weights
from gnn.model.parts import Workshop, open_workshop
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Given, Items
from gnn.protocol.tasks import Task
from ingest.config_dict import from_dict
from ingest.progress import SilentProgress
from kg.snapshot import Snapshot

Open = Callable[..., Workshop]


class Knowing(Fitted):
    """Scores what it was told before all else, and the rest by noise."""

    name = "knowing"

    def __init__(self, history: Interactions, answers: NDArray[np.bool_]) -> None:
        self.history, self.answers = history, answers

    def scores(self, users: NDArray[np.int64], items: Items = None) -> NDArray[np.float32]:
        noise = np.random.default_rng(3).random(self.answers.shape, np.float32)
        whole = (self.answers + 0.1 * noise)[users].astype(np.float32)
        return whole if items is None else whole[:, items]


def answers(task: Task, chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The held-out pairs of the users at the positions `chosen`, (users, products)."""
    told = np.zeros((task.history.n_users, task.history.n_items), np.bool_)
    some = task.asking(chosen)
    rows = np.repeat(np.arange(len(some.users)), np.diff(some.relevant.indptr))
    told[some.users[rows], task.candidates[some.relevant.items]] = True
    return told


@pytest.fixture
def opened(shop: Snapshot) -> Open:
    settings = {"split": {"method": "column", "min_buyers": 0}, "eval": {"k": [5], "bootstrap": 200}}

    def make(seed: int = 0, auto: tuple[str, ...] = ("dull", "knowing")) -> Workshop:
        config = replace(from_dict(GnnConfig, settings, "test"), auto=AutoConfig(models=auto))
        config = replace(config, train=replace(config.train, seed=seed))
        return open_workshop(Given(shop, None), config, SilentProgress())[0]

    return make


def test_halves_part_the_users_alike_in_every_task(opened: Open) -> None:
    shop = opened()
    task = shop.tasks[0]
    doubled = replace(shop, tasks=[task, task.asking(np.arange(0, len(task.users), 3))])
    first, second = doubled.halves()
    for whole, a, b in zip(doubled.tasks, first.tasks, second, strict=True):
        assert sorted([*a.users, *b.users]) == whole.users.tolist()
        assert abs(len(a.users) - len(b.users)) <= len(whole.users) / 2
        for part in (a, b):
            at = np.searchsorted(whole.users, part.users)
            np.testing.assert_array_equal(part.relevant.indptr, whole.relevant.take(at).indptr)
            np.testing.assert_array_equal(part.relevant.items, whole.relevant.take(at).items)
    assert set(first.tasks[1].users) <= set(first.tasks[0].users)
    again, other = opened().halves()[0], opened(seed=1).halves()[0]
    np.testing.assert_array_equal(again.tasks[0].users, first.tasks[0].users)
    assert not np.array_equal(other.tasks[0].users, first.tasks[0].users)


def test_a_lone_user_is_asked_in_both_halves(opened: Open) -> None:
    shop = opened()
    lone = replace(shop, tasks=[shop.tasks[0].asking(np.array([4]))])
    first, second = lone.halves()
    assert first.tasks[0].users.tolist() == second[0].users.tolist() == lone.tasks[0].users.tolist()


def test_what_one_half_taught_is_not_believed(opened: Open) -> None:
    """A model that knows the answers of the half that chooses, and nothing else, is no better than a dull one."""
    shop, unseen = opened().halves()
    task = shop.tasks[0]
    nothing = np.zeros((task.history.n_users, task.history.n_items), np.bool_)
    told = answers(task, np.arange(len(task.users)))
    parts: dict[str, Fitted] = {"dull": Knowing(task.history, nothing), "knowing": Knowing(task.history, told)}
    choice = choose_weights(shop, parts, "auto", task, unseen[0])
    weights, said = choice.weights, choice.said
    assert weights == {"dull": 1.0}
    assert said["chosen"] == "dull"
    assert said["ndcg"]["knowing"] == pytest.approx(said["ndcg"]["dull"])
    assert shop.quality(parts["knowing"], task) == 1.0


def test_what_holds_for_the_other_half_is_kept(opened: Open) -> None:
    shop, unseen = opened().halves()
    task, other = shop.tasks[0], unseen[0]
    nothing = np.zeros((task.history.n_users, task.history.n_items), np.bool_)
    told = answers(other, np.arange(len(other.users)))
    parts: dict[str, Fitted] = {"dull": Knowing(task.history, nothing), "knowing": Knowing(task.history, told)}
    choice = choose_weights(shop, parts, "auto", task, other)
    weights, said = choice.weights, choice.said
    assert weights == {"knowing": 1.0}
    assert said["ndcg"]["knowing"] == 1.0
    assert said["because"] == "knowing is best on validation (NDCG 1.0000)"
