"""Names: extra columns become property names of one safe shape; SQL identifiers and literals are quoted here alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

RESERVED = frozenset({"id", "at", "day", "month", "source", "target", "embedding"})
"""Property names that the graph gives a meaning of its own in every table."""

_MAX_NAME = 60
_MAX_SHOWN = 20


def normalise_name(name: str) -> str:
    """`name` in the shape `[a-z][a-z0-9_]*`: accents dropped, everything else that is no letter or digit an underscore.

    Idempotent. A name that would be empty is `column`; one that would begin with a digit gets `x_`.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    tidy = re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "column"
    safe = tidy if tidy[0].isalpha() else f"x_{tidy}"
    return safe[:_MAX_NAME].rstrip("_")


def extra_names(sources: Iterable[str], contract: Iterable[str]) -> dict[str, str]:
    """Property name per extra source column.

    Args:
        sources: names of the extra columns as the source has them, in its order.
        contract: column names of the table's contract: reserved, like `RESERVED`.

    Returns:
        source name -> unique normalised name; a reserved name gets the prefix `x_`, a second bearer a number.
    """
    reserved = RESERVED | frozenset(contract)
    taken: set[str] = set()
    names: dict[str, str] = {}
    for source in sources:
        name = normalise_name(source)
        base = f"x_{name}" if name in reserved else name
        unique, n = base, 1
        while unique in taken or unique in reserved:
            n += 1
            unique = f"{base}_{n}"
        taken.add(unique)
        names[source] = unique
    return names


def look_like_data(names: Sequence[str]) -> bool:
    """Whether a first line is no header but data, which a message must not show: it has an address or a number."""
    return any("@" in n or re.fullmatch(r"[+(]?[0-9][0-9 ()./:+-]*", n.strip()) for n in names)


def shown_names(names: Sequence[str]) -> str:
    """Column names for a message of one line: a few, each cut short; data that stands in their place is not shown."""
    if look_like_data(names):
        return f"{len(names)} that look like data, not like names"
    tidy = [" ".join("".join(c if c.isprintable() else "?" for c in n).split()) for n in names[:_MAX_SHOWN]]
    shown = ", ".join(n if len(n) <= _MAX_NAME else f"{n[:_MAX_NAME]}…" for n in tidy)
    more = len(names) - _MAX_SHOWN
    return (shown or "none") + (f" and {more:,} more" if more > 0 else "")


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | None) -> str:
    """`value` as a SQL string literal, NULL for None."""
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"
