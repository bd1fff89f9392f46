from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnn.config import SplitConfig
from gnn.errors import GnnError
from gnn.protocol.events import DAY, Events, read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.splits import Split, split_events
from kg.snapshot import Snapshot


def events_of(rows: list[tuple[int, int, float]], labels: list[str] | None = None, *, timed: bool = True) -> Events:
    users, items, days = (np.asarray(c) for c in zip(*rows, strict=True))
    label = None if labels is None else np.asarray(labels)
    order = (days * DAY).astype(np.int64)
    return Events(users.astype(np.int64), items.astype(np.int64), order, timed, label, 3, 4)


def pairs(events: Events) -> set[tuple[int, int]]:
    return set(zip(events.users.tolist(), events.items.tolist(), strict=True))


def test_time_by_given_instants() -> None:
    events = events_of([(0, 0, 0), (0, 1, 9.99), (1, 1, 10), (1, 2, 19.99), (2, 3, 20), (0, 0, 30)])
    split = split_events(events, SplitConfig("time", "1970-01-11", "1970-01-21T00:00:00Z"))
    assert pairs(split.train) == {(0, 0), (0, 1)}
    assert pairs(split.valid) == {(1, 1), (1, 2)}
    assert pairs(split.test) == {(2, 3), (0, 0)}
    assert split.cutoffs["test_from"] == "1970-01-21T00:00:00+00:00"
    assert split.history("test").counts.tolist() == [1, 1, 1, 1]


def test_time_takes_the_last_tenths_by_default() -> None:
    split = split_events(events_of([(0, 0, d) for d in range(101)]), SplitConfig())
    assert split.method == "time"
    assert [len(p) for p in (split.train, split.valid, split.test)] == [80, 10, 11]  # days 0-79, 80-89, 90-100


def test_column_with_and_without_valid() -> None:
    rows = [(u, i, float(u + i)) for u in range(3) for i in range(4)]
    labels = ["train", "Valid", "TEST", ""] * 3
    split = split_events(events_of(rows, labels), SplitConfig("column"))
    assert pairs(split.valid) == {(0, 1), (1, 1), (2, 1)}
    assert pairs(split.test) == {(0, 2), (1, 2), (2, 2)}
    labels = ["train"] * 12
    one, two, other = (split_events(events_of(rows, labels), SplitConfig("column"), seed) for seed in (1, 1, 3))
    assert len(one.valid) >= 1
    assert one.stage == "valid"
    assert pairs(one.valid) == pairs(two.valid)
    assert pairs(one.valid) != pairs(other.valid)


def test_column_set_aside_keeps_the_events_of_a_pair_together() -> None:
    rows = [(u, i, float(n)) for n in range(5) for u in range(3) for i in range(4)]
    split = split_events(events_of(rows, ["train"] * 60), SplitConfig("column", valid_share=0.4), 0)
    assert pairs(split.train).isdisjoint(pairs(split.valid))
    assert len(split.train) + len(split.valid) == 60


def test_leave_one_out_moves_whole_pairs() -> None:
    # user 0: product 1 is bought first and last of all; user 1 has two products, user 2 one
    rows = [(0, 1, 0), (0, 2, 1), (0, 3, 2), (0, 1, 3), (1, 0, 5), (1, 3, 4), (2, 2, 9)]
    split = split_events(events_of([(u, i, float(d)) for u, i, d in rows]), SplitConfig("leave-one-out"))
    assert pairs(split.test) == {(0, 1), (1, 0)}
    assert len(split.test) == 3
    assert pairs(split.valid) == {(0, 3)}
    assert pairs(split.train) == {(0, 2), (1, 3), (2, 2)}


def test_methods_that_the_events_do_not_allow() -> None:
    events = events_of([(0, 0, 0.0), (0, 1, 1.0)], timed=False)
    with pytest.raises(GnnError, match="no time"):
        split_events(events, SplitConfig("time"))
    with pytest.raises(GnnError, match="property 'split'"):
        split_events(events, SplitConfig("column"))
    with pytest.raises(GnnError, match="no date"):
        split_events(events_of([(0, 0, 0.0), (0, 1, 1.0)]), SplitConfig("time", test_from="soon"))
    with pytest.raises(GnnError, match="no event falls into train"):
        split_events(events_of([(0, 0, 5.0), (0, 1, 9.0)]), SplitConfig("time", "1970-01-02", "1970-01-09"))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 50)), min_size=3, max_size=40))
