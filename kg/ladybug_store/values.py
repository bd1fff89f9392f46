"""Query values as plain Python ones, the same from either store."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

_INTERNAL = frozenset({"_ID", "_LABEL", "_SRC", "_DST"})


def plain(value: Any) -> Any:
    """`value` without the store's own: nodes as dicts of their properties, sums of integers as int.

    A path becomes a dict of `nodes` and `relationships`. Missing properties are left out.
    """
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        if value.keys() == {"_NODES", "_RELS"}:
            return {"nodes": plain(value["_NODES"]), "relationships": plain(value["_RELS"])}
        inner = "_LABEL" in value
        return {k: plain(v) for k, v in value.items() if not (inner and (k in _INTERNAL or v is None))}
    return value
