"""Thresholds on the report of a build, which `graph-build --fail-on` holds it to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial

from ingest.contract import TABLES
from ingest.errors import IngestError
from ingest.monitor.drift import ColumnDrift
from ingest.quality import Broken, QualityReport

Limit = float | dict[str, float] | None
Found = Iterator[tuple[str, float, str]]
"""Key of the threshold, value found, what it is the value of."""

EVERY = "*"
_SHARES = ("max_quarantined", "max_mended", "min_completeness", "max_completeness_drop")


@dataclass(frozen=True)
class QualitySettings:
    """Thresholds of the data, and the builds that are remembered. A number holds for every table or column.

    A table of numbers has a key for each that it names, as in `{ "products.brand" = 0.9, "*" = 0.5 }`: the exact name,
    else that of the table, else `*` holds. Where none is set, nothing is held to it.

    Attributes:
        history: builds whose compact profile is kept in reports/history for comparison.
        max_quarantined: largest share of a table's rows in that may be quarantined; keys: table, table.rule.
        max_mended: largest share of loaded rows in which a field may be mended; keys: table, table.column.
        min_rows: fewest rows of a clean table; keys: table. A table that is not there has none.
        min_completeness: smallest share of rows with a value; keys: table, table.column. A column that is not there
            has none.
        max_completeness_drop: largest loss of that share since the build before; keys: table, table.column.
        max_psi: largest population stability index since the build before; keys: table, table.column. What chance
            explains breaks nothing.
        max_new_categories: most categories of a column that the build before had not; keys: table, table.column.
        max_vanished_categories: most categories of a column that only the build before had; likewise.
        min_rows_ratio: smallest ratio of a clean table's rows to those before; keys: table.
        min_volume_ratio: smallest ratio of rows per day to those before, of known days and of new ones; keys: table,
            table.all, table.channel=NAME, table.event=NAME.
        max_volume_ratio: largest such ratio.
        warn_only: names of thresholds that `--fail-on` shows but does not fail on.
    """

    history: int = 10
    max_quarantined: Limit = None
    max_mended: Limit = None
    min_rows: Limit = None
    min_completeness: Limit = None
    max_completeness_drop: Limit = None
    max_psi: Limit = None
    max_new_categories: Limit = None
    max_vanished_categories: Limit = None
    min_rows_ratio: Limit = None
    min_volume_ratio: Limit = None
    max_volume_ratio: Limit = None
    warn_only: tuple[str, ...] = ()


class BrokenThresholdsError(IngestError):
    """A build that was refused; nothing of it took the place of what was there.

    Args:
        report: the build's report.
        where: folder of the refused tables.
    """

    def __init__(self, report: QualityReport, where: str) -> None:
        self.report = report
        self.lines = [broken.line for broken in report.broken if broken.fatal]
        super().__init__(
            "; ".join(self.lines), where, "correct the source, or the thresholds, or build without --fail-on"
        )


def check_thresholds(settings: QualitySettings) -> None:
    """Refuse thresholds that mean nothing.

    Raises:
        IngestError: a share outside 0 to 1, a table that the contract does not know, an unknown name in `warn_only`.
    """
    where = "settings, ingest.quality"
    names = {f.name for f in fields(settings) if f.name.startswith(("min_", "max_"))}
    for name in sorted(names):
        limit = getattr(settings, name)
        for key, value in limit.items() if isinstance(limit, dict) else ((EVERY, limit),):
            if value is not None and (value < 0 or (name in _SHARES and value > 1)):
                remedy = "give a share from 0 to 1" if name in _SHARES else "give a number that is not negative"
                raise IngestError(f"{name} = {value:g} is no threshold", f"{where}, {key}", remedy)
            if (table := key.partition(".")[0]) != EVERY and table not in (*TABLES, "account_users"):
                raise IngestError(f"{name} names no table: {key!r}", where, f"tables are {', '.join(TABLES)}")
    if unknown := set(settings.warn_only) - names:
        remedy = f"thresholds are {', '.join(sorted(names))}"
        raise IngestError(f"warn_only names no threshold: {', '.join(sorted(unknown))}", where, remedy)


def thresholds_set(settings: QualitySettings) -> tuple[str, ...]:
    """Names of the thresholds that are set."""
    return tuple(name for name in _FINDERS if getattr(settings, name) is not None)


def broken_thresholds(report: QualityReport, settings: QualitySettings) -> tuple[Broken, ...]:
    """Every threshold that the report breaks, in the order of the settings."""
    broken = []
    for name in thresholds_set(settings):
        limit, low = getattr(settings, name), name.startswith("min_")
        found = list(_FINDERS[name](report))
        if name in ("min_rows", "min_completeness"):
            found += _absent(name, limit, {key for key, _, _ in found})
        for key, value, words in found:
            bound = _bound(name, limit, key)
            if bound is not None and (value < bound if low else value > bound):
                fault = f"{words} is {_shown(value)}, below" if low else f"{words} is {_shown(value)}, above"
                line = f"{fault} {name} = {_shown(bound)}"
                broken.append(Broken(name, key, bound, round(value, 6), name not in settings.warn_only, line))
    return tuple(broken)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def _bound(name: str, limit: float | dict[str, float], key: str) -> float | None:
    """What holds for a key: its own limit, else the table's, else that of all. A rule has none but its own."""
    if name == "max_quarantined" and "." in key:
        return limit.get(key) if isinstance(limit, dict) else None
    if not isinstance(limit, dict):
        return limit
    return next((limit[k] for k in (key, key.partition(".")[0], EVERY) if k in limit), None)


