"""Reads nodes and relationships as Arrow batches.

The server sends parallel lists, ten times faster than rows. It is what takes longest, so two sessions read at once, and
while it works on the next lists those that came are made into arrays. Relationships name their ends by the server's
numbers, which are cheaper than ids for both sides and stay within this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import neo4j
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kg.errors import GraphError
from kg.neo4j_store.counts import count_all
from kg.neo4j_store.read_ahead import read_ahead
from kg.property_names import property_name
from kg.schema import ARROW_TYPE, EVENT_TYPES, Type

SESSIONS = 2
"""Readers at a time; each uses one of the server's cores."""

FETCH_RECORDS = 2
"""Records per message of the server: each holds lists of thousands, which lie in memory until they are taken."""

RECORD_ROWS = 5_000
"""Nodes or relationships per record, about: those of one node stay together."""

OpenSession = Callable[[], neo4j.Session]


@dataclass(frozen=True)
class Numbers:
    """The server's numbers of the nodes of a label.

    Attributes:
        numbers: ascending, shape (nodes,).
        ids: the nodes' ids in that order, large_string.
    """

    numbers: NDArray[np.int64]
    ids: pa.Array

    def encode(self, numbers: list[int]) -> pa.DictionaryArray:
        """Ids of nodes by their numbers.

        Raises:
            GraphError: there was no such node when the numbers were read.
        """
        wanted = np.asarray(numbers, np.int64)
        places = np.searchsorted(self.numbers, wanted)
        if len(wanted) and (not len(self.numbers) or (self.numbers.take(places, mode="clip") != wanted).any()):
            raise GraphError("the graph changed while it was read", "graph", "wait for the build to end")
        return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), self.ids)


def numbers(open_session: OpenSession, label: str) -> Numbers:
    """Numbers and ids of the nodes of `label`."""
    found, ids = [], []
    query = f"{_parts_of(label)} RETURN [x IN part | id(x)], [x IN part | x.id]"
    with open_session() as session:
        for record in session.run(query, parts=1, part=0, step=RECORD_ROWS):
            found.append(np.asarray(record[0], np.int64))
            ids.append(pa.array(record[1], pa.large_string()))
    every = np.concatenate([np.zeros(0, np.int64), *found])
    order = np.argsort(every)
    texts = pa.chunked_array(ids, pa.large_string()).combine_chunks().take(pa.array(order))
    return Numbers(every[order], texts)


def nodes(open_session: OpenSession, label: str, properties: Mapping[str, Type]) -> Iterator[pa.RecordBatch]:
    """Batches of `id` and the properties of every node of `label`."""
    types = {"id": Type.STRING, **properties}
    query = f"{_parts_of(label)} RETURN {', '.join(_columns('part', types))}"

    def batch(lists: list[list[Any]]) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(_arrays(iter(lists), types), names=list(types))

    yield from _in_sessions(open_session, query, {"step": RECORD_ROWS}, batch)


def relationships(
    open_session: OpenSession,
    key: tuple[str, str, str],
    properties: Mapping[str, Type],
    numbers_of: Callable[[str], Numbers],
) -> Iterator[pa.RecordBatch]:
    """Batches of `source`, `target` and the properties of every relationship of the pattern.

    A record holds the relationships of some nodes: of sources for events, else of the label with fewer nodes.
    """
    source, name, target = key
    with open_session() as session:
        patterns = [f"(n:`{source}`)", f"(n:`{target}`)", f"(:`{source}`)-[n:`{name}`]->()"]
        sources, targets, rows = count_all(session, patterns)
    if not rows:
        return
    by_target = name not in EVENT_TYPES.values() and targets < sources
    one, arrow, other = (target, f"<-[r:`{name}`]-", source) if by_target else (source, f"-[r:`{name}`]->", target)
    lists = "".join(f", {column}" for column in _columns("found", properties))
    query = (
        f"{_parts_of(one)} CALL (part) {{ UNWIND part AS a MATCH (a){arrow}(b:`{other}`) "
        f"RETURN collect(id(a)) AS ones, collect(id(b)) AS others, collect(r) AS found }} "
        f"WITH ones, others, found WHERE size(ones) > 0 RETURN ones, others{lists}"
    )
    step = max(1, RECORD_ROWS * (targets if by_target else sources) // rows)
    ones, others = numbers_of(one), numbers_of(other)

    def batch(found: list[list[Any]]) -> pa.RecordBatch:
        ends = [ones.encode(found[0]), others.encode(found[1])]
        arrays = [*(reversed(ends) if by_target else ends), *_arrays(iter(found[2:]), properties)]
        return pa.RecordBatch.from_arrays(arrays, names=["source", "target", *properties])

    yield from _in_sessions(open_session, query, {"step": step}, batch)


def _parts_of(label: str) -> str:
    """A session's share of the nodes of a label, `step` of them at a time as the list `part`."""
    return (
        f"MATCH (n:`{label}`) WHERE id(n) % $parts = $part WITH collect(n) AS every "
        "UNWIND range(0, size(every) - 1, $step) AS first WITH every[first..first + $step] AS part"
    )


def _columns(items: str, types: Mapping[str, Type]) -> list[str]:
    """One list per column: a comprehension, since collect() would leave missing values out."""
    columns = []
    for name, kind in types.items():
        quoted = property_name(name)
        if kind is Type.DATETIME:
            columns.append(f"[x IN {items} | x.{quoted}.epochMillis]")
            columns.append(f"[x IN {items} | x.{quoted}.microsecond]")
        else:
            columns.append(f"[x IN {items} | x.{quoted}]")
    return columns


def _in_sessions(
    open_session: OpenSession,
    query: str,
    parameters: Mapping[str, Any],
    batch: Callable[[list[list[Any]]], pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """What `batch` makes of each record; every session reads its share of the nodes."""

    def share(part: int) -> Iterator[pa.RecordBatch]:
        with open_session() as session:
            for record in session.run(query, {**parameters, "parts": SESSIONS, "part": part}):
                yield batch(record.values())  # not data(), which walks through every value

    yield from read_ahead([partial(share, part) for part in range(SESSIONS)])


def _arrays(lists: Iterator[list[Any]], types: Mapping[str, Type]) -> list[pa.Array]:
    return [
        _times(next(lists), next(lists)) if kind is Type.DATETIME else pa.array(next(lists), ARROW_TYPE[kind])
        for kind in types.values()
    ]


def _times(millis: list[int | None], micros: list[int | None]) -> pa.Array:
    """Times from whole milliseconds since 1970, rounded down, and microseconds of the second.

    The server's epochSeconds would not do: before 1970 it rounds up.
    """
    whole, fine = pa.array(millis, pa.int64()), pa.array(micros, pa.int64())
    below = pc.subtract(fine, pc.multiply(pc.divide(fine, 1_000), 1_000))
    return pc.add(pc.multiply(whole, 1_000), below).cast(ARROW_TYPE[Type.DATETIME])
