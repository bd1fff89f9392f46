"""What the files, columns and words of a directory probably are, by their names and by what they hold."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ingest.check.draft import Draft
from ingest.check.samples import SampleColumn
from ingest.check.tables import DESCRIBING, NESTED, TableFiles, best_column, table_of
from ingest.check.values import UNITS, decimal_of, event_words, number, time_reading
from ingest.check.words import COLUMNS, PERSONAL, RELATIONS, event_of, match, plain
from ingest.contract import TABLES as CONTRACT
from ingest.contract import Kind
from ingest.derived_columns import ITEM, LIST_NAME

_ENTITY = re.compile(r"&(amp|quot|lt|gt|apos|nbsp|#39);")
_SHOWN = frozenset(
    {"product_id", "event", "time", "quantity", "price", "rating", "title", "brand", "category", "stock"}
)
"""Columns of which a value may stand in the draft: none that is of a person."""


class Guesser:
    """Puts guesses into a draft, table by table.

    Args:
        draft: what is in force, and gets the guesses.
        tables: the tables of the directory.
    """

    def __init__(self, draft: Draft, tables: Sequence[TableFiles]) -> None:
        self.draft = draft
        self.tables = tables
        names = [c.name for t in tables for s in t.samples for c in s.columns]
        self._common = {name: names.count(name) for name in names}

    def guess(self) -> None:
        """Guess what every table needs."""
        present = {t.table for t in self.tables}
        for table in self.tables:
            columns = table.columns
            if not table.known and table.table == "events" and not self._event_is_told(table, columns):
                continue
            self._files(table)
            chosen = self._columns(table, columns)
            self._numbers(table, columns, chosen)
            self._events(table, columns, chosen)
            if not table.known:
                self._extras(table, columns, chosen)
            if table.table == "events" and not table.known and "products" not in present:
                self._products_of_events(table, columns, chosen)
            if table.table == "products" and "triples" not in present:
                self._triples(table, columns, chosen)

    def _put(self, table: str, key: tuple[str, ...], value: Any, why: str) -> None:
        self.draft.put(("tables", table, *key), value, why)

    def _files(self, table: TableFiles) -> None:
        first = table.samples[0]
        name = table.table
        if not table.known:
            self._put(name, ("files",), [glob.escape(s.name) for s in table.samples], table_of(first)[1])
        if first.kind == "CSV" and first.delimiter != self._in_force(name, "delimiter", ","):
            self._put(name, ("delimiter",), first.delimiter, "it cuts every line into as many fields as the header")
        if first.kind != "Parquet" and first.encoding != self._in_force(name, "encoding", "utf-8").lower():
            self._put(name, ("encoding",), first.encoding, "the bytes of the file are not UTF-8")
        if first.literals:
            self._put(name, ("python_literals",), True, "lines are written as Python writes them, not as JSON")

    def _in_force(self, table: str, key: str, default: str) -> str:
        content = self.draft.content
        return str(content.get("tables", {}).get(table, {}).get(key, content.get(key, default)))

    def _event_is_told(self, table: TableFiles, columns: Mapping[str, SampleColumn]) -> bool:
        """Whether it can be told what happened in a row; if not, a person must say."""
        if "event" in columns or best_column("event", columns, self._common) or self._constant(table, columns):
            return True
        what = 'say in [tables.events.constants] which event its rows are, as in event = "view"'
        self.draft.decisions.append(f"{table.names} looks like events of one kind, but nothing tells which: {what}")
        return False

    def _constant(self, table: TableFiles, columns: Mapping[str, SampleColumn]) -> tuple[str, str] | None:
        """The event that all rows are, where no column says so, and why."""
        if "event" in columns or best_column("event", columns, {}):
            return None
        found = {c: best_column(c, columns, {}) for c in ("rating", "order_id", "quantity", "price")}
        if found["rating"]:
            return "review", f"no column of events, and {found['rating']!r} is a rating"
        for token in re.split(r"[^a-zäöüß]+", table.samples[0].name.lower()):
            event = event_of(token) or event_of(token.removesuffix("s")) or event_of(token.removesuffix("en"))
            if event:
                return event, f"no column of events, and the file's name says {token!r}"
        told = next((found[c] for c in ("order_id", "quantity", "price") if found[c]), None)
        return ("purchase", f"no column of events, and {told!r} belongs to purchases") if told else None

    def _columns(self, table: TableFiles, columns: Mapping[str, SampleColumn]) -> dict[str, str]:
        """Contract column -> source column, of all that are there, known or guessed."""
        mapped = self.draft.content.get("tables", {}).get(table.table, {}).get("columns", {})
        constants = self.draft.content.get("tables", {}).get(table.table, {}).get("constants", {})
        spec = [c.name for c in CONTRACT[table.table].columns]
        chosen = {n: n for n in spec if n in columns} | {n: s for n, s in mapped.items() if isinstance(s, str)}
        told = {*chosen, *mapped, *constants}
        for name in (n for n in chosen if not table.known and n in columns and n not in mapped):
            if (written := _written(name, columns[name])) != name:
                self._put(table.table, ("columns", name), written, "it holds lists, or text with HTML")
        for name in (n for n in spec if n not in told and n in COLUMNS):
            source = best_column(name, columns, self._common, [*chosen.values(), *spec])
            if source is None and name == "product_id" and table.table == "events" and not table.known:
                names = (best_column(c, columns, self._common, list(chosen.values())) for c in ("title", "description"))
                source = next((found for found in names if found), None)
                if source:
                    why = "no column of product numbers: the name stands for the product"
                    self._put("events", ("columns", name), source, why)
            elif source:
                self._put(table.table, ("columns", name), _written(name, columns[source]), _why(name, columns[source]))
            if source:
                chosen[name] = source
        if table.table == "events" and not table.known and (constant := self._constant(table, columns)):
            self._put("events", ("constants", "event"), constant[0], constant[1])
        return chosen

    def _numbers(self, table: TableFiles, columns: Mapping[str, SampleColumn], chosen: Mapping[str, str]) -> None:
        """Decimal signs, and how times are written."""
        name = table.table
        kinds = {c.name: c.kind for c in CONTRACT[name].columns}
        numeric = {
            c: columns[s] for c, s in chosen.items() if kinds.get(c) in (Kind.FLOAT, Kind.INTEGER) and s in columns
        }
        signs = {sign: c for c, column in numeric.items() if (sign := decimal_of(column))}
        if signs and not self.draft.has("decimal"):
            sign = "," if "," in signs else "."
            shown = next(t for t in columns[chosen[signs[sign]]].texts if sign in t or not t.isdigit())
            self._put(name, ("decimal",), sign, f"numbers are written as in {shown!r}")
        source = columns.get(chosen.get("time", ""))
        reading = time_reading(source) if source else None
        if source is None or reading is None:
            return
        if reading.patterns and not self.draft.has("time_format"):
            why = f"times are written as in {source.texts[0]!r}"
            if reading.ambiguous:
                why += "; day before month is assumed, no value tells"
                what = f"whether {source.texts[0]!r} in {source.name!r} has the day or the month first"
                self.draft.decisions.append(f"{table.names}: say in time_format {what}")
            self._put(name, ("time_format",), reading.patterns[0], why)
        if reading.unit != 1.0:
            self._put(
                name,
                ("units", "time"),
                reading.unit,
                f"numbers such as {source.texts[0]} count {UNITS[reading.unit]} since 1970",
            )

    def _events(self, table: TableFiles, columns: Mapping[str, SampleColumn], chosen: Mapping[str, str]) -> None:
        """Words for events, and purchases of negative quantity."""
        if table.table != "events":
            return
        source = columns.get(chosen.get("event", ""))
        if source is not None:
            known, unknown = event_words(source)
            mapped = self.draft.content.get("tables", {}).get("events", {}).get("event_values", {})
            told = {w.strip().lower() for w in mapped}
            for word, event in known.items():
                if word.lower() not in (event, *told):
                    self._put("events", ("event_values", word), event, f"a word for {event}")
            left = [w for w in unknown if w.lower() not in told]
            if left:
                what = f"which events the words {', '.join(map(repr, left[:8]))} of {source.name!r} are"
                self.draft.decisions.append(f"{table.names}: say in [tables.events.event_values] {what}")
        quantity = columns.get(chosen.get("quantity", ""))
        if quantity is not None and not table.known:
            sign = decimal_of(quantity) or ""
            negative = next((v for v in quantity.values if (number(v, sign) or 0) < 0), None)
            if negative is not None:
                why = f"quantities such as {negative} take a purchase back"
                self._put("events", ("negative_quantity",), "return", why)

    def _extras(self, table: TableFiles, columns: Mapping[str, SampleColumn], chosen: Mapping[str, str]) -> None:
        """Columns that say who a person is are not kept."""
        if table.table == "products":
            return
        rest = [n for n in columns if n not in chosen.values() and n not in CONTRACT[table.table].required]
        personal = [n for n in rest if plain(n) in PERSONAL.split()]
        if personal:
            kept = [n for n in rest if n not in personal]
            why = f"personal columns are not kept: {', '.join(personal)}"
            self._put(table.table, ("extras",), kept or False, why)

    def _products_of_events(
        self, table: TableFiles, columns: Mapping[str, SampleColumn], chosen: Mapping[str, str]
    ) -> None:
        """A table of products from a file of events that describes them; what a review says describes none."""
        described = {c: s for c in DESCRIBING if (s := best_column(c, columns, self._common))}
        if "title" not in described and "description" in described:
            described["title"] = described.pop("description")
        if "product_id" not in chosen or "title" not in described or "rating" in chosen or "text" in chosen:
            return
        self._put("products", ("files",), [glob.escape(s.name) for s in table.samples], "the same lines name products")
        for key in ("delimiter", "encoding", "decimal"):
            if key in self.draft.content["tables"]["events"]:
                self._put("products", (key,), self.draft.content["tables"]["events"][key], "as of the events")
        self._put("products", ("extras",), False, "the other columns are the events'")
        self._put("products", ("columns", "product_id"), chosen["product_id"], "as of the events")
        for name, source in described.items():
            self._put("products", ("columns", name), _written(name, columns[source]), "it describes the product")

    def _triples(self, table: TableFiles, columns: Mapping[str, SampleColumn], chosen: Mapping[str, str]) -> None:
        """Lists of other products beside a product."""
        lists = {
            name: path for column in columns.values() for name, path in _relations(column) if name in RELATIONS.split()
        }
        if not lists or "product_id" not in chosen:
            return
        self._put("triples", ("files",), [glob.escape(s.name) for s in table.samples], "lists of other products")
        if table.samples[0].literals:
            self._put("triples", ("python_literals",), True, "as of the products")
        self._put("triples", ("extras",), False, "the other columns are the products'")
        for name, path in lists.items():
            self._put("triples", ("unnest", name), path, "a list of other products")
        for name, source in (("head", chosen["product_id"]), ("relation", LIST_NAME), ("tail", ITEM)):
            self._put("triples", ("columns", name), source, "a row per product of the lists")


def _relations(column: SampleColumn) -> list[tuple[str, str]]:
    """Lists within a column: (name, path)."""
    found = {column.name: column.name} if any(isinstance(v, list) for v in column.values) else {}
    for value in (v for v in column.values if isinstance(v, dict)):
        found |= {k: f"{column.name}.{k}" for k, v in value.items() if isinstance(v, list)}
    return list(found.items())


def _written(contract: str, column: SampleColumn) -> Any:
    """The column as the mapping names it: lists with their separators, texts without HTML."""
    lists = [v for v in column.values if isinstance(v, list)] if contract in NESTED else []
    options: dict[str, Any] = {}
    if lists and contract == "image":
        return f"{column.name}.0"
    if lists:
        paths = contract == "category" and any(isinstance(item, list) for v in lists for item in v)
        options["join"] = [";", NESTED[contract]] if paths else NESTED[contract]
    texts = {"title", "description", "brand", "category"}
    if contract in texts and any(_ENTITY.search(str(v)) for v in column.values):
        options["html"] = True
    return {"from": column.name, **options} if options else column.name


def _why(contract: str, column: SampleColumn) -> str:
    if not match(column.name, COLUMNS[contract]):
        return "its values are words for events"
    exact = plain(column.name) in COLUMNS[contract].split()
    shown = next((t for t in column.texts if t), "")
    example = f", as in {shown[:30]!r}" if shown and contract in _SHOWN else ""
    return (
        f"the name is a word for {contract}{example}" if exact else f"the name resembles words for {contract}{example}"
    )