def test_every_event_is_on_one_side_and_loo_sides_share_no_pair(rows: list[tuple[int, int, int]]) -> None:
    events = events_of([(u, i, float(d)) for u, i, d in rows])
    try:
        split = split_events(events, SplitConfig("leave-one-out"))
    except GnnError:
        return  # too few products to set one aside
    parts = (split.train, split.valid, split.test)
    assert sum(map(len, parts)) == len(rows)
    known: set[tuple[int, int]] = set()
    for part in parts:
        assert known.isdisjoint(pairs(part))
        known |= pairs(part)


def test_interactions_merge_events_of_a_pair() -> None:
    history = Interactions.from_events(events_of([(2, 1, 0), (0, 3, 90), (2, 1, 90), (2, 0, 0)]), half_life_days=90)
    assert history.indptr.tolist() == [0, 1, 1, 3]
    assert history.items.tolist() == [3, 0, 1]
    assert history.counts.tolist() == [1, 1, 2]
    np.testing.assert_allclose(history.recent, [1, 0.5, 1.5])
    assert history.buyers.tolist() == [1, 1, 0, 1]
    assert history.of(2).tolist() == [0, 1]
    assert history.take(np.array([2, 0])).items.tolist() == [0, 1, 3]
    assert history.where(history.items == 1).indptr.tolist() == [0, 0, 0, 1]
    assert history.has(np.array([[3, 4]])).tolist() == [[True, False]]


def test_events_come_from_the_targets(shop: Snapshot) -> None:
    assert len(read_events(shop, ())) == 720
    with pytest.raises(GnnError, match="unknown event 'steal'"):
        read_events(shop, ("steal",))
    with pytest.raises(GnnError, match="no events"):
        read_events(shop, ("view",))


def side_events(rows: list[tuple[int, int, float]], **given: Any) -> Events:
    users, items, days = zip(*rows, strict=True)
    order = np.asarray([int(d * DAY) for d in days])
    return Events(np.asarray(users), np.asarray(items), order, given.pop("timed", True), None, 3, 6, **given)


def known_views(split: Split, stage: str) -> list[tuple[int, int]]:
    view = split.history(stage).side["view"]
    return list(zip(view.users.tolist(), view.items.tolist(), strict=True))


BOUGHT = [(0, 0, 1), (0, 1, 5), (0, 2, 9), (1, 3, 2), (1, 4, 6), (2, 5, 1)]
VIEWED = [(0, 1, 4.5), (0, 2, 8.5), (0, 5, 9.5), (1, 4, 1), (2, 0, 3), (2, 1, 7), (2, 2, 20)]


def test_views_are_known_up_to_the_same_instants() -> None:
    config = SplitConfig("time", "1970-01-05", "1970-01-09")
    split = split_events(side_events(BOUGHT), config, side={"view": side_events(VIEWED)})
    assert known_views(split, "valid") == [(1, 4), (2, 0)]  # up to day 4
    assert known_views(split, "test") == [(0, 1), (1, 4), (2, 0), (2, 1)]  # up to day 8
    assert split.history("test").until == 8 * DAY
    undated = split_events(side_events(BOUGHT), config, side={"view": side_events(VIEWED, timed=False)})
    assert known_views(undated, "test") == []


def test_views_before_the_users_own_held_out_event() -> None:
    config = SplitConfig("leave-one-out")
    split = split_events(side_events(BOUGHT), config, side={"view": side_events(VIEWED)})
    assert known_views(split, "valid") == [(0, 1), (1, 4), (2, 0), (2, 1), (2, 2)]  # user 0: before day 5, 1: before 6
    assert known_views(split, "test") == [(0, 1), (0, 2), (1, 4), (2, 0), (2, 1), (2, 2)]
    assert split.history("test").until is None


def test_views_without_a_comparable_order_are_known_to_nobody() -> None:
    positions = side_events(VIEWED, timed=False)
    split = split_events(side_events(BOUGHT, timed=False), SplitConfig("leave-one-out"), side={"view": positions})
    assert known_views(split, "test") == []
    counted = replace(positions, sequenced=True)
    bought = side_events(BOUGHT, timed=False, sequenced=True)
    split = split_events(bought, SplitConfig("leave-one-out"), side={"view": counted})
    assert len(known_views(split, "test")) == 6


def test_views_by_their_own_labels() -> None:
    label = np.asarray(["train", "valid", "test", "", "train", "test", "valid"])
    bought = replace(side_events(BOUGHT), label=np.asarray(["train", "valid", "test", "train", "test", "train"]))
    split = split_events(bought, SplitConfig("column"), side={"view": replace(side_events(VIEWED), label=label)})
    assert known_views(split, "valid") == [(0, 1), (1, 4), (2, 0)]
    assert known_views(split, "test") == [(0, 1), (0, 2), (1, 4), (2, 0), (2, 2)]
