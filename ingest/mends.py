"""The rules that mend a field: each with the SQL predicate that holds where the field is repaired or left empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ingest.cleaning_rule import Action, CleaningRule
from ingest.names import identifier, literal
from ingest.values import CONTROL, MAX_ID_BYTES, MAX_TEXT_BYTES

MendCheck = Callable[..., str]


def _wrong_type(given: str, value: str) -> str:
    """`given`: SQL that holds where the source has something; `value`: SQL of what was made of it."""
    return f"{given} AND ({value}) IS NULL"


def _not_utf8(columns: Sequence[str]) -> str:
    """`columns`: names in the staged relation of those that the value is made of."""
    return f"list_has_any(string_split(__undecodable, ','), [{', '.join(map(literal, columns))}])"


def _control_characters(raw: str) -> str:
    return f"regexp_matches({raw}, '{CONTROL}')"


def _too_long(word: str, *, is_id: bool) -> str:
    return f"strlen({word}) > {MAX_ID_BYTES if is_id else MAX_TEXT_BYTES}"


def _dangling_parent(products: str) -> str:
    """`products`: relation of the products that are loaded."""
    known = f"parent_id IN (SELECT product_id FROM {identifier(products)}) AND parent_id <> product_id"
    return f"parent_id IS NOT NULL AND NOT ({known})"


def _mend(name: str, meaning: str, check: MendCheck, tables: tuple[str, ...] = ()) -> CleaningRule[MendCheck]:
    return CleaningRule(name, Action.MEND, tables, meaning, check)


WRONG_TYPE = _mend("wrong_type", "an optional value that is not of its column's type was left empty", _wrong_type)
NOT_UTF8 = _mend(
    "not_utf8", "bytes that are not of the file's encoding were replaced by the replacement character", _not_utf8
)
CONTROL_CHARACTERS = _mend("control_characters", "control characters were removed", _control_characters)
TOO_LONG = _mend("too_long", "text over 64 kB was cut, an id over 8 kB left empty", _too_long)
DANGLING_PARENT = _mend(
    "dangling_parent", "a parent_id that names no other product was left empty", _dangling_parent, ("products",)
)
MEND_RULES = (WRONG_TYPE, NOT_UTF8, CONTROL_CHARACTERS, TOO_LONG, DANGLING_PARENT)
"""Every mending rule."""