def _absent(name: str, limit: float | dict[str, float], known: set[str]) -> list[tuple[str, float, str]]:
    """Tables or columns that a limit names and the build has not: none of their values is there."""
    named = limit if isinstance(limit, dict) else {}
    depth = 0 if name == "min_rows" else 1
    return [(k, 0.0, _WORDS[name].format(k)) for k in named if k not in known and k != EVERY and k.count(".") == depth]


_WORDS = {
    "min_rows": "{}: the number of rows",
    "min_completeness": "{}: the share of rows with a value",
    "max_completeness_drop": "{}: the loss of rows with a value since the build before",
    "max_psi": "{}: the population stability index",
    "max_new_categories": "{}: the number of new categories",
    "max_vanished_categories": "{}: the number of vanished categories",
}


def _quarantined(report: QualityReport) -> Found:
    for name, t in report.tables.items():
        if t.rows_in:
            yield name, t.quarantined / t.rows_in, f"{name}: the share of rows in quarantine"
            for rule, n in t.rules.items():
                yield f"{name}.{rule}", n / t.rows_in, f"{name}: the share of rows in quarantine by {rule}"


def _mended(report: QualityReport) -> Found:
    for name, t in report.tables.items():
        good = t.loaded + t.merged
        for column, rules in t.mends.items():
            if good:
                yield f"{name}.{column}", sum(rules.values()) / good, f"{name}.{column}: the share of mended fields"


def _rows(report: QualityReport) -> Found:
    for name, table in report.profile.items():
        yield name, float(table.rows), _WORDS["min_rows"].format(name)


def _completeness(report: QualityReport) -> Found:
    for name, table in report.profile.items():
        for column, c in table.columns.items():
            key = f"{name}.{column}"
            yield key, c.completeness, _WORDS["min_completeness"].format(key)


def _column(report: QualityReport, name: str, value: Callable[[ColumnDrift], float | None]) -> Found:
    """A value of each column that was compared with the build before."""
    for table, drift in report.drift.tables.items() if report.drift else ():
        for column, c in drift.columns.items():
            found = value(c)
            if found is not None:
                yield f"{table}.{column}", found, _WORDS[name].format(f"{table}.{column}")


def _rows_ratio(report: QualityReport) -> Found:
    for table, drift in report.drift.tables.items() if report.drift else ():
        if drift.rows[0]:
            yield table, drift.rows[1] / drift.rows[0], f"{table}: the ratio of rows to those of the build before"
    for table in report.drift.vanished_tables if report.drift else ():
        yield table, 0.0, f"{table}: the ratio of rows to those of the build before"


def _volume(report: QualityReport) -> Found:
    for table, drift in report.drift.tables.items() if report.drift else ():
        for series, v in drift.volume.items():
            key = f"{table}.{series}"
            if v.shared is not None:
                yield key, v.shared, f"{key}: the ratio of rows of the days that the build before knew"
            if v.recent is not None:
                yield key, v.recent, f"{key}: the ratio of rows of {v.new_days} new days to those expected"


def _beyond_chance(column: ColumnDrift) -> float | None:
    return column.psi if column.psi is not None and column.psi > (column.chance or 0.0) else None


_FINDERS: dict[str, Callable[[QualityReport], Found]] = {
    "max_quarantined": _quarantined,
    "max_mended": _mended,
    "min_rows": _rows,
    "min_completeness": _completeness,
    "max_completeness_drop": partial(
        _column, name="max_completeness_drop", value=lambda c: c.completeness[0] - c.completeness[1]
    ),
    "max_psi": partial(_column, name="max_psi", value=_beyond_chance),
    "max_new_categories": partial(_column, name="max_new_categories", value=lambda c: c.new_count),
    "max_vanished_categories": partial(_column, name="max_vanished_categories", value=lambda c: c.vanished_count),
    "min_rows_ratio": _rows_ratio,
    "min_volume_ratio": _volume,
    "max_volume_ratio": _volume,
}
