"""A named query in its file: Cypher under a header that says what it answers, takes and gives.

    // title: Best sellers of a month
    // topic: sales
    // about: a line that says more; may come again, the lines are one text
    // param month: integer = 201711 — the month, yyyymm
    // column product: the product's id
    // reads: PURCHASED, Product.title
    // needs: full_text

A parameter without `= default` has to be given. The type `User property` stands for the name of a property of that
label: the Cypher has `u[$name]`, which Neo4j runs as it is. `reads` tells what the answer rests on; a property there
that the schema has not (an extra column of some source) must exist in the graph. `needs` names capabilities of the
store. There is one `column` line per column of the answer, in its order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kg.errors import GraphError
from kg.property_names import property_name
from kg.schema import LABELS
from kg.stores import Capabilities

TOPICS = (
    "sales",
    "baskets",
    "brands and categories",
    "prices",
    "campaigns and coupons",
    "users",
    "products",
    "recommendations",
    "data quality",
)
"""What the library is grouped by, in this order."""

Value = str | int | float | bool
_FIELDS = ("title", "topic", "about", "param", "column", "reads", "needs")
_HEADER = re.compile(rf"//\s*({'|'.join(_FIELDS)})(?::\s*|\s+)(.+)")
_PARAMETER = re.compile(r"(\w+):\s*(\w+(?: property)?)(?:\s*=\s*(.*?))?\s*—\s*(.+)")
_COLUMN = re.compile(r"(\w+):\s*(.+)")
_TYPES = ("string", "integer", "float", "boolean")
_CAPABILITIES = {
    "full_text": "a full-text index",
    "vector_index": "a vector index",
    "server_transactions": "Neo4j's full Cypher",
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a named query.

    Attributes:
        name: as in `--param name=value` and `$name`.
        type: string, integer, float, boolean, or `LABEL property`: the name of a property of that label.
        default: None where a value has to be given.
        meaning: one line for people.
    """

    name: str
    type: str
    default: Value | None
    meaning: str

    @property
    def label(self) -> str | None:
        """The label whose property this names, None for a plain value."""
        return self.type.removesuffix(" property") if self.type.endswith(" property") else None

    def value(self, text: str) -> Value:
        """What `text` means as this parameter.

        Raises:
            GraphError: it is no value of the parameter's type; names both.
        """
        try:
            if self.type == "integer":
                return int(text)
            if self.type == "float":
                return float(text)
            if self.type == "boolean":
                return {"true": True, "false": False}[text.strip().lower()]
        except (ValueError, KeyError) as error:
            example = {"integer": "10", "float": "0.5", "boolean": "true"}[self.type]
            what = f"{text!r} is no {self.type}"
            raise GraphError(what, f"parameter {self.name}", f"write for example {self.name}={example}") from error
        return text.strip() if self.label else text


@dataclass(frozen=True)
class Column:
    """A column of a query's answer: its name, and what it holds."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Query:
    """A named query.

    Attributes:
        name: of its file.
        folder: `common` or `neo4j`.
        title: what it answers, in a line.
        topic: one of `TOPICS`.
        about: how the figures are defined and what to mind; '' where the title says it all.
        parameters: in the order of the file.
        columns: of the answer, in its order.
        reads: labels, relationship types and Label.property or TYPE.property.
        needs: names of `Capabilities`.
        cypher: the statement, without its header.
    """

    name: str
    folder: str
    title: str
    topic: str
    about: str
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    reads: tuple[str, ...]
    needs: tuple[str, ...]
    cypher: str

    def missing(self, capabilities: Capabilities) -> str:
        """What a store lacks for this query, in words; empty if nothing."""
        return ", ".join(_CAPABILITIES[need] for need in self.needs if not getattr(capabilities, need))

    def bind(self, assignments: Sequence[str]) -> dict[str, Value]:
        """Parameter values from `name=value` texts and the defaults.

        Raises:
            GraphError: an unknown, doubled, missing or unreadable parameter; names it.
        """
        known = {p.name: p for p in self.parameters}
        where = f"query {self.name}"
        found: dict[str, Value] = {}
        for assignment in assignments:
            name, sign, text = assignment.partition("=")
            name = name.strip()
            if not sign:
                raise GraphError(f"{assignment!r} is no parameter", where, "write --param name=value")
            if name not in known:
                remedy = f"it has {', '.join(known)}" if known else "it has none"
                raise GraphError(f"unknown parameter {name!r}", where, remedy)
            if name in found:
                raise GraphError(f"the parameter {name!r} is given twice", where, "give it once")
            found[name] = known[name].value(text)
        for name, parameter in known.items():
            if name in found:
                continue
            if parameter.default is None:
                remedy = f"add --param {name}=… ({parameter.meaning})"
                raise GraphError(f"the parameter {name!r} is missing", where, remedy)
            found[name] = parameter.default
        return found

    def with_properties(self, values: Mapping[str, Value]) -> tuple[str, dict[str, Value]]:
        """The statement with `n[$name]` written as n.`property` (not every store looks a property up by a value).

        Args:
            values: of `bind`; the caller has made sure that each property is one of the graph.

        Returns:
            The statement, and the values that are left.
        """
        cypher, left = self.cypher, dict(values)
        for parameter in self.parameters:
            if parameter.label:
                name = property_name(str(left.pop(parameter.name)))
                cypher = cypher.replace(f"[${parameter.name}]", f".{name}")
        return cypher, left


def parse_query(name: str, folder: str, text: str) -> Query:
    """A query from its file.

    Raises:
        ValueError: the header is wrong, which only a change of the library can cause.
    """
    where = f"{folder}/{name}"
    header: dict[str, list[str]] = {field: [] for field in _FIELDS}
    lines = text.splitlines()
    while lines and lines[0].startswith("//"):
        match = _HEADER.fullmatch(lines.pop(0).strip())
        if not match:
            raise ValueError(f"{where}: a header line is none of {', '.join(header)}")
        header[match[1]].append(match[2].strip())
    listed = {key: tuple(w.strip() for line in header[key] for w in line.split(",")) for key in ("reads", "needs")}
    if len(header["title"]) != 1 or set(listed["needs"]) - set(_CAPABILITIES):
        raise ValueError(f"{where}: it needs one title, and `needs` of {', '.join(_CAPABILITIES)}")
    if len(header["topic"]) != 1 or header["topic"][0] not in TOPICS:
        raise ValueError(f"{where}: it needs one topic of {', '.join(TOPICS)}")
    return Query(
        name=name,
        folder=folder,
        title=header["title"][0],
        topic=header["topic"][0],
        about=" ".join(header["about"]),
        parameters=tuple(_parameter(line, where) for line in header["param"]),
        columns=tuple(_column(line, where) for line in header["column"]),
        reads=listed["reads"],
        needs=listed["needs"] or (("server_transactions",) if folder == "neo4j" else ()),
        cypher="\n".join(lines).strip(),
    )


def _parameter(line: str, where: str) -> Parameter:
    match = _PARAMETER.fullmatch(line)
    if not match or (match[2] not in _TYPES and match[2].removesuffix(" property") not in LABELS):
        raise ValueError(f"{where}: {line!r} is not `name: type = default — meaning`")
    plain = Parameter(match[1], match[2], None, match[4])
    return plain if match[3] is None else Parameter(match[1], match[2], plain.value(match[3].strip()), match[4])


def _column(line: str, where: str) -> Column:
    match = _COLUMN.fullmatch(line)
    if not match:
        raise ValueError(f"{where}: {line!r} is not `name: meaning`")
    return Column(match[1], match[2])
