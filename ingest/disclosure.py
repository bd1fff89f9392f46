"""What of personal data leaves a run: tables, quarantine and examples pass here. Inside the run all is clear.

Contact fields leave it as keyed hashes, or not at all without a key; ids as keyed hashes where there is a key, else as
they are. A pseudonym is HMAC-SHA-256 over the kind of id and the id, computed by the database itself from two
variables of the session, so that the key stands in no statement, file or message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import duckdb

from ingest.columns import SQL_TYPES, BoundColumn
from ingest.contract import TABLES, Personal
from ingest.names import identifier, literal
from ingest.personal import PERSON, STANDS_IN, domain, personal_columns
from ingest.pseudonyms import create_macro

if TYPE_CHECKING:
    from ingest.clean_files import LoadedTable

HIDDEN = "[hidden]"
"""What the quarantine shows in place of a value that must not leave the run."""

_CONDITIONAL = frozenset(column for _, column in STANDS_IN)


@dataclass(frozen=True)
class Disclosure:
    """What may leave the run.

    Attributes:
        keyed: whether there is a key, and pseudonyms take the place of ids.
        free_text: whether texts that people wrote stay.
    """

    keyed: bool = False
    free_text: bool = True

    @classmethod
    def open(cls, connection: duckdb.DuckDBPyConnection, key: bytes | None, *, free_text: bool) -> Disclosure:
        """The rules of a run; with a key the working database gets the means to make pseudonyms."""
        if key is not None:
            create_macro(connection, key)
        return cls(key is not None, free_text)

    def table(self, connection: duckdb.DuckDBPyConnection, table: LoadedTable) -> LoadedTable:
        """The table as it may be written."""
        spec = TABLES[table.name]
        personal = personal_columns(table.name) | dict.fromkeys(table.contacts, Personal.CONTACT)
        types = {c.name: SQL_TYPES[c.kind] for c in spec.columns}
        emptied = [n for n, what in personal.items() if self._left_out(what)]
        conditional = _conditional(table.name)
        hashed = [n for n, w in personal.items() if self.keyed and w is not Personal.TEXT and n not in conditional]
        columns = {n: f"CAST(NULL AS {types[n]})" for n in emptied if n in types}
        if self.keyed:
            columns |= conditional
        extras = {n: "VARCHAR" if n in hashed else t for n, t in table.extras.items() if n not in emptied}
        relation = self._replaced(connection, table.relation, columns, {n: domain(n) for n in hashed}, spec.key)
        return replace(table, relation=relation, extras=extras)

    def relation(self, connection: duckdb.DuckDBPyConnection, relation: str, ids: Mapping[str, str]) -> str:
        """A relation beside the contract's, as it may be written.

        Args:
            connection: the working database.
            relation: its name.
            ids: personal column -> kind of id (see `ingest.personal.domain`).
        """
        return self._replaced(connection, relation, {}, ids if self.keyed else {}, ())

    def case_variants(self, ids: str) -> str:
        """SQL of a user id as the report may show it."""
        return f"sg_pseudonym({literal(PERSON)}, {ids})" if self.keyed else ids

    def source_value(self, column: BoundColumn | None, raw: str) -> str:
        """SQL of a source value as the quarantine may show it; `column` None: a contact field that is not loaded."""
        what = Personal.CONTACT if column is None else column.personal
        if what is None or not self._hides(what):
            return raw
        if what is Personal.ID and column is not None and column.name not in _CONDITIONAL:
            return f"sg_pseudonym({literal(domain(column.name))}, sg_id({raw}))"
        return f"CASE WHEN {raw} IS NOT NULL THEN {literal(HIDDEN)} END"

    def ragged(self, found: set[Personal]) -> str:
        """SQL of a row that does not fit the header, as JSON: hidden where any field of it may have to be.

        Args:
            found: how the columns of the table speak of people.
        """
        if not any(self._hides(what) for what in found):
            return "s.__ragged"
        fields = f"list_transform(range(CAST(json_array_length(s.__ragged) AS BIGINT)), lambda i: {literal(HIDDEN)})"
        return (
            "CASE WHEN s.__ragged IS NULL THEN NULL WHEN json_type(s.__ragged) = 'ARRAY' "
            f"THEN CAST(to_json({fields}) AS VARCHAR) ELSE {literal(json.dumps(HIDDEN))} END"
        )

    def _hides(self, what: Personal) -> bool:
        """Whether the quarantine may not show such a value as it is."""
        if what is Personal.TEXT:
            return self.keyed or not self.free_text
        return what is Personal.CONTACT or self.keyed

    def _left_out(self, what: Personal) -> bool:
        return (what is Personal.CONTACT and not self.keyed) or (what is Personal.TEXT and not self.free_text)

    @staticmethod
    def _replaced(
        connection: duckdb.DuckDBPyConnection,
        relation: str,
        columns: Mapping[str, str],
        hashed: Mapping[str, str],
        key: tuple[str, ...],
    ) -> str:
        """A view of `relation` with `columns` (name -> SQL) and the pseudonyms of `hashed` (name -> kind of id).

        A few people have many rows, so the ids are hashed once each and joined, but for a key, which is another in
        every row.
        """
        if not columns and not hashed:
            return relation
        chosen, joins = dict(columns), ""
        for i, (name, kind) in enumerate(hashed.items()):
            text = f"CAST({identifier(name)} AS VARCHAR)"
            if name in key:
                chosen[name] = f"sg_pseudonym({literal(kind)}, {text})"
                continue
            table = identifier(f"pseudonyms_{relation}_{name}")
            connection.execute(
                f"CREATE OR REPLACE TABLE {table} AS SELECT v, sg_pseudonym({literal(kind)}, v) AS p "
                f"FROM (SELECT DISTINCT {text} AS v FROM {identifier(relation)} WHERE {identifier(name)} IS NOT NULL)"
            )
            joins += f" LEFT JOIN {table} AS d{i} ON CAST(r.{identifier(name)} AS VARCHAR) = d{i}.v"
            chosen[name] = f"d{i}.p"
        replaced = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in chosen.items())
        shown = f"shown_{relation}"
        connection.execute(
            f"CREATE OR REPLACE VIEW {identifier(shown)} AS SELECT r.* REPLACE ({replaced}) "
            f"FROM {identifier(relation)} AS r{joins}"
        )
        return shown


def _conditional(table: str) -> dict[str, str]:
    """The columns of `table` that hold ids of people where another column says so: name -> SQL."""
    found = {}
    for (owner, name), (other, kinds) in STANDS_IN.items():
        if owner == table:
            cases = " ".join(
                f"WHEN {literal(value)} THEN sg_pseudonym({literal(kind)}, r.{identifier(name)})"
                for value, kind in kinds.items()
            )
            found[name] = f"CASE lower(r.{identifier(other)}) {cases} ELSE r.{identifier(name)} END"
    return found
