"""Reads nodes and relationships as Arrow batches, a range of node numbers at a time.

A whole answer would lie in memory twice before the first batch of it is handed over. Relationships come with the
numbers of their ends, which are positions in a list of ids: nothing is joined, and no id is copied for each of them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import ladybug
import numpy as np
import pyarrow as pa

from kg.ladybug_store.answer import answer, ran_out_of_memory
from kg.property_names import property_name
from kg.schema import ARROW_TYPE, Type

BATCH_ROWS = 50_000
"""Rows per batch, about."""


@dataclass(frozen=True)
class Origin:
    """Where batches come from.

    Attributes:
        connection: to the database, with a small buffer pool.
        roomy: gives one with a large pool, for what one node alone brings along.
    """

    connection: ladybug.Connection
    roomy: Callable[[], ladybug.Connection]


def nodes(origin: Origin, label: str, properties: Mapping[str, Type]) -> Iterator[pa.RecordBatch]:
    """Batches of `id` and the properties of every node of `label`."""
    types = {"id": Type.STRING, **properties}
    schema = pa.schema([(name, ARROW_TYPE[kind]) for name, kind in types.items()])
    picked = ", ".join(f"n.{property_name(name)} AS `{name}`" for name in types)
    query = f"MATCH (n:`{label}`) WHERE {_between('n')} RETURN {picked}"
    for first, last in _ranges(_end(origin.connection, label), BATCH_ROWS):
        _give_back()
        for table in _tables(origin, query, first, last):
            for batch in table.cast(schema).to_batches():
                yield pa.RecordBatch.from_arrays([_own(column) for column in batch.columns], schema=schema)


def ids_by_number(origin: Origin, label: str) -> pa.Array:
    """Ids of the nodes of `label`, each at the position of its number; null where no node has that number."""
    query = f"MATCH (n:`{label}`) WHERE {_between('n')} RETURN offset(id(n)) AS number, n.id AS id"
    end = _end(origin.connection, label)
    parts = [table for first, last in _ranges(end, BATCH_ROWS) for table in _tables(origin, query, first, last)]
    if not parts:
        return pa.array([], pa.large_string())
    table = pa.concat_tables(parts)
    places = np.full(end, -1, np.int64)
    places[table["number"].to_numpy()] = np.arange(len(table))
    return table["id"].cast(pa.large_string()).combine_chunks().take(pa.array(places, mask=places < 0))


def relationships(
    origin: Origin,
    key: tuple[str, str, str],
    properties: Mapping[str, Type],
    sources: pa.Array,
    targets: pa.Array,
) -> Iterator[pa.RecordBatch]:
    """Batches of `source`, `target` and the properties of every relationship of the pattern.

    Args:
        origin: the database.
        key: source label, type, target label.
        properties: names and types.
        sources: ids of the source label's nodes by number.
        targets: likewise of the target label's.
    """
    source, name, target = key
    picked = "".join(f", r.{property_name(p)} AS `{p}`" for p in properties)
    query = (
        f"MATCH (a:`{source}`)-[r:`{name}`]->(b:`{target}`) WHERE {_between('a')} "
        f"RETURN offset(id(a)) AS source, offset(id(b)) AS target{picked}"
    )
    step = _step(origin.connection, key, len(sources))
    for number, (first, last) in enumerate(_ranges(len(sources), step)):
        if number % 8 == 0:
            _give_back()
        for batch in (b for table in _tables(origin, query, first, last) for b in table.to_batches()):
            ends = [_encoded(batch.column(0), sources), _encoded(batch.column(1), targets)]
            columns = [_own(batch.column(p).cast(ARROW_TYPE[kind])) for p, kind in properties.items()]
            yield pa.RecordBatch.from_arrays([*ends, *columns], names=["source", "target", *properties])


def _own(column: pa.Array) -> pa.Array:
    """A copy: memory of Ladybug's that is held while it answers further questions is not given back to the system."""
    return pa.concat_arrays([column, column.slice(0, 0)])


def _encoded(numbers: pa.Array, ids: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(numbers.cast(pa.int32()), ids)


def _give_back() -> None:
    """Have the C library give freed memory back to the system: after Ladybug's answers it would keep most of it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others do it of themselves
    if trim is not None:
        trim(0)


def _between(node: str) -> str:
    return f"offset(id({node})) >= $first AND offset(id({node})) < $last"


def _end(connection: ladybug.Connection, label: str) -> int:
    """One more than the greatest number of a node of `label`: updates may leave gaps."""
    with answer(connection, f"MATCH (n:`{label}`) RETURN max(offset(id(n))) AS n") as result:
        greatest = result.get_as_arrow()["n"][0].as_py()
    return 0 if greatest is None else int(greatest) + 1


def _ranges(end: int, step: int) -> Iterator[tuple[int, int]]:
    """Ranges of `step` numbers up to `end`; none where `step` is 0."""
    return ((first, min(first + step, end)) for first in range(0, end if step else 0, step or 1))


def _step(connection: ladybug.Connection, key: tuple[str, str, str], nodes: int) -> int:
    """How many sources have about `BATCH_ROWS` relationships of the pattern; 0 where there are none at all."""
    source, name, target = key
    with answer(connection, f"MATCH (:`{source}`)-[r:`{name}`]->(:`{target}`) RETURN count(r) AS n") as result:
        rows = int(result.get_as_arrow()["n"][0].as_py())
    return max(1, BATCH_ROWS * nodes // rows) if rows else 0


def _tables(origin: Origin, query: str, first: int, end: int) -> Iterator[pa.Table]:
    """The answer for a range of nodes; long texts may not fit the pool at once, and are asked for in smaller ranges."""
    try:
        found = [_ask(origin.connection, query, first, end)]
    except RuntimeError as error:
        if not ran_out_of_memory(error):
            raise
        found = [_ask(origin.roomy(), query, first, end)] if end - first == 1 else []
    if found:
        yield found.pop()  # not kept here while the reader works on it
        return
    middle = (first + end) // 2
    yield from _tables(origin, query, first, middle)
    yield from _tables(origin, query, middle, end)


def _ask(connection: ladybug.Connection, query: str, first: int, end: int) -> pa.Table:
    # not query_as_arrow, which hands missing values over as empty ones
    with answer(connection, query, {"first": first, "last": end}) as result:
        return result.get_as_arrow(0)
