"""Grows the columns and ends of a snapshot's tables batch by batch, without ever holding them twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kg.errors import GraphError
from kg.snapshot import EdgeKey, IdMap

_PIECE_ROWS = 250_000
"""Rows that are joined to one piece: small batches, freed one column after another, would leave memory in shreds."""


class Columns:
    """Columns that grow batch by batch and are put into order one by one.

    Args:
        schema: their names and types.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._pieces: dict[str, list[pa.Array]] = {name: [] for name in schema.names}
        self._batches: list[pa.RecordBatch] = []
        self._waiting = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Append the columns of a batch, which may have others beside them."""
        self._batches.append(batch.select(self.names).cast(self._schema))
        self._waiting += len(batch)
        if self._waiting >= _PIECE_ROWS:
            self._join()

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._schema.names)

    def chunked(self, name: str) -> pa.ChunkedArray:
        """A column as it came."""
        self._join()
        return pa.chunked_array(self._pieces[name], self._schema.field(name).type)

    def whole(self, name: str) -> pa.Array:
        """A column in one piece; it stays so."""
        self._join()
        pieces = self._pieces[name]
        if len(pieces) != 1:
            pieces[:] = [pa.concat_arrays(pieces) if pieces else pa.array([], self._schema.field(name).type)]
        return pieces[0]

    def take(self, rows: NDArray[np.int64]) -> pa.Table:
        """Some rows of all columns."""
        return pa.table({name: self.chunked(name).take(pa.array(rows)) for name in self.names})

    def table(self, names: Sequence[str], order: NDArray[np.int64] | None) -> pa.Table:
        """The columns `names` in the given order of rows (None: as they came); they are gone here afterwards."""
        arrays = []
        for name in names:
            whole = self.whole(name)
            del self._pieces[name]
            arrays.append(whole if order is None else whole.take(pa.array(order)))
            del whole
            pa.default_memory_pool().release_unused()
        return pa.Table.from_arrays(arrays, schema=pa.schema([self._schema.field(name) for name in names]))

    def _join(self) -> None:
        batches, self._batches, self._waiting = self._batches, [], 0
        if batches:
            for name, pieces in self._pieces.items():
                pieces.append(pa.concat_arrays([batch.column(name) for batch in batches]))


class Ends:
    """One end of relationships, batch by batch, as rows of its label.

    Args:
        ids: of the label's nodes.
        key: of the relationships, for messages.
    """

    def __init__(self, ids: IdMap, key: EdgeKey) -> None:
        self._ids, self._key = ids, key
        self._parts: list[NDArray[np.int32]] = []
        self._dictionary: tuple[pa.Array, NDArray[np.int64]] | None = None

    def add(self, column: pa.DictionaryArray) -> None:
        """Append a batch.

        Raises:
            GraphError: an id is unknown.
        """
        if self._dictionary is None or not _is_same(self._dictionary[0], column.dictionary):
            self._dictionary = column.dictionary, self._ids.rows(column.dictionary)
        rows = self._dictionary[1][column.indices.to_numpy()]
        if len(rows) and rows.min() < 0:
            unknown = column[int(rows.argmin())].as_py()
            what = f"{'-'.join(self._key)} names the unknown node {unknown!r}"
            raise GraphError(what, "graph", "run the build again")
        self._parts.append(rows.astype(np.int32))

    def rows(self) -> NDArray[np.int64]:
        """All rows; shape (relationships,)."""
        return np.concatenate([np.zeros(0, np.int32), *self._parts], dtype=np.int64)


def _is_same(one: pa.Array, other: pa.Array) -> bool:
    """Whether both are one list in memory: the batches of a store share their dictionaries."""
    return _place(one) == _place(other)


def _place(array: pa.Array) -> tuple[object, ...]:
    return array.offset, len(array), *(buffer and buffer.address for buffer in array.buffers())
