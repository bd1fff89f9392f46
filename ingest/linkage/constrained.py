"""Accounts that contradict each other are kept apart: strong links come first, those that do not fit are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

GIVEN, DECISION = 0, 1
"""Ranks of the links that a contradiction in what an account says about itself does not undo."""


@dataclass(frozen=True)
class Limits:
    """What one user cannot have.

    Attributes:
        columns: names of the values of each account; a user has one value of each, or values that are `alike`.
        identity: the column that decisions do not overrule either: the given user.
        once: the column of which a user has no value twice (the channel); None without.
        alike: (column, value, value) that are spellings of one value.
        apart: pairs of accounts, in order, that a person has decided to be different.
    """

    columns: tuple[str, ...]
    identity: str
    once: str | None = None
    alike: frozenset[tuple[str, str, str]] = frozenset()
    apart: frozenset[tuple[str, str]] = frozenset()


@dataclass
class _Cluster:
    members: set[str]
    values: dict[str, set[str]] = field(default_factory=dict)
    enemies: set[str] = field(default_factory=set)


def split(
    accounts: Mapping[str, Mapping[str, str | None]],
    links: Iterable[tuple[str, str, int]],
    limits: Limits,
) -> tuple[dict[str, str], Counter[str]]:
    """Cluster accounts along their links, the strongest first, leaving out links that join what contradicts itself.

    This is single linkage with cannot-link constraints (Kruskal's algorithm on the links by strength), so that a
    contradictory group falls apart at its weakest links.

    Args:
        accounts: account -> its values by column.
        links: account, account, rank; the strongest first.
        limits: what one user cannot have.

    Returns:
        account -> the smallest account of its cluster, and how many links were left out for each reason.
    """
    cluster = {a: _Cluster({a}, {k: {v} for k, v in values.items() if v is not None}) for a, values in accounts.items()}
    for a, b in limits.apart:
        if a in cluster and b in cluster:
            cluster[a].enemies.add(b)
            cluster[b].enemies.add(a)
    refused: Counter[str] = Counter()
    for a, b, rank in links:
        one, other = cluster[a], cluster[b]
        if one is other:
            continue
        reason = _reason(one, other, rank, limits)
        if reason is not None:
            refused[reason] += 1
            continue
        if len(one.members) < len(other.members):
            one, other = other, one
        one.members |= other.members
        one.enemies |= other.enemies
        for name, values in other.values.items():
            one.values.setdefault(name, set()).update(values)
        cluster.update(dict.fromkeys(other.members, one))
    names = {id(c): min(c.members) for c in cluster.values()}
    return {a: names[id(c)] for a, c in cluster.items()}, refused


def _reason(one: _Cluster, other: _Cluster, rank: int, limits: Limits) -> str | None:
    """Why two clusters cannot be one user; None if they can."""
    if rank == GIVEN:
        return None
    checked: Sequence[str] = (limits.identity,) if rank == DECISION else limits.columns
    for name in checked:
        here, there = one.values.get(name), other.values.get(name)
        if here and there and not any(v == w or (name, *sorted((v, w))) in limits.alike for v in here for w in there):
            return name
    if rank == DECISION:
        return None
    if limits.once is not None and one.values.get(limits.once, set()) & other.values.get(limits.once, set()):
        return limits.once
    if not (one.enemies.isdisjoint(other.members) and other.enemies.isdisjoint(one.members)):
        return "decision"
    return None
