"""Query values as plain Python ones, the same from either store."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import neo4j.graph
import neo4j.time


def plain(value: Any) -> Any:
    """`value` without the driver's own types: nodes and relationships as dicts of their properties.

    A path becomes a dict of `nodes` and `relationships`; durations and points their text.
    """
    if isinstance(value, neo4j.graph.Path):
        return {"nodes": plain(list(value.nodes)), "relationships": plain(list(value.relationships))}
    if isinstance(value, neo4j.graph.Entity):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, neo4j.time.DateTime | neo4j.time.Date | neo4j.time.Time):
        return value.to_native()
    if isinstance(value, list | tuple) and not isinstance(value, neo4j.time.Duration):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, neo4j.time.Duration):
        return value.iso_format()
    return value if isinstance(value, str | int | float | bool | bytes | None) else str(value)


def parameter(value: Any) -> Any:
    """`value` as the driver takes it; times carry their zone."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.astimezone()
    return value
