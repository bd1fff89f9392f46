"""Rows per day against the build before: days that both know, and the days that are new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from ingest.monitor.volume import DAYS_KEPT

WEEKS = 4
"""A new day is expected to be like the same weekday in so many last weeks of the build before."""


@dataclass(frozen=True)
class VolumeDrift:
    """One series of rows per day.

    Attributes:
        shared: rows now over rows before, of the days up to the last of the build before; None where it had none.
        new_days: days after the last of the build before, up to this one's last.
        recent: rows of the new days over those expected of them; None without new days or without expectation.
        known: rows before, of the days up to the last of the build before.
        expected: rows that were expected of the new days.
    """

    shared: float | None
    new_days: int = 0
    recent: float | None = None
    known: int = 0
    expected: float = 0.0


def compare_volume(
    before: Mapping[str, Mapping[str, int]], now: Mapping[str, Mapping[str, int]]
) -> dict[str, VolumeDrift]:
    """Per series of the build before how the rows per day compare; a series that is gone has 0.

    A day that is expected has the mean of its weekday over the last four weeks of the build before.
    """
    if not before.get("all") or not now.get("all"):
        return {}
    first = max(min(before["all"]), min(now["all"]))  # both keep their last days only
    last = date.fromisoformat(max(before["all"]))
    days = (date.fromisoformat(max(now["all"])) - last).days
    if days > DAYS_KEPT:  # the builds lie further apart than the days that they keep
        return {}
    start = date.fromisoformat(min(before["all"]))
    return {name: _series(counts, now.get(name, {}), first, (start, last), days) for name, counts in before.items()}


def _series(
    before: Mapping[str, int], now: Mapping[str, int], first: str, span: tuple[date, date], days: int
) -> VolumeDrift:
    start, last = span
    until = last.isoformat()
    known = sum(n for day, n in before.items() if first <= day <= until)
    kept = sum(n for day, n in now.items() if first <= day <= until)
    shared = round(kept / known, 6) if known else None
    if days <= 0:
        return VolumeDrift(shared, known=known)
    expected = sum(_usual(before, start, last, last + timedelta(days=ahead)) for ahead in range(1, days + 1))
    found = sum(n for day, n in now.items() if day > until)
    recent = round(found / expected, 6) if expected else None
    return VolumeDrift(shared, days, recent, known, round(expected, 2))


def _usual(counts: Mapping[str, int], start: date, last: date, day: date) -> float:
    """Mean rows of the weekday of `day` over the last weeks up to `last`, those before `start` left out."""
    back = (last - day).days % 7
    same = [last - timedelta(days=back + 7 * week) for week in range(WEEKS)]
    known = [counts.get(d.isoformat(), 0) for d in same if d >= start]
    return sum(known) / len(known) if known else 0.0
