"""What a person may settle about the linkage of accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ingest.errors import IngestError

KEYS = ("email", "phone", "loyalty")
"""Exact keys, which are also the names of their methods."""


@dataclass(frozen=True)
class LinkSettings:
    """How the accounts of several channels are resolved to users.

    Attributes:
        probabilistic: whether accounts are also compared by their names, addresses and the like, where there is enough
            of it; without, only given users, decisions and exact keys link.
        threshold: match probability from which a probabilistic link counts; `auto` takes the one with the greatest
            expected F1 under the model's own probabilities.
        keys: exact keys that link: of `email`, `phone`, `loyalty`.
        max_key_accounts: a key that more accounts share, such as a shop's own info@ address, links nobody.
        duplicate_free: channels in which a person has one account at most; no user gets two of such a channel.
        contradictions: columns in which one person has one value; a user whose accounts differ in it is split, unless
            the model finds the column wrong too often (see `tolerated_error`). A given user_id always counts.
        tolerated_error: a column contradicts only if, by the model, the values of one person differ wholly in fewer
            cases than this.
        ignore: extra columns that say nothing about the person.
        pairs_per_account: a blocking rule yields this many pairs per account at most.
        max_pairs: all blocking rules together yield this many pairs at most; the least selective are left out.
        sample_pairs: random pairs from which the chance of an agreement between two persons is estimated.
        seed: of the random pairs.
    """

    probabilistic: bool = True
    threshold: float | Literal["auto"] = "auto"
    keys: tuple[str, ...] = KEYS
    max_key_accounts: int = 10
    duplicate_free: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ("loyalty_id", "date_of_birth")
    tolerated_error: float = 0.02
    ignore: tuple[str, ...] = ()
    pairs_per_account: int = 10
    max_pairs: int = 20_000_000
    sample_pairs: int = 200_000
    seed: int = 0

    def check(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            IngestError: a key or a number out of range, with the setting's name.
        """
        unknown = [key for key in self.keys if key not in KEYS]
        if unknown:
            raise IngestError(f"keys names {unknown[0]!r}", "settings, ingest.link", f"use of {', '.join(KEYS)}")
        if isinstance(self.threshold, float) and not 0 < self.threshold < 1:
            raise IngestError(
                f"threshold = {self.threshold} is no probability",
                "settings, ingest.link",
                "use auto, or above 0 and below 1",
            )
        for name, least in (("max_key_accounts", 2), ("pairs_per_account", 1), ("max_pairs", 1), ("sample_pairs", 1)):
            if getattr(self, name) < least:
                raise IngestError(
                    f"{name} = {getattr(self, name)} is too small", "settings, ingest.link", f"use {least} or more"
                )
