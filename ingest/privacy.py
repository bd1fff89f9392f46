"""Settings of personal data, and the key of pseudonyms, which only the environment holds."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass
from typing import Literal

from ingest.errors import IngestError

SHORTEST_KEY = 32
"""Bytes: as many as the hash has."""

_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


@dataclass(frozen=True)
class PrivacySettings:
    """What becomes of personal data.

    Attributes:
        pseudonymise: `none`: ids stay as they are and contact fields are left out; `ids`: ids and the contact fields
            of accounts are replaced by keyed hashes, the same in every build with the same key.
        key_variable: name of the environment variable that holds the key, of 32 characters or more.
        free_text: `keep` review texts and search queries, or `drop` them from the clean tables.
    """

    pseudonymise: Literal["none", "ids"] = "none"
    key_variable: str = "SHOPGRAPH_PSEUDONYM_KEY"
    free_text: Literal["keep", "drop"] = "keep"

    def key(self) -> bytes | None:
        """The key from the environment; None where nothing is pseudonymised.

        Raises:
            IngestError: it is not set, too short, or the setting is no name of a variable (and not shown: it might be
                the key itself).
        """
        for name, value, known in (
            ("pseudonymise", self.pseudonymise, ("none", "ids")),
            ("free_text", self.free_text, ("keep", "drop")),
        ):
            if value not in known:
                raise IngestError(f"{name} = {value!r} is unknown", "settings, privacy", f"use {' or '.join(known)}")
        if self.pseudonymise == "none":
            return None
        if not _NAME.fullmatch(self.key_variable):
            remedy = "give the name of a variable in capitals, not the key itself"
            raise IngestError("key_variable is no name of an environment variable", "settings, privacy", remedy)
        key = os.environ.get(self.key_variable, "").strip().encode()
        remedy = f"set it to {SHORTEST_KEY} random characters or more, for example of: openssl rand -hex 32"
        if not key:
            raise IngestError("ids are to be pseudonymised, but there is no key", self.key_variable, remedy)
        if len(key) < SHORTEST_KEY:
            raise IngestError("the key of pseudonyms is too short", self.key_variable, remedy)
        return key

    def described(self, key: bytes | None) -> dict[str, str | None]:
        """What the clean tables depend on: another key has another fingerprint, from which it cannot be found."""
        print_ = None if key is None else hmac.digest(key, b"shopgraph key fingerprint", hashlib.sha256).hex()[:16]
        return {"pseudonymise": self.pseudonymise, "free_text": self.free_text, "key": print_}
