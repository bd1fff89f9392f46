"""Query values as plain Python ones, the same from either store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import neo4j.graph
import neo4j.time


def plain(value: Any) -> Any:
    """`value` without the driver's own types: nodes and relationships as dicts of their properties.

    A path becomes a dict of `nodes` and `relationships`; durations and points their text.
    """
    if isinstance(value, neo4j.graph.Path):
        return {"nodes": plain(list(value.nodes)), "relationships": plain(list(value.relationships))}
    if isinstance(value, neo4j.graph.Entity | dict):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, str | int | float | bytes | None):
        return value
    return _temporal(value)


def _temporal(value: Any) -> Any:
    if isinstance(value, neo4j.time.DateTime):
        native = value.to_native()
        return native.astimezone(UTC) if native.tzinfo else native
    if isinstance(value, neo4j.time.Date | neo4j.time.Time):
        return value.to_native()
    return value.iso_format() if isinstance(value, neo4j.time.Duration) else str(value)


def parameter(value: Any) -> Any:
    """`value` as the driver takes it; times carry their zone."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.astimezone()
    return value
