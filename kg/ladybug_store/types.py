"""Property types as Ladybug names them."""

from __future__ import annotations

from kg.schema import Type

LADYBUG_TYPE: dict[Type, str] = {
    Type.STRING: "STRING",
    Type.FLOAT: "DOUBLE",
    Type.INTEGER: "INT64",
    Type.BOOLEAN: "BOOL",
    Type.DATETIME: "TIMESTAMP_TZ",
    Type.STRINGS: "STRING[]",
    Type.VECTOR: "FLOAT[]",
}
SCHEMA_TYPE: dict[str, Type] = {name: kind for kind, name in LADYBUG_TYPE.items()}
