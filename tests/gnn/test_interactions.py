"""Pairs, their events in order, and other behaviours: against plain Python over the same events."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnn.protocol.events import Events
from gnn.protocol.interactions import Interactions

USERS, ITEMS = 4, 5
triples = st.lists(
    st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1), st.integers(0, 6)), min_size=1, max_size=40
)


def events_of(rows: list[tuple[int, int, int]]) -> Events:
    users, items, order = (np.asarray(column, np.int64) for column in zip(*rows, strict=True))
    return Events(users, items, order, False, None, USERS, ITEMS)


def spelled(found: Interactions) -> list[list[tuple[int, int]]]:
    """Per user (order, item) of every event, in the timeline's order."""
    log = found.timeline
    rows = []
    for user in range(found.n_users):
        at = slice(log.indptr[user], log.indptr[user + 1])
        rows.append(list(zip(log.order[at].tolist(), found.items[log.pairs[at]].tolist(), strict=True)))
    return rows


@given(triples)
def test_the_timeline_has_every_event_in_order(rows: list[tuple[int, int, int]]) -> None:
    found = Interactions.from_events(events_of(rows))
    assert spelled(found) == [sorted((o, i) for u, i, o in rows if u == user) for user in range(USERS)]
    for n, (user, item) in enumerate(zip(found.users, found.items, strict=True)):
        orders = [o for u, i, o in rows if (u, i) == (user, item)]
        assert (found.counts[n], found.first[n], found.last[n]) == (len(orders), min(orders), max(orders))


@given(triples, triples, st.lists(st.integers(0, USERS - 1), max_size=6))
def test_taking_users_takes_their_events_and_other_behaviours(
    rows: list[tuple[int, int, int]], views: list[tuple[int, int, int]], users: list[int]
) -> None:
    whole = Interactions.from_events(events_of(rows), side={"view": events_of(views)})
    some = whole.take(np.asarray(users, np.int64))
    assert spelled(some) == [spelled(whole)[u] for u in users]
    assert spelled(some.side["view"]) == [spelled(whole.side["view"])[u] for u in users]


@given(triples, st.integers(0, 2**20 - 1))
def test_dropping_pairs_drops_their_events(rows: list[tuple[int, int, int]], bits: int) -> None:
    whole = Interactions.from_events(events_of(rows))
    mask = np.asarray([bool(bits >> n & 1) for n in range(len(whole))])
    kept = {(int(u), int(i)) for u, i in zip(whole.users[mask], whole.items[mask], strict=True)}
    left = whole.where(mask)
    assert spelled(left) == [
        sorted((o, i) for u, i, o in rows if u == user and (u, i) in kept) for user in range(USERS)
    ]


@given(triples, st.permutations(range(ITEMS)), st.integers(0, ITEMS))
def test_another_catalogue_renames_what_it_knows(
    rows: list[tuple[int, int, int]], names: list[int], known: int
) -> None:
    whole = Interactions.from_events(events_of(rows), side={"view": events_of(rows)})
    place = np.where(np.arange(ITEMS) < known, np.asarray(names) + 2, -1)
    there, at = whole.renamed(place, ITEMS + 2)
    np.testing.assert_array_equal(place[whole.items[at]], there.items)
    np.testing.assert_array_equal(whole.users[at], there.users)
    expected = [sorted((o, int(place[i])) for u, i, o in rows if u == user and i < known) for user in range(USERS)]
    assert [sorted(events) for events in spelled(there)] == expected
    assert [sorted(events) for events in spelled(there.side["view"])] == expected
    assert np.all(np.diff(there.keys) > 0)


@given(triples)
def test_each_pair_is_left_out_once(rows: list[tuple[int, int, int]]) -> None:
    user = Interactions.from_events(events_of(rows)).take(np.array([rows[0][0]]))
    for pairs in (np.arange(len(user)), np.arange(len(user))[::-2]):
        copies = user.each_left_out(pairs)
        assert copies.n_users == len(pairs)
        for row, n in enumerate(pairs):
            assert spelled(copies)[row] == spelled(user.where(np.arange(len(user)) != n))[0]


@given(triples, triples)
def test_arrays_hold_everything(rows: list[tuple[int, int, int]], views: list[tuple[int, int, int]]) -> None:
    whole = Interactions.from_events(events_of(rows), side={"view": events_of(views)}, until=99)
    again = Interactions.from_arrays(whole.to_arrays(), ITEMS)
    assert again.until == 99
    for name, array in whole.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], array, err_msg=name)


def test_a_missing_array_is_a_key_error() -> None:
    arrays = Interactions.from_events(events_of([(0, 1, 2)])).to_arrays()
    del arrays["counts"]
    with pytest.raises(KeyError):
        Interactions.from_arrays(arrays, ITEMS)


def test_recency_halves_per_half_life() -> None:
    day = 86_400_000_000
    events = replace(events_of([(0, 1, 0), (0, 1, 10 * day), (1, 2, 20 * day)]), timed=True)
    found = Interactions.from_events(events, half_life_days=10)
    np.testing.assert_allclose(found.recent, [0.25 + 0.5, 1.0])
