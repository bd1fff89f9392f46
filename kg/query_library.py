"""The analysts' library: named Cypher in files, with typed parameters.

A file `queries/FOLDER/NAME.cypher` begins with comment lines:

    // title: Best sellers of a month
    // param month: integer = 201711 — the month, yyyymm
    // reads: PURCHASED, Product.title
    // needs: full_text

A parameter without `= default` has to be given. `reads` tells people what the answer rests on; a property there that
the schema has not (an extra column of some source) must exist in the graph. `needs` names capabilities of the store.
Queries of `common/` keep to the Cypher that both stores have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from kg.errors import GraphError
from kg.schema import LABELS, RELATIONSHIPS
from kg.stores import Capabilities, Rows, Store

FOLDERS = ("common", "neo4j")
"""Which stores a folder is for: both, or Neo4j alone."""

Value = str | int | float | bool
_HEADER = re.compile(r"//\s*(title:|param\s|reads:|needs:)\s*(.+)")
_PARAMETER = re.compile(r"(\w+):\s*(\w+)(?:\s*=\s*(.*?))?\s*—\s*(.+)")
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
        type: string, integer, float or boolean.
        default: None where a value has to be given.
        meaning: one line for people.
    """

    name: str
    type: str
    default: Value | None
    meaning: str

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
        return text


@dataclass(frozen=True)
class Query:
    """A named query.

    Attributes:
        name: of its file.
        folder: `common` or `neo4j`.
        title: what it answers.
        parameters: in the order of the file.
        reads: labels, relationship types and Label.property or TYPE.property.
        needs: names of `Capabilities`.
        cypher: the statement, without its header.
    """

    name: str
    folder: str
    title: str
    parameters: tuple[Parameter, ...]
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


def query_names() -> list[str]:
    """Names of all queries, those for both stores first."""
    return [path.name.removesuffix(".cypher") for folder in FOLDERS for path in _files(folder)]


def list_queries(capabilities: Capabilities | None = None) -> list[Query]:
    """All queries of the library; with `capabilities` those alone that such a store can run."""
    found = [
        _parse(path.name.removesuffix(".cypher"), folder, path.read_text())
        for folder in FOLDERS
        for path in _files(folder)
    ]
    return [query for query in found if capabilities is None or not query.missing(capabilities)]


def load_query(name: str) -> Query:
    """The query called `name`.

    Raises:
        GraphError: there is none; the message names those that come near.
    """
    for query in list_queries():
        if query.name == name:
            return query
    near = [other for other in query_names() if set(name.split("_")) & set(other.split("_"))]
    remedy = f"did you mean {', '.join(near)}?" if near else "see shopgraph query --list"
    raise GraphError(f"there is no query {name!r}", "query library", remedy)


def run_query(
    store: Store, name: str, assignments: Sequence[str], *, timeout_s: float = 60.0, max_rows: int = 10_000
) -> Rows:
    """Run the query called `name` with `name=value` parameters.

    Raises:
        GraphError: unknown query or parameter, a store without what the query needs, or a graph without a property.
    """
    query = load_query(name)
    values: Mapping[str, Any] = query.bind(assignments)
    missing = query.missing(store.capabilities)
    if missing:
        raise GraphError(f"the query {name!r} needs {missing}", store.url, "use a Neo4j store: --store neo4j://…")
    _check_reads(query, store)
    return store.run(query.cypher, values, timeout_s=timeout_s, max_rows=max_rows)


def _check_reads(query: Query, store: Store) -> None:
    """Raise where the graph lacks a property that is no part of the schema."""
    extra = [part.split(".") for part in query.reads if "." in part]
    for label, name in extra:
        known = LABELS[label].properties if label in LABELS else RELATIONSHIPS[label].properties
        if name in known or name == "id":
            continue
        there = store.labels().get(label, {})
        if name not in there:
            remedy = f"add a column {name} to the source of {label}, or use another query"
            raise GraphError(
                f"the query {query.name!r} reads {label}.{name}, which this graph has not", store.url, remedy
            )


def _files(folder: str) -> list[Any]:
    root = files("kg").joinpath("queries", folder)
    return sorted((path for path in root.iterdir() if path.name.endswith(".cypher")), key=lambda path: path.name)


def _parse(name: str, folder: str, text: str) -> Query:
    """A query from its file.

    Raises:
        ValueError: the header is wrong, which only a change of the library can cause.
    """
    header: dict[str, list[str]] = {"title": [], "param": [], "reads": [], "needs": []}
    lines = text.splitlines()
    while lines and lines[0].startswith("//"):
        match = _HEADER.fullmatch(lines.pop(0).strip())
        if not match:
            raise ValueError(f"{folder}/{name}: a header line is none of {', '.join(header)}")
        header[match[1].strip(": ")].append(match[2].strip())
    listed = {key: tuple(w.strip() for line in header[key] for w in line.split(",")) for key in ("reads", "needs")}
    if len(header["title"]) != 1 or set(listed["needs"]) - set(_CAPABILITIES):
        raise ValueError(f"{folder}/{name}: it needs one title, and `needs` of {', '.join(_CAPABILITIES)}")
    parameters = tuple(_parameter(line, f"{folder}/{name}") for line in header["param"])
    needs = listed["needs"] or (("server_transactions",) if folder == "neo4j" else ())
    return Query(name, folder, header["title"][0], parameters, listed["reads"], needs, "\n".join(lines).strip())


def _parameter(line: str, where: str) -> Parameter:
    match = _PARAMETER.fullmatch(line)
    if not match or match[2] not in _TYPES:
        raise ValueError(f"{where}: {line!r} is not `name: type = default — meaning`")
    plain = Parameter(match[1], match[2], None, match[4])
    return plain if match[3] is None else Parameter(match[1], match[2], plain.value(match[3].strip()), match[4])
