"""What the values of a column are, as far as a sample shows: times, numbers or words of events, however written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import product

from ingest.check.samples import SampleColumn
from ingest.check.words import event_of

_ENOUGH = 0.9
"""Share of the values that must fit for a reading to hold."""

_DATES = ("%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d",
          "%Y.%m.%d", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%m %d, %Y")  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
PATTERNS = tuple(day + clock for day, clock in product(_DATES, _CLOCKS))
_ISO = re.compile(r"\d{4}-?\d{2}-?\d{2}([T ]\d{2}:?\d{2}(:?\d{2}([.,]\d+)?)?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?", re.I)
_POINT = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_POINT_GROUPED = re.compile(r"[^\d,.]{0,4}\d{1,3}(,\d{3})*(\.\d+)?[^\d,.]{0,4}")
_COMMA = re.compile(r"[^\d,.]{0,4}(\d{1,3}([. ]\d{3})+|\d+)?(,\d+)?[^\d,.]{0,4}")
_EPOCHS = ((1e8, 1e11, 1.0), (1e11, 1e14, 1e-3), (1e14, 1e17, 1e-6), (1e17, 1e20, 1e-9))
"""Least and greatest number that is a time since about 1973, and the factor that makes seconds of it."""

UNITS = {1.0: "seconds", 1e-3: "milliseconds", 1e-6: "microseconds", 1e-9: "nanoseconds"}
"""Factor that makes seconds -> what is counted."""


@dataclass(frozen=True)
class TimeReading:
    """How a column's times are written.

    Attributes:
        patterns: strptime patterns; empty for ISO 8601, epochs and typed times.
        unit: factor that makes seconds of its numbers.
        ambiguous: whether day and month could as well be the other way round.
    """

    patterns: tuple[str, ...] = ()
    unit: float = 1.0
    ambiguous: bool = False


def time_reading(column: SampleColumn) -> TimeReading | None:
    """How the column's times are written; None where it holds no times."""
    values = column.values
    if not values:
        return None
    if all(isinstance(v, (datetime, date)) for v in values):
        return TimeReading()
    texts = column.texts
    if not texts:
        return None
    numbers = [float(t) for t in texts if _POINT.fullmatch(t)]
    if len(numbers) == len(values):
        low, high = sorted(numbers)[len(numbers) // 20], max(numbers)
        return next((TimeReading(unit=u) for least, most, u in _EPOCHS if least <= low and high < most), None)
    if _share(texts, lambda t: bool(_ISO.fullmatch(t))) >= _ENOUGH:
        return TimeReading()
    return _by_pattern(list(dict.fromkeys(texts)))


def _by_pattern(texts: Sequence[str]) -> TimeReading | None:
    fits = {p: sum(_parses(t, p) for t in texts) for p in PATTERNS if _parses(texts[0], p) or _parses(texts[-1], p)}
    if not fits:
        return None
    best = max(fits.values())
    if best < _ENOUGH * len(texts):
        return None
    equal = [pattern for pattern, n in fits.items() if n == best]
    # without a sign of the order, a day before its month, which most of the world writes
    return TimeReading((equal[0],), ambiguous=len({p.index("%d") < p.index("%m") for p in equal if "%m" in p}) > 1)


def _parses(text: str, pattern: str) -> bool:
    try:
        datetime.strptime(text, pattern)
    except ValueError:
        return False
    return True


def decimal_of(column: SampleColumn) -> str | None:
    """The decimal sign of numbers written for people, empty of those written for programs; None where none are."""
    if column.typed or all(isinstance(v, (int, float)) for v in column.values):
        numeric = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in column.values)
        return "" if column.values and numeric else None
    texts = column.texts
    if not texts:
        return None
    if _share(texts, lambda t: bool(_POINT.fullmatch(t))) >= _ENOUGH:
        return ""
    comma = _share(texts, lambda t: bool(_COMMA.fullmatch(t)) and any(c.isdigit() for c in t))
    point = _share(texts, lambda t: bool(_POINT_GROUPED.fullmatch(t)))
    if max(comma, point) < _ENOUGH:
        return None
    return "," if comma > point or any(re.search(r",\d{1,2}\D*$", t) for t in texts) else "."


def number(text: object, decimal: str) -> float | None:
    """The number that a value is, written with this decimal separator."""
    kept = re.sub(r"[^\d.,+-]", "", str(text)) if decimal else str(text)
    plain = kept.replace(".", "").replace(",", ".") if decimal == "," else kept.replace(",", "")
    try:
        value = float(plain)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def event_words(column: SampleColumn) -> tuple[dict[str, str], list[str]]:
    """The words of a column of events: word -> contract event of those that are known, and the others."""
    words = list(dict.fromkeys(column.texts))
    known = {w: event for w in words if (event := event_of(w))}
    return known, [w for w in words if w not in known]


def is_event_column(column: SampleColumn) -> bool:
    """Whether most of its values are words for events."""
    return bool(column.texts) and _share(column.texts, lambda t: event_of(t) is not None) >= 0.5


def _share(texts: Sequence[str], fits: Callable[[str], bool]) -> float:
    return sum(map(fits, texts)) / len(texts) if texts else 0.0
