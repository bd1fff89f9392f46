"""Slices of pairs and users, categories of products: by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from gnn.protocol.interactions import Interactions
from gnn.protocol.labels import broad_category, deepest_category
from gnn.protocol.slices import head_products, product_slices, user_slices
from gnn.protocol.tasks import NEW, NEXT, Task
from kg.snapshot import EdgeTable, Snapshot

Build = Callable[[Mapping[int, Sequence[int]], int, int], Interactions]
HISTORY = {0: [0, 1], 1: [0], 2: [0, 1, 2], 3: [0, 1, 2, 3], 4: [1]}


@pytest.fixture
def task(interactions: Build) -> Task:
    """Five users, six products of which the last two nobody has; each user is asked about two."""
    history = interactions(HISTORY, 5, 6)
    relevant = interactions({0: [2, 4], 1: [1, 2], 2: [3, 5], 3: [4, 5], 4: [0, 3]}, 5, 6)
    return Task(NEW, "test", history, np.arange(6), np.arange(5), relevant, np.zeros(0, np.int64))


def test_head_and_cold_products(task: Task) -> None:
    # events: 4, 4, 2, 1 of 11; the first product holds 4, the first two 8: more than half
    assert np.flatnonzero(head_products(task.history)).tolist() == [0, 1]
    slices = product_slices(task)
    found = {name: task.relevant.items[inside].tolist() for name, inside in slices.items()}
    assert found == {
        "head products": [1, 0],
        "tail products": [2, 4, 2, 3, 5, 4, 5, 3],
        "cold products": [4, 5, 4, 5],
        "warm products": [2, 1, 2, 3, 0, 3],
    }


def test_repeats_are_a_slice_where_they_count(task: Task, interactions: Build) -> None:
    relevant = interactions({0: [0, 2], 1: [0]}, 5, 6)
    slices = product_slices(replace(task, name=NEXT, relevant=relevant))
    assert slices["repeat purchases"].tolist() == [True, False, True]
    assert slices["new purchases"].tolist() == [False, True, False]
    assert not {"cold products", "warm products"} & set(slices)


def test_what_was_viewed_before_is_a_slice(task: Task, interactions: Build) -> None:
    views, carts = interactions({0: [4], 2: [3, 5], 4: [2]}, 5, 6), interactions({}, 5, 6)
    slices = product_slices(replace(task, history=replace(task.history, side={"view": views, "cart": carts})))
    pairs = list(zip(task.relevant.users.tolist(), task.relevant.items.tolist(), strict=True))
    assert [p for p, inside in zip(pairs, slices["view before"], strict=True) if inside] == [(0, 4), (2, 3), (2, 5)]
    assert slices["no view before"].tolist() == (~slices["view before"]).tolist()
    assert "cart before" not in slices
    assert "no cart before" not in slices


def test_users_by_activity(task: Task) -> None:
    # pairs 2, 1, 3, 4, 1: the two of one pair are light, two pairs are the middle, three and four heavy
    slices = user_slices(task)
    assert {name: np.flatnonzero(inside).tolist() for name, inside in slices.items()} == {
        "light users": [1, 4],
        "medium users": [0],
        "heavy users": [2, 3],
    }


def test_broad_categories_are_the_first_level_that_tells_products_apart(shop: Snapshot) -> None:
    names = shop.nodes["Category"].ids
    brand = np.arange(80) % 8
    want = [f"drinks > {'tea' if b % 2 else 'coffee'}" for b in brand]  # above them all is one category: drinks
    assert [names.id(row) for row in broad_category(shop)] == want
    deepest = [names.id(row) for row in deepest_category(shop)]
    assert deepest == [f"{kind} > line {b}" for kind, b in zip(want, brand, strict=True)]


def test_products_without_a_category_have_no_broad_one(shop: Snapshot) -> None:
    key = ("Product", "IN_CATEGORY", "Category")
    table = shop.edges[key]
    some = EdgeTable(table.src[5:], table.dst[5:], table.columns.slice(5))
    found = broad_category(Snapshot(shop.nodes, shop.edges | {key: some}))
    assert found[:5].tolist() == [-1] * 5
    assert (found[5:] >= 0).all()
    none = {k: v for k, v in shop.edges.items() if k[1] not in ("IN_CATEGORY", "CHILD_OF")}
    assert broad_category(Snapshot(shop.nodes, none)).tolist() == [-1] * 80
    flat = {k: v for k, v in shop.edges.items() if k[1] != "CHILD_OF"}
    assert broad_category(Snapshot(shop.nodes, flat)).tolist() == deepest_category(shop).tolist()
