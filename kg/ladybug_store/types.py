"""Property types as Ladybug names them, and names in its Cypher."""

from __future__ import annotations

from kg.clean_tables import PROPERTY_NAME
from kg.errors import GraphError
from kg.schema import Type

LADYBUG_TYPE: dict[Type, str] = {
    Type.STRING: "STRING",
    Type.FLOAT: "DOUBLE",
    Type.INTEGER: "INT64",
    Type.BOOLEAN: "BOOL",
    Type.DATETIME: "TIMESTAMP_TZ",
}
SCHEMA_TYPE: dict[str, Type] = {name: kind for kind, name in LADYBUG_TYPE.items()}


def property_name(name: str) -> str:
    """`name` quoted for Cypher.

    Raises:
        GraphError: it is not made of a-z, 0-9 and _.
    """
    if not PROPERTY_NAME.match(name):
        raise GraphError(f"{name!r} is no property name", "graph", "a name is a-z, then a-z, 0-9 and _")
    return f"`{name}`"
