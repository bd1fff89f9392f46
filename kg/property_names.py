"""Names of properties in Cypher: of one safe shape, checked and quoted before they enter a statement."""

from __future__ import annotations

import re

from kg.errors import GraphError

PROPERTY_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
"""What a property may be called."""


def property_name(name: str) -> str:
    """`name` quoted for Cypher.

    Raises:
        GraphError: it is not made of a-z, 0-9 and _.
    """
    if not PROPERTY_NAME.match(name):
        raise GraphError(f"{name!r} is no property name", "graph", "a name is a-z, then a-z, 0-9 and _")
    return f"`{name}`"
