import numpy as np

from gnn.config import SplitConfig
from gnn.protocol.events import DAY, Events
from gnn.protocol.slices import head_products, product_slices
from gnn.protocol.splits import split_events
from gnn.protocol.tasks import make_task, make_tasks

# user, product, day: train before day 10, valid before day 20
ROWS = [
    (0, 0, 1), (0, 1, 2), (1, 0, 3), (1, 2, 4), (2, 0, 5), (2, 1, 6),  # history of valid
    (0, 0, 11), (0, 2, 12), (1, 1, 13), (1, 3, 14), (3, 0, 15), (2, 2, 19),  # valid
    (0, 3, 21), (3, 0, 22), (1, 0, 23), (4, 1, 24),  # test
]  # fmt: skip


def split():
    users, items, days = (np.asarray(c, dtype=np.int64) for c in zip(*ROWS, strict=True))
    events = Events(users, items, days * DAY, True, None, 5, 4)
    return split_events(events, SplitConfig("time", "1970-01-11", "1970-01-21"))


def answers(task) -> dict[int, list[int]]:
    return {int(u): task.candidates[task.relevant.of(n)].tolist() for n, u in enumerate(task.users)}


def test_new_product_and_next_purchase_by_hand() -> None:
    everything = np.ones(4, bool)
    new = make_task("new-product", split(), "valid", everything)
    assert new.candidates.tolist() == [0, 1, 2]  # product 3 has no buyer yet
    assert answers(new) == {0: [2], 1: [1], 2: [2]}
    assert new.cold_users.tolist() == [3]
    again = make_task("next-purchase", split(), "valid", everything)
    assert answers(again) == {0: [0, 2], 1: [1], 2: [2]}
    assert new.masks_seen
    assert not again.masks_seen


def test_history_of_test_is_train_and_valid() -> None:
    task = make_task("new-product", split(), "test", np.ones(4, bool))
    assert task.candidates.tolist() == [0, 1, 2, 3]
    assert answers(task) == {0: [3]}
    assert task.cold_users.tolist() == [4]
    assert answers(make_task("next-purchase", split(), "test", np.ones(4, bool))) == {0: [3], 1: [0], 3: [0]}


def test_cold_users_are_asked_apart() -> None:
    cold = make_task("new-product", split(), "test", np.ones(4, bool), cold=True)
    assert answers(cold) == {4: [1]}
    assert len(cold.history.take(cold.users)) == 0


def test_candidates_need_leave_and_buyers() -> None:
    allowed = np.array([True, False, True, True])
    assert make_task("new-product", split(), "test", allowed).candidates.tolist() == [0, 2, 3]
    assert make_task("new-product", split(), "test", np.ones(4, bool), 3).candidates.tolist() == [0, 1, 2]
    assert make_task("new-product", split(), "valid", np.ones(4, bool), 0).candidates.tolist() == [0, 1, 2, 3]


def test_seen_cells_are_the_candidates_bought() -> None:
    task = make_task("new-product", split(), "valid", np.array([True, False, True, True]))
    rows, columns = task.seen(slice(0, len(task.users)))
    found = {(int(task.users[r]), int(task.candidates[c])) for r, c in zip(rows, columns, strict=True)}
    assert found == {(0, 0), (2, 0)}  # user 1 has no relevant candidate left and is not asked


def test_one_task_where_nothing_repeats() -> None:
    users, items = np.asarray([0, 0, 1, 1, 1, 0]), np.asarray([0, 1, 0, 2, 1, 2])
    events = Events(users, items, np.asarray([1, 2, 3, 4, 15, 16]) * DAY, True, None, 2, 3)
    parts = split_events(events, SplitConfig("time", "1970-01-11", "1970-01-21"))
    assert [t.name for t in make_tasks(parts, "valid", np.ones(3, bool))] == ["new-product"]
    assert [t.name for t in make_tasks(split(), "valid", np.ones(4, bool))] == ["new-product", "next-purchase"]


def test_slices_by_hand() -> None:
    task = make_task("next-purchase", split(), "valid", np.ones(4, bool))
    # history events: product 0 three, product 1 two, product 2 one: half of six is in product 0
    assert head_products(task.history).tolist() == [True, False, False, False]
    slices = product_slices(task)  # relevant pairs in order: (0,0) (0,2) (1,1) (2,2)
    assert slices["head products"].tolist() == [True, False, False, False]
    assert slices["repeat purchases"].tolist() == [True, False, False, False]
    assert slices["new purchases"].tolist() == [False, True, True, True]
    assert "cold products" not in slices
