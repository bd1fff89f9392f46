"""Pseudonyms: HMAC-SHA-256 over the kind of id and the id, cut to 96 bits, in the database and in Python.

`python -m ingest.pseudonyms user_id < ids.txt` gives the pseudonyms of a shop's own ids, one a line, with the key of
the environment variable SHOPGRAPH_PSEUDONYM_KEY: to look a person up in a pseudonymised graph, or to bring its
recommendations back to the shop.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import sys
import unicodedata

import duckdb

from ingest.errors import IngestError
from ingest.personal import domain
from ingest.privacy import PrivacySettings

LENGTH = 24
"""Hexadecimal digits: of a thousand million ids two are alike with a chance of one in ten to the eleventh."""

_BLOCK = 64  # bytes of a SHA-256 block, which HMAC pads its key to
_SEPARATOR = "\x1f"  # a control character, which no clean value holds


def pseudonym(key: bytes, kind: str, value: str) -> str:
    """The pseudonym of a clean value: NFC, trimmed."""
    return hmac.digest(key, f"{kind}{_SEPARATOR}{value}".encode(), hashlib.sha256).hex()[:LENGTH]


def create_macro(connection: duckdb.DuckDBPyConnection, key: bytes) -> None:
    """Create the macro `sg_pseudonym(kind, value)`; null stays null.

    HMAC is two plain hashes over the padded key and the message (RFC 2104). The padded keys are variables of the
    session: they are in no statement, and in no file of the database.
    """
    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    connection.execute("SET VARIABLE sg_inner = ?", [bytes(b ^ 0x36 for b in block)])
    connection.execute("SET VARIABLE sg_outer = ?", [bytes(b ^ 0x5C for b in block)])
    inner = f"sha256(getvariable('sg_inner')::BLOB || encode(kind || chr({ord(_SEPARATOR)}) || v))"
    connection.execute(
        "CREATE OR REPLACE MACRO sg_pseudonym(kind, v) AS "
        f"left(sha256(getvariable('sg_outer')::BLOB || unhex({inner})), {LENGTH})"
    )


def main() -> None:
    """Pseudonyms of the ids on standard input."""
    parser = argparse.ArgumentParser(prog="python -m ingest.pseudonyms", description="Pseudonyms of ids, one a line.")
    parser.add_argument("column", help="the contract column that the ids are of: user_id, order_id, email, …")
    column = parser.parse_args().column
    try:
        key = PrivacySettings(pseudonymise="ids").key() or b""
    except IngestError as error:
        sys.exit(f"error: {error}")
    for line in sys.stdin:
        print(pseudonym(key, domain(column), unicodedata.normalize("NFC", line.strip())))


if __name__ == "__main__":
    main()
