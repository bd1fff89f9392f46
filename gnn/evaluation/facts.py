"""What an evaluation needs to know of products and users beside their events: categories, prices, groups."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnn.errors import GnnError
from gnn.protocol.labels import broad_category, deepest_category
from gnn.protocol.slices import thirds
from kg.snapshot import Snapshot

MANY = 10
"""A numeric attribute with more distinct values than these is cut into thirds."""


@dataclass(frozen=True)
class Grouping:
    """Users parted by an attribute.

    Attributes:
        names: of the groups.
        of: group of each user, -1 without one, shape (n_users,).
    """

    names: tuple[str, ...]
    of: NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """Of a snapshot's products and users.

    Attributes:
        deepest: deepest category of each product, -1 without, shape (n_items,).
        broad: its category at the broadest level that tells products apart, -1 without, shape (n_items,).
        price: its price, nan without, shape (n_items,); None where no product has one.
        groups: users by the attributes asked for.
    """

    deepest: NDArray[np.int64]
    broad: NDArray[np.int64]
    price: NDArray[np.float64] | None
    groups: dict[str, Grouping] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot, user_groups: tuple[str, ...] = ()) -> Facts:
        """Read the snapshot.

        Raises:
            GnnError: users have no attribute of a name in `user_groups`.
        """
        groups = {name: _grouping(snapshot, name) for name in user_groups}
        return cls(deepest_category(snapshot), broad_category(snapshot), _prices(snapshot), groups)


def _prices(snapshot: Snapshot) -> NDArray[np.float64] | None:
    columns = snapshot.nodes["Product"].columns
    if "price" not in columns.column_names or columns["price"].null_count == len(columns):
        return None
    return np.asarray(columns["price"].cast(pa.float64()).to_numpy(), dtype=np.float64)


def _grouping(snapshot: Snapshot, name: str) -> Grouping:
    columns = snapshot.nodes["User"].columns
    if name not in columns.column_names:
        known = ", ".join(columns.column_names) or "none"
        raise GnnError(f"users have no attribute {name!r}", "eval.user_groups", f"their attributes are {known}")
    column = columns[name]
    of = np.full(len(column), -1)
    known_users = np.flatnonzero(column.is_valid().to_numpy())
    values = column.drop_null()
    kind = column.type
    if (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and len(pc.unique(values)) > MANY:
        numbers = values.to_numpy()
        third = thirds(numbers)
        of[known_users] = third
        bounds = [numbers[third == n] for n in range(3)]
        return Grouping(tuple(f"{b.min():g} to {b.max():g}" if len(b) else "none" for b in bounds), of)
    names = sorted({str(v) for v in values.to_pylist()})
    of[known_users] = np.searchsorted(np.asarray(names), np.asarray([str(v) for v in values.to_pylist()]))
    return Grouping(tuple(names), of)
