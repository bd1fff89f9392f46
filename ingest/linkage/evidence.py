"""Which columns of the accounts say something about the person, and the normalised records that are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import duckdb

from ingest.contract import TABLES
from ingest.names import identifier

RECORDS = "link_records"
"""Table of the normalised records: account_id, channel, user_id, the contradiction columns (`c_…`), the evidence."""


class Role(Enum):
    """What a column of evidence is about."""

    GIVEN = "given"
    SURNAME = "surname"
    BIRTH = "birth"
    EMAIL = "email"
    PHONE = "phone"
    DEVICE = "device"
    PLACE = "place"
    IDENTIFIER = "identifier"


_GIVEN = ("given_name", "first_name", "forename", "firstname", "givenname")
_SURNAME = ("surname", "last_name", "family_name", "lastname", "familyname")
_BIRTH = ("date_of_birth", "birth_date", "birthdate", "dob", "birthday")
_PLACE = (
    "postcode", "zip", "zip_code", "postal_code", "suburb", "city", "town", "place", "street", "street_number",
    "house_number", "address", "address_1", "address_2", "address_3", "address_line_1", "address_line_2", "state",
    "county", "region", "country",
)  # fmt: skip
_NEVER = ("account_id", "channel", "user_id", "loyalty_id", "name", "full_name")
_COMMON = 0.05
"""A place column in which two accounts agree by chance more often than this (a state, a country) tells too little."""
_RARE = 0.001
"""An unknown extra column in which two accounts agree by chance less often than this may be an identifier."""
_LONGEST_IDENTIFIER = 40


@dataclass(frozen=True)
class Field:
    """A column of the normalised records.

    Attributes:
        name: in `RECORDS`.
        role: what it is about.
        source: the accounts' column.
        filled: accounts with a value.
        pairs: pairs of accounts with the same value.
        length: of a value, in characters, on average.
    """

    name: str
    role: Role
    source: str
    filled: int
    pairs: int
    length: float

    @property
    def chance(self) -> float:
        """How often two persons agree in it, if every account has one account of the same person beside it."""
        between = max(0, self.pairs - self.filled)
        return 2 * between / (self.filled * (self.filled - 1)) if self.filled > 1 else 0.0


def text(column: str) -> str:
    """SQL of a text in lower case, without accents and punctuation; null where nothing is left."""
    bare = f"lower(strip_accents(CAST({column} AS VARCHAR)))"
    return rf"nullif(trim(regexp_replace({bare}, '[^\p{{L}}\p{{N}}]+', ' ', 'g')), '')"


def birth(column: str, sql_type: str) -> str:
    """SQL of a date of birth as YYYYMMDD; what is no date is kept as its digits."""
    if sql_type.startswith(("TIMESTAMP", "DATE")):
        return f"strftime({column}, '%Y%m%d')"
    word = f"trim(CAST({column} AS VARCHAR))"
    day_first = r"^([0-9]{1,2})[./-]([0-9]{1,2})[./-]([0-9]{4})$"
    parts = [f"lpad(regexp_extract({word}, '{day_first}', {n}), {w}, '0')" for n, w in ((3, 4), (2, 2), (1, 2))]
    digits = f"nullif(regexp_replace({word}, '[^0-9]', '', 'g'), '')"
    return f"CASE WHEN regexp_matches({word}, '{day_first}') THEN {' || '.join(parts)} ELSE {digits} END"


def build_records(
    connection: duckdb.DuckDBPyConnection, accounts: str, ignore: Sequence[str], contradictions: Sequence[str]
) -> list[Field]:
    """Create `RECORDS` from the clean accounts, one row each.

    Args:
        connection: the working database.
        accounts: relation of the clean accounts.
        ignore: extra columns that are no evidence.
        contradictions: columns kept, as text, under `c_NAME` where the accounts have them.

    Returns:
        The columns of evidence that hold anything.
    """
    described = connection.execute(f"DESCRIBE SELECT * FROM {identifier(accounts)}").fetchall()
    types = {str(name): str(kind) for name, kind, *_ in described}
    sources = _sources({n: t for n, t in types.items() if n not in ignore})
    kept = [f"{_plain(name, types)} AS {contradiction(name)}" for name in contradictions if name in types]
    evidence = [f"{sql} AS {name}" for name, (_, _, sql) in sources.items()]
    if "birth" in sources:
        evidence.append("TRY_CAST(birth AS INTEGER) AS birth_number")
    columns = ", ".join(["account_id", "channel", "user_id", *kept, *evidence])
    connection.execute(
        f"CREATE OR REPLACE TABLE {RECORDS} AS SELECT {columns} FROM {identifier(accounts)} ORDER BY account_id"
    )
    fields = _measured(connection, sources)
    return [f for f in fields if _tells(f)]


def contradiction(name: str) -> str:
    """Name in `RECORDS` of a contradiction column."""
    return identifier(f"c_{name}")


def _plain(name: str, types: Mapping[str, str]) -> str:
    """SQL of a value in which one person has one value; of a number without its separators."""
    if name in _BIRTH:
        return birth(identifier(name), types[name])
    return f"replace({text(identifier(name))}, ' ', '')"


def _sources(types: Mapping[str, str]) -> dict[str, tuple[Role, str, str]]:
    """Record column -> (role, source column, SQL of its value)."""
    found: dict[str, tuple[Role, str, str]] = {}
    names = _names(types)
    found |= {role.value: (role, source, sql) for role, (source, sql) in names.items()}
    known = {*_NEVER, *_GIVEN, *_SURNAME}
    for column in (c for c in _BIRTH if c in types):
        found.setdefault("birth", (Role.BIRTH, column, birth(identifier(column), types[column])))
    for role, column in ((Role.EMAIL, "email"), (Role.PHONE, "phone"), (Role.DEVICE, "device_id")):
        if column in types:
            found[role.value] = (
                role,
                column,
                email(column)
                if role is Role.EMAIL
                else phone(column)
                if role is Role.PHONE
                else text(identifier(column)),
            )
    known |= {*_BIRTH, "email", "phone", "device_id"}
    for n, column in enumerate(c for c in sorted(types) if c in _PLACE):
        found[f"place_{n}"] = (Role.PLACE, column, text(identifier(column)))
    known |= set(_PLACE)
    contract = {c.name for c in TABLES["accounts"].columns}
    rest = [c for c in sorted(types) if c not in known | contract and types[c] in ("VARCHAR", "BIGINT")]
    for n, column in enumerate(rest):
        found[f"identifier_{n}"] = (Role.IDENTIFIER, column, text(identifier(column)))
    return found


def _names(types: Mapping[str, str]) -> dict[Role, tuple[str, str]]:
    """Given name and surname, from columns of their own or else from the whole name (`Ann Lee`, `Lee, Ann`)."""
    whole = next((c for c in ("name", "full_name") if c in types), None)
    parts: dict[Role, list[str]] = {Role.GIVEN: [], Role.SURNAME: []}
    origin: dict[Role, str] = {}
    for role, columns in ((Role.GIVEN, _GIVEN), (Role.SURNAME, _SURNAME)):
        for column in (c for c in columns if c in types):
            parts[role].append(text(identifier(column)))
            origin.setdefault(role, column)
    if whole is not None:
        raw = f"CAST({identifier(whole)} AS VARCHAR)"
        swapped = f"split_part({raw}, ',', 2) || ' ' || split_part({raw}, ',', 1)"
        turned = f"CASE WHEN {raw} LIKE '%,%' THEN {swapped} ELSE {raw} END"
        words = f"string_split({text(f'({turned})')}, ' ')"
        parts[Role.GIVEN].append(f"CASE WHEN len({words}) > 1 THEN {words}[1] END")
        parts[Role.SURNAME].append(f"{words}[-1]")
        origin = {Role.GIVEN: whole, Role.SURNAME: whole} | origin
    return {role: (origin[role], f"coalesce({', '.join(sql)})") for role, sql in parts.items() if sql}


def email(column: str) -> str:
    """SQL of an e-mail address in lower case, without a +tag; null where it is none."""
    word = f"lower(trim(CAST({identifier(column)} AS VARCHAR)))"
    plain = rf"regexp_replace({word}, '\+[^@]*@', '@')"
    return rf"CASE WHEN regexp_full_match({word}, '[^@\s]+@[^@\s]+\.[^@\s]+') THEN {plain} END"


def phone(column: str) -> str:
    """SQL of the last nine digits of a phone number, which neither +44, 0044 nor a leading 0 changes; null under 7."""
    word = f"CAST({identifier(column)} AS VARCHAR)"
    digits = rf"regexp_replace(regexp_replace({word}, '\(0\)|[^0-9]', '', 'g'), '^0+', '')"
    written = rf"regexp_full_match({word}, '[0-9+()./\s-]+')"
    return f"CASE WHEN {written} AND strlen({digits}) BETWEEN 7 AND 15 THEN right({digits}, 9) END"


def _measured(connection: duckdb.DuckDBPyConnection, sources: Mapping[str, tuple[Role, str, str]]) -> list[Field]:
    if not sources:
        return []
    counts = " UNION ALL ".join(
        f"SELECT {n} AS i, coalesce(sum(k), 0)::BIGINT, coalesce(sum(k * (k - 1) // 2), 0)::BIGINT, "
        f"coalesce(sum(k * length({name})), 0)::BIGINT FROM "
        f"(SELECT {name}, count(*) AS k FROM {RECORDS} WHERE {name} IS NOT NULL GROUP BY {name})"
        for n, name in enumerate(sources)
    )
    rows = connection.execute(f"{counts} ORDER BY i").fetchall()
    return [
        Field(name, role, source, int(filled), int(pairs), int(length) / max(1, int(filled)))
        for (name, (role, source, _)), (_, filled, pairs, length) in zip(sources.items(), rows, strict=True)
    ]


def _tells(field: Field) -> bool:
    """Whether a column of evidence can tell persons apart and ever agrees."""
    if field.pairs == 0:
        return False
    if field.role is Role.PLACE:
        return field.chance <= _COMMON
    return field.role is not Role.IDENTIFIER or (field.chance <= _RARE and field.length <= _LONGEST_IDENTIFIER)
