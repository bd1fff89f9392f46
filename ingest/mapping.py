"""`mapping.toml`: how a directory's own names, codes, units and encodings become those of the contract."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb

from ingest.column_origin import ColumnOrigin
from ingest.contract import EVENTS, TABLES, Kind
from ingest.errors import IngestError
from ingest.names import literal

DANGLING = ("quarantine", "create")


@dataclass(frozen=True)
class TableMapping:
    """What the mapping says about one table.

    Attributes:
        files: file names or patterns within the source, those after a `!` left out; empty: the contract's names.
        columns: contract or extra column name -> source column name, path, or label of an origin.
        origins: label -> where those columns come from that are more than one source column or path.
        constants: column name -> value of every row.
        units: number or time column -> factor that its values are multiplied by.
        event_values: the source's event value (case ignored) -> contract event.
        extras: names of the source columns to keep beside the contract's; None keeps all.
        personal: names of extra columns that are contact fields, whatever they are called.
        not_personal: names of extra columns that are none, although they look it.
        encoding: of text files.
        delimiter: of CSV files.
        time_zone: IANA name, for times without a zone.
        time_format: strptime patterns of times that are text, tried in turn before ISO 8601 and epoch seconds.
        decimal: `.` or `,` in numbers that are text, which may then have digits in groups of three and a currency;
            None: numbers as programs write them.
        negative_quantity: the event that a purchase of negative quantity is; the quantity is then positive.
        unnest: name -> column or path of a list; a row becomes one per item of these lists, with the columns
            `unnest.list` (the name) and `unnest.item`.
        optional: whether the files may be missing, and columns that the mapping names but the contract does not need.
        python_literals: whether a line that is no JSON may be a Python literal.
    """

    files: tuple[str, ...] = ()
    columns: MappingType[str, str] = field(default_factory=dict)
    origins: MappingType[str, ColumnOrigin] = field(default_factory=dict)
    constants: MappingType[str, str] = field(default_factory=dict)
    units: MappingType[str, float] = field(default_factory=dict)
    event_values: MappingType[str, str] = field(default_factory=dict)
    extras: tuple[str, ...] | None = None
    personal: tuple[str, ...] = ()
    not_personal: tuple[str, ...] = ()
    encoding: str = "utf-8"
    delimiter: str = ","
    time_zone: str = "UTC"
    time_format: tuple[str, ...] = ()
    decimal: str | None = None
    negative_quantity: str | None = None
    unnest: MappingType[str, str] = field(default_factory=dict)
    optional: bool = False
    python_literals: bool = False


@dataclass(frozen=True)
class Mapping:
    """A whole mapping file.

    Attributes:
        tables: per contract table; a table that the file does not name has the file's defaults.
        dangling: `quarantine` or `create`, None where the file does not say.
    """

    tables: MappingType[str, TableMapping] = field(default_factory=lambda: {name: TableMapping() for name in TABLES})
    dangling: str | None = None


_DEFAULTS = ("encoding", "delimiter", "time_zone", "decimal")
_TOP = ("tables", "dangling", "time_format", *_DEFAULTS)
_PERSONAL = ("personal", "not_personal")
_FLAGS = ("optional", "python_literals")
_SECTIONS = ("columns", "constants", "units", "event_values", "unnest")
_TABLE = ("files", *_SECTIONS, "extras", *_PERSONAL, "negative_quantity", "time_format", *_FLAGS, *_DEFAULTS)
_ORIGIN = ("from", "join", "html")


def read_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises:
        IngestError: it cannot be read, or has an unknown key, table, column, event, time zone or a wrong type.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise IngestError("the mapping cannot be read", str(path), "name an existing UTF-8 TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise IngestError(f"the mapping is not TOML: {error}", str(path), "correct the line named") from error
    return _Reader(str(path)).mapping(content)


class _Reader:
    """Checks one mapping file, naming the key in every message."""

    def __init__(self, where: str) -> None:
        self.where = where

    def fail(self, what: str, remedy: str) -> IngestError:
        return IngestError(what, self.where, remedy)

    def mapping(self, content: dict[str, Any]) -> Mapping:
        self.keys(content, _TOP, "")
        tables = self.section(content, "tables", "")
        self.keys(tables, tuple(TABLES), "tables.")
        dangling = self.text(content, "dangling", "", None)
        if dangling not in (None, *DANGLING):
            raise self.fail(f"dangling = {dangling!r} is unknown", f"use one of {', '.join(DANGLING)}")
        read = {n: self.table(n, self.section(tables, n, "tables."), content) for n in TABLES}
        return Mapping(read, dangling)

    def table(self, name: str, content: dict[str, Any], defaults: dict[str, Any]) -> TableMapping:
        prefix = f"tables.{name}."
        self.keys(content, _TABLE, prefix)
        texts = {key: self.text(content, key, prefix, self.text(defaults, key, "", None)) for key in _DEFAULTS}
        given = {key: value for key, value in texts.items() if value is not None}
        self.check_text_settings(given, prefix)
        extras = content.get("extras", True)
        origins = {k: self.origin(v, f"{prefix}columns.{k}") for k, v in self.pairs(content, "columns", prefix)}
        formats = "time_format" in content
        return TableMapping(
            files=self.strings(content.get("files", []), f"{prefix}files"),
            columns={k: o.paths[0] if o.plain else o.label for k, o in origins.items()},
            origins={o.label: o for o in origins.values() if not o.plain},
            constants={
                k: self.constant(v, f"{prefix}constants.{k}") for k, v in self.pairs(content, "constants", prefix)
            },
            units={k: self.unit(name, k, v, prefix) for k, v in self.pairs(content, "units", prefix)},
            event_values=self.event_values(name, content, prefix),
            extras=None if extras is True else () if extras is False else self.strings(extras, f"{prefix}extras"),
            personal=self.strings(content.get("personal", []), f"{prefix}personal"),
            not_personal=self.strings(content.get("not_personal", []), f"{prefix}not_personal"),
            time_format=self.time_format(content if formats else defaults, prefix if formats else ""),
            negative_quantity=self.negative_quantity(name, content, prefix),
            unnest={k: self.checked(v, str, f"{prefix}unnest.{k}") for k, v in self.pairs(content, "unnest", prefix)},
            optional=self.flag(content, "optional", prefix),
            python_literals=self.flag(content, "python_literals", prefix),
            **given,
        )

    def origin(self, value: Any, key: str) -> ColumnOrigin:
        """A source column or path, a list of them, or a table with `from` and how its lists are written."""
        content = value if isinstance(value, dict) else {"from": value}
        self.keys(content, _ORIGIN, f"{key}.")
        paths = self.strings(content.get("from", []), key)
        join = self.strings(content.get("join", []), f"{key}.join")
        if not paths or len(join) > 2:
            remedy = "give a column, a list of columns, or { from = COLUMN, join = SEPARATOR or [OUTER, INNER] }"
            raise self.fail(f"'{key}' is {value!r}", remedy)
        return ColumnOrigin(paths, join, self.flag(content, "html", f"{key}."))

    def flag(self, content: dict[str, Any], key: str, prefix: str) -> bool:
        value = content.get(key, False)
        if not isinstance(value, bool):
            raise self.fail(f"'{prefix}{key}' is {value!r}", "give true or false")
        return value

    def time_format(self, content: dict[str, Any], prefix: str) -> tuple[str, ...]:
        patterns = self.strings(content.get("time_format", []), f"{prefix}time_format")
        for pattern in patterns:
            try:
                usable = "%" in pattern and duckdb.execute(f"SELECT try_strptime('', {literal(pattern)})")
            except duckdb.Error:
                usable = False
            if not usable:
                remedy = "use strptime directives, as in %d/%m/%Y %H:%M"
                raise self.fail(f"'{prefix}time_format' has {pattern!r}, which is no format", remedy)
        return patterns

    def negative_quantity(self, table: str, content: dict[str, Any], prefix: str) -> str | None:
        event = self.text(content, "negative_quantity", prefix, None)
        if event is not None and table != "events":
            raise self.fail(f"unknown key '{prefix}negative_quantity' in the mapping", "only tables.events has events")
        if event not in (None, *EVENTS):
            raise self.fail(f"'{prefix}negative_quantity' is {event!r}", f"use one of {', '.join(EVENTS)}")
        return event

    def keys(self, content: dict[str, Any], known: tuple[str, ...], prefix: str) -> None:
        for key in content:
            if key not in known:
                raise self.fail(f"unknown key '{prefix}{key}' in the mapping", f"known here: {', '.join(known)}")

    def section(self, content: dict[str, Any], key: str, prefix: str) -> dict[str, Any]:
        value = content.get(key, {})
        if not isinstance(value, dict):
            raise self.fail(f"'{prefix}{key}' is not a table", f"write it as [{prefix}{key}]")
        return value

    def pairs(self, content: dict[str, Any], key: str, prefix: str) -> list[tuple[str, Any]]:
        return list(self.section(content, key, prefix).items())

    def text(self, content: dict[str, Any], key: str, prefix: str, default: str | None) -> str | None:
        return self.checked(content[key], str, f"{prefix}{key}") if key in content else default

    def strings(self, value: Any, key: str) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            raise self.fail(f"'{key}' is {value!r}", "give a list of strings")
        return tuple(self.checked(item, str, key) for item in value)

    def checked(self, value: Any, kind: type[str], key: str) -> str:
        if not isinstance(value, kind):
            raise self.fail(f"'{key}' is {value!r}", "give a string in quotes")
        return value

    def constant(self, value: Any, key: str) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, (dict, list)):
            raise self.fail(f"'{key}' is {value!r}", "give a single value")
        return value.isoformat() if hasattr(value, "isoformat") else str(value)

    def unit(self, table: str, column: str, value: Any, prefix: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(f"'{prefix}units.{column}' is {value!r}", "give a number to multiply by")
        kinds = {c.name: c.kind for c in TABLES[table].columns}
        if kinds.get(column) not in (Kind.FLOAT, Kind.INTEGER, Kind.TIME):
            usable = ", ".join(n for n, k in kinds.items() if k in (Kind.FLOAT, Kind.INTEGER, Kind.TIME)) or "none"
            raise self.fail(f"'{prefix}units.{column}' is no number or time column", f"columns with units: {usable}")
        return float(value)

    def event_values(self, table: str, content: dict[str, Any], prefix: str) -> dict[str, str]:
        if "event_values" in content and table != "events":
            raise self.fail(f"unknown key '{prefix}event_values' in the mapping", "only tables.events has events")
        values: dict[str, str] = {}
        for source, event in self.pairs(content, "event_values", prefix):
            if event not in EVENTS:
                raise self.fail(f"'{prefix}event_values.{source}' is {event!r}", f"use one of {', '.join(EVENTS)}")
            values[source.strip().lower()] = str(event)
        return values

    def check_text_settings(self, given: dict[str, str], prefix: str) -> None:
        if given.get("decimal", ".") not in (".", ","):
            raise self.fail(f"'{prefix}decimal' is {given['decimal']!r}", "give '.' or ','")
        if len(given.get("delimiter", ",")) != 1:
            raise self.fail(f"'{prefix}delimiter' is {given['delimiter']!r}", "give a single character")
        try:
            "".encode(given.get("encoding", "utf-8"))
        except LookupError as error:
            raise self.fail(f"unknown encoding {given['encoding']!r}", "use a name such as utf-8 or cp1252") from error
        try:
            ZoneInfo(given.get("time_zone", "UTC"))
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise self.fail(f"unknown time zone {given['time_zone']!r}", "use an IANA name: Europe/London") from error
