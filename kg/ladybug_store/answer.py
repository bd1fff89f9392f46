"""Runs one Cypher statement on a Ladybug connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ladybug

from kg.errors import GraphError


def answer(
    connection: ladybug.Connection, cypher: str, parameters: Mapping[str, Any] | None = None
) -> ladybug.QueryResult:
    """The result of a single statement; close it after use.

    Raises:
        GraphError: `cypher` holds several statements.
        RuntimeError: Ladybug refused it.
    """
    result = connection.execute(cypher, dict(parameters or {}))
    if isinstance(result, list):
        for one in result:
            one.close()
        raise GraphError("more than one statement", "query", "run one statement at a time")
    return result


def ran_out_of_memory(error: RuntimeError) -> bool:
    """Whether Ladybug refused a statement because its buffer pool was full."""
    return "Buffer manager" in str(error)
