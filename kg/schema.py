"""The graph schema: labels, relationship types and property types. Both stores generate theirs from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import pyarrow as pa


class Type(Enum):
    """Property types that both stores have; the value is the Arrow type in which readers hand them over."""

    STRING = "string"
    FLOAT = "double"
    INTEGER = "int64"
    BOOLEAN = "bool"
    DATETIME = "timestamp[us, UTC]"
    STRINGS = "list<string>"
    VECTOR = "list<float>"


ARROW_TYPE: dict[Type, pa.DataType] = {
    Type.STRING: pa.large_string(),
    Type.FLOAT: pa.float64(),
    Type.INTEGER: pa.int64(),
    Type.BOOLEAN: pa.bool_(),
    Type.DATETIME: pa.timestamp("us", "UTC"),
    Type.STRINGS: pa.list_(pa.large_string()),
    Type.VECTOR: pa.list_(pa.float32()),
}
"""The Arrow type in which readers hand over a property; texts together may pass 2 GB, hence large strings."""


@dataclass(frozen=True)
class Label:
    """A node label; every label has a unique STRING property `id`.

    Attributes:
        name: the label.
        properties: its contract properties beside `id`; extra columns of the source come on top.
    """

    name: str
    properties: dict[str, Type] = field(default_factory=dict)


@dataclass(frozen=True)
class Relationship:
    """A relationship type with the pairs of labels that it may join.

    Attributes:
        name: the type.
        endpoints: (source label, target label) pairs.
        properties: its contract properties; extra columns of the source come on top.
    """

    name: str
    endpoints: tuple[tuple[str, str], ...]
    properties: dict[str, Type] = field(default_factory=dict)


S, F, N, B, D, L = Type.STRING, Type.FLOAT, Type.INTEGER, Type.BOOLEAN, Type.DATETIME, Type.STRINGS

_PRODUCT = {
    "title": S, "description": S, "price": F, "cost": F, "stock": F, "image": S,
    "recommendable": B, "available_from": D, "available_until": D,
}  # fmt: skip
_RUN = {
    "current": B, "created": D, "model": S, "version": S, "config": S, "metrics": S, "cutoff": D, "fingerprint": S,
}  # fmt: skip
LABELS: dict[str, Label] = {
    label.name: label
    for label in (
        Label("User"),
        Label("Product", _PRODUCT),
        Label("Brand", {"name": S}),
        Label("Category", {"name": S, "level": N}),
        Label("Order", {"at": D, "day": N, "month": N, "channel": S, "store": S}),
        Label("Campaign", {"start_time": D, "end_time": D}),
        Label("Coupon"),
        Label("Account", {"channel": S}),
        Label("Entity", {"type": S}),
        Label("Run", _RUN),
        Label("Batch", {"build": S, "state": S, "rows": N, "created": D}),
    )
}
"""`day` counts days since 1970-01-01, `month` is yyyymm; both in UTC."""

EVENT_TYPES: dict[str, str] = {
    "impression": "SAW",
    "click": "CLICKED",
    "view": "VIEWED",
    "cart": "CARTED",
    "purchase": "PURCHASED",
    "review": "REVIEWED",
    "wishlist": "WISHED",
    "return": "RETURNED",
}
"""Event name to relationship type. A search names no product and stays a row of the clean table."""

EVENT_PROPERTIES: dict[str, Type] = {
    "id": S, "at": D, "day": N, "month": N, "sequence": N, "quantity": N, "price": F, "rating": F,
    "text": S, "channel": S, "store": S, "order_id": S, "session_id": S, "list_id": S, "slot": N, "propensity": F,
    "account_id": S, "split": S,
}  # fmt: skip

WRITTEN_LATER: dict[str, dict[str, Type]] = {"REVIEWED": {"sentiment": F}}
"""Event type to properties that a command writes when the graph stands: empty after a build, never read by training.

`sentiment` is what the text of a review says, from -1 (as the lowest rating) to 1 (as the highest).
"""

_USER_PRODUCT = (("User", "Product"),)
RELATIONSHIPS: dict[str, Relationship] = {
    r.name: r
    for r in (
        *(
            Relationship(name, _USER_PRODUCT, {**EVENT_PROPERTIES, **WRITTEN_LATER.get(name, {})})
            for name in EVENT_TYPES.values()
        ),
        Relationship("PLACED", (("User", "Order"),)),
        Relationship("CONTAINS", (("Order", "Product"),), {"quantity": N, "price": F}),
        Relationship("MADE_BY", (("Product", "Brand"),)),
        Relationship("IN_CATEGORY", (("Product", "Category"),)),
        Relationship("CHILD_OF", (("Category", "Category"),)),
        Relationship("VARIANT_OF", (("Product", "Product"),)),
        Relationship("APPLIES_TO", (("Coupon", "Product"),), {"campaign_id": S}),
        Relationship("PART_OF", (("Coupon", "Campaign"),)),
        Relationship("TARGETED_BY", (("User", "Campaign"),)),
        Relationship("REDEEMED", (("User", "Coupon"),), {"at": D, "day": N, "month": N, "campaign_id": S}),
        Relationship("BELONGS_TO", (("Account", "User"),), {"confidence": F, "method": S}),
        Relationship(
            "RELATED",
            (("Product", "Product"), ("Product", "Entity"), ("Entity", "Product"), ("Entity", "Entity")),
            {"relation": S, "at": D},
        ),
        Relationship(
            "RECOMMENDED",
            _USER_PRODUCT,
            {"run": S, "rank": N, "score": F, "reason_kind": S, "reason": S, "evidence": L},
        ),
        Relationship("SIMILAR", (("Product", "Product"),), {"run": S, "rank": N, "score": F}),
    )
}
"""`price` of an event or an order line is per unit."""

LEDGER_LABELS = frozenset({"Batch", "Run"})
"""Bookkeeping of a build or a training run: not part of the graph that two stores are compared by."""

WRITTEN_BACK = frozenset({"RECOMMENDED", "SIMILAR"})
"""Relationships that training runs write: never input of a training run."""

DERIVED = frozenset({"PLACED", "CONTAINS"})
"""Relationships derived from events for analysts; training reads the events."""
