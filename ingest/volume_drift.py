"""Rows per day against the build before: days that both know, and the days that are new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

WEEKS = 4
"""A new day is expected to be like the same weekday in so many last weeks of the build before."""


@dataclass(frozen=True)
class VolumeDrift:
    """One series of rows per day.

    Attributes:
        shared: rows now over rows before, of the days up to the last of the build before; None where it had none.
        new_days: days after the last of the build before, up to this one's last.
        recent: rows of the new days over those expected of them; None without new days or without expectation.
    """

    shared: float | None
    new_days: int = 0
    recent: float | None = None


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
    return {name: _series(counts, now.get(name, {}), first, last, days) for name, counts in before.items()}


def _series(before: Mapping[str, int], now: Mapping[str, int], first: str, last: date, days: int) -> VolumeDrift:
    until = last.isoformat()
    known = sum(n for day, n in before.items() if first <= day <= until)
    kept = sum(n for day, n in now.items() if first <= day <= until)
    shared = round(kept / known, 6) if known else None
    if days <= 0:
        return VolumeDrift(shared)
    weekday = [0.0] * 7
    for back in range(7 * WEEKS):
        day = last - timedelta(days=back)
        weekday[day.weekday()] += before.get(day.isoformat(), 0) / WEEKS
    expected = sum(weekday[(last + timedelta(days=ahead)).weekday()] for ahead in range(1, days + 1))
    found = sum(n for day, n in now.items() if day > until)
    return VolumeDrift(shared, days, round(found / expected, 6) if expected else None)
