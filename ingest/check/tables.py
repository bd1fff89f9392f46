"""Which table a file of unknown name probably is, and which of its columns are those of the contract."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingest.check.samples import FileSample, SampleColumn
from ingest.check.values import decimal_of, is_event_column, time_reading
from ingest.check.words import COLUMNS, TABLES, match, plain
from ingest.contract import TABLES as CONTRACT
from ingest.contract import Kind

_GUESSED = ("events", "products", "users")
DESCRIBING = ("title", "description", "brand", "category", "image", "stock")
"""Columns that describe products."""

_HAPPENING = ("event", "time", "quantity", "rating", "order_id", "session_id")
NESTED = {"category": " > ", "description": "\n", "image": ""}
"""Columns that may be lists in the source -> what their items are joined by."""


@dataclass(frozen=True)
class TableFiles:
    """Files that are one table.

    Attributes:
        table: the contract table.
        samples: their beginnings, all of the same columns.
        known: whether the contract or a mapping says so, and no guess does.
    """

    table: str
    samples: tuple[FileSample, ...]
    known: bool

    @property
    def names(self) -> str:
        """The files, for a sentence."""
        shown = [s.name for s in self.samples[:3]]
        return ", ".join(shown) + (f" and {len(self.samples) - 3} more" if len(self.samples) > 3 else "")

    @property
    def columns(self) -> dict[str, SampleColumn]:
        """The columns of all of them, by name, with the values of all."""
        found: dict[str, SampleColumn] = {}
        for column in (c for s in self.samples for c in s.columns):
            before = found[column.name].values if column.name in found else ()
            found[column.name] = SampleColumn(column.name, before + column.values, column.typed)
        return found


def table_of(sample: FileSample) -> tuple[str | None, str]:
    """The table that a file probably is, and why; None where it is none that can be told."""
    stem = sample.name.rsplit("/", 1)[-1].split(".", 1)[0]
    tokens = [plain(t) for t in re.split(r"[^A-Za-zÄÖÜäöüß]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", stem)) if t]
    named = next((t for t in _GUESSED if any(token in TABLES[t].split() for token in tokens)), None)
    columns = {c.name: c for c in sample.columns}
    found = {c: s for c in COLUMNS if (s := best_column(c, columns, {}))}
    user, product = found.get("user_id"), found.get("product_id")
    happening = [found[c] for c in _HAPPENING if c in found]
    describing = [found[c] for c in DESCRIBING if c in found]
    if user and (product or (describing and happening)) and named != "users":
        others = ", ".join(repr(c) for c in [product or describing[0], *happening[:1]])
        return "events", f"the columns {user!r}, {others} are those of events"
    if product and not user and (describing or named == "products"):
        return "products", f"the column {product!r} beside {', '.join(map(repr, describing[:2])) or 'others'}"
    if user and not product and (named == "users" or (len(columns) > 1 and not happening)):
        return "users", f"the column {user!r} and none of products"
    return None, ""


def best_column(
    contract: str, columns: Mapping[str, SampleColumn], common: Mapping[str, int], taken: Sequence[str] = ()
) -> str | None:
    """The source column that most probably is a contract column; None without one."""
    words = COLUMNS.get(contract, "")
    ranked: list[tuple[tuple[float, ...], str]] = []
    for place, (name, column) in enumerate(columns.items()):
        score = match(name, words)
        if not score or name in taken or not _fits(contract, column):
            continue
        reading = time_reading(column) if contract == "time" else None
        patterned = float(reading is not None and bool(reading.patterns))
        ranked.append(((score, -patterned, common.get(name, 0), -_place(words, name), -place), name))
    if not ranked and contract == "event":
        few = (n for n, c in columns.items() if n not in taken and len(set(c.texts)) <= 30 and is_event_column(c))
        return next(few, None)
    return max(ranked)[1] if ranked else None


def _place(words: str, name: str) -> float:
    known = words.split()
    return known.index(plain(name)) if plain(name) in known else len(known)


def _fits(contract: str, column: SampleColumn) -> bool:
    """Whether a column's values can be those of the contract column."""
    kind = next(c.kind for t in CONTRACT.values() for c in t.columns if c.name == contract)
    if column.nested:
        return contract in NESTED
    if not column.values:
        return kind is not Kind.TIME
    if kind is Kind.TIME:
        return time_reading(column) is not None
    if kind in (Kind.FLOAT, Kind.INTEGER):
        return decimal_of(column) is not None
    return True
