"""What all rules cost together: counted by product and by variant group, worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from gnn.config import EvalConfig
from gnn.evaluation.as_configured import PLAIN, VARIANTS, compared, ndcg_by_group
from gnn.protocol.tasks import Task

SECOND = 1 / np.log2(3)  # the discount of the second place
GROUPS = np.array([0, 0, 1, 2, 2])  # of the candidates: 0 and 1 are variants, and so are 3 and 4


def task(*right: list[int]) -> Task:
    """Users with these right candidates."""
    indptr = np.cumsum([0, *map(len, right)])
    items = np.concatenate([np.asarray(one, np.int64) for one in right])
    users = np.repeat(np.arange(len(right)), np.diff(indptr))
    relevant = SimpleNamespace(indptr=indptr, items=items, n_items=5, keys=users * 5 + items)
    relevant_with_length = type("Pairs", (SimpleNamespace,), {"__len__": lambda self: len(self.items)})(
        **vars(relevant)
    )
    return cast("Task", SimpleNamespace(relevant=relevant_with_length, candidates=np.arange(10, 15)))


def test_any_variant_of_a_right_answer_hits_once_per_group() -> None:
    asked = task([0], [0, 1], [2, 3], [4])
    lists = np.array(
        [
            [2, 1],  # 1 is a variant of 0: a hit on the second place
            [1, 0],  # both of one group, and one right answer by group: the first place hits, the second does not
            [4, 2],  # both hit
            [0, -1],  # no hit; a place that is empty
        ]
    )
    np.testing.assert_allclose(ndcg_by_group(asked, lists, GROUPS), [SECOND, 1.0, 1.0, 0.0])


def test_lists_are_compared_with_the_models_own_order_both_ways() -> None:
    asked = task([0], [3])
    plain = np.array([[1, 0], [3, 4]])
    shared = np.array([[1, 2], [3, 2]])
    variant = np.concatenate([np.full(10, 9), GROUPS])
    found = {
        one["name"]: one for one in compared(asked, {PLAIN: plain, VARIANTS: shared}, variant, EvalConfig(bootstrap=20))
    }
    assert found[PLAIN]["by_product"]["ndcg"] == pytest.approx((SECOND + 1) / 2)
    assert found[VARIANTS]["by_product"]["ndcg"] == pytest.approx(0.5)
    assert found[VARIANTS]["by_product"]["change"]["mean"] == pytest.approx(0.5 / ((SECOND + 1) / 2) - 1)
    # by group the first place of each hits already
    assert found[PLAIN]["by_group"]["ndcg"] == found[VARIANTS]["by_group"]["ndcg"] == 1.0
    assert found[VARIANTS]["by_group"]["change"] == {"mean": 0.0, "low": 0.0, "high": 0.0, "users": 2}
