"""Which columns speak of people: the contract's own, and extra columns that are contact fields by name or content."""

from __future__ import annotations

import duckdb

from ingest.contract import TABLES, Personal
from ingest.errors import IngestError
from ingest.names import identifier, literal, normalise_name, shown_names
from ingest.source_types import raw_text
from ingest.staging import StagedColumn, StagedTable

PEOPLE = frozenset({"users", "accounts"})
"""Tables with a row per person: `name` is a person's there."""

ABOUT_PEOPLE = PEOPLE | {"events", "redemptions", "campaigns"}
"""Tables whose rows name a person. In the others only the mapping makes a column personal."""

_WORDS = frozenset({
    "email", "emailaddress", "mail", "mailaddress",
    "phone", "phonenumber", "telephone", "telephonenumber", "tel", "mobile", "mobilenumber", "mobilephone", "cell",
    "cellphone", "fax", "msisdn", "whatsapp",
    "firstname", "lastname", "fullname", "givenname", "familyname", "middlename", "surname", "forename", "nickname",
    "username", "login",
    "postcode", "postalcode", "zip", "zipcode", "plz", "address", "addressline", "street", "streetaddress",
    "housenumber",
    "deviceid", "idfa", "gaid", "aaid", "advertisingid", "cookieid", "ip", "ipaddress", "macaddress",
    "loyaltyid", "loyaltycard", "loyaltynumber", "cardnumber", "iban",
    "contact", "contacts", "contactinfo", "contactdetails",
})  # fmt: skip
_OF_PEOPLE = frozenset({"name"})
_WHOSE = (
    "customer", "user", "client", "buyer", "shopper", "member", "account", "person", "contact", "billing", "shipping",
    "delivery", "home", "work", "private", "personal", "primary", "secondary", "recipient",
)  # fmt: skip
_EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"

PERSON = "person"
DOMAINS = dict.fromkeys(("user_id", "account_id", "account_a", "account_b"), PERSON)
"""Kind of id a column holds, where it is not the column's own name. An account without a user is a user of the same
id (see `ingest.accounts`), hence one kind for both."""


STANDS_IN = {
    ("removals", "id"): ("table", {"users": PERSON, "accounts": PERSON, "events": "event_id"}),
    ("triples", "head"): ("head_type", {"user": PERSON, "account": PERSON}),
    ("triples", "tail"): ("tail_type", {"user": PERSON, "account": PERSON}),
}
"""Columns that hold ids of people only where another column says so: (table, column) -> that column, its values."""


def domain(column: str) -> str:
    """The kind of id that a column holds: equal ids have equal pseudonyms within a kind and nowhere else."""
    return DOMAINS.get(column, column)


def contact_name(table: str, name: str) -> bool:
    """Whether a column of `table` is a contact field by its name: case, separators, a number and whose it is aside."""
    if table not in ABOUT_PEOPLE:
        return False
    words = _WORDS | _OF_PEOPLE if table in PEOPLE else _WORDS
    compact = normalise_name(name).replace("_", "").rstrip("0123456789")
    if compact in words:
        return True
    owned = [compact.removeprefix(whose) for whose in _WHOSE if compact.startswith(whose)]
    return any(rest in _WORDS | _OF_PEOPLE for rest in owned)


def contact_extras(
    connection: duckdb.DuckDBPyConnection, staged: StagedTable, extras: dict[str, StagedColumn]
) -> dict[str, str]:
    """The extra columns that are contact fields.

    Args:
        connection: the working database.
        staged: the table.
        extras: clean name -> source column of its extra columns.

    Returns:
        clean name -> why: `mapping`, `name`, or `e-mail addresses` where values look so.

    Raises:
        IngestError: the mapping calls a column personal, or not, that is no extra column of the table.
    """
    mapping = staged.mapping
    for key, listed in (("personal", mapping.personal), ("not_personal", mapping.not_personal)):
        _check_listed(staged, key, listed, extras)
    found: dict[str, str] = {}
    for name, column in extras.items():
        if _listed(name, column, mapping.personal):
            found[name] = "mapping"
        elif _listed(name, column, mapping.not_personal):
            continue
        elif contact_name(staged.name, name) or contact_name(staged.name, column.source):
            found[name] = "name"
    if staged.name in ABOUT_PEOPLE:
        left = {n: c for n, c in extras.items() if n not in found and not _listed(n, c, mapping.not_personal)}
        found |= dict.fromkeys(_with_addresses(connection, staged, left), "e-mail addresses")
    return {name: found[name] for name in extras if name in found}


def _listed(name: str, column: StagedColumn, listed: tuple[str, ...]) -> bool:
    return name in listed or column.source in listed


def _check_listed(staged: StagedTable, key: str, listed: tuple[str, ...], extras: dict[str, StagedColumn]) -> None:
    known = {name for clean, column in extras.items() for name in (clean, column.source)}
    for name in listed:
        if name not in known:
            raise IngestError(
                f"tables.{staged.name}.{key} in the mapping names {name!r}, which is no extra column",
                staged.where,
                f"extra columns: {shown_names([c.source for c in extras.values()])}",
            )


def _with_addresses(
    connection: duckdb.DuckDBPyConnection, staged: StagedTable, extras: dict[str, StagedColumn]
) -> list[str]:
    """Those columns of text, or of nested values, in which an e-mail address stands."""
    plain = ("VARCHAR", "BLOB", "STRUCT", "MAP", "UNION", "JSON")
    texts = {n: c for n, c in extras.items() if c.type.startswith(plain) or c.type.endswith("]")}
    if not texts:
        return []
    tests = ", ".join(f"bool_or(regexp_matches({raw_text(c)}, {literal(_EMAIL)}))" for c in texts.values())
    held = connection.execute(f"SELECT {tests} FROM {identifier(staged.relation)}").fetchone() or ()
    return [name for name, holds in zip(texts, held, strict=True) if holds]


def personal_columns(table: str) -> dict[str, Personal]:
    """The personal columns of a contract table."""
    return {c.name: c.personal for c in TABLES[table].columns if c.personal is not None}


def may_show(table: str, column: str) -> bool:
    """Whether a report may show values of a column: not of one that is personal, or may be in some rows.

    Of accounts no extra column is shown either: there it is evidence of who a person is. Columns of tables beside the
    contract's, such as account_users, are judged by the contract's of the same name.
    """
    if domain(column) == PERSON:
        return False
    if table == "accounts" and column not in {c.name for c in TABLES[table].columns}:
        return False
    tables = [table] if table in TABLES else list(TABLES)
    return (table, column) not in STANDS_IN and not any(column in personal_columns(name) for name in tables)
