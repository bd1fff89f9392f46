"""What a build leaves for the next one to be compared with: a compact profile, and the last few of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ingest.config_dict import from_dict
from ingest.errors import ShopgraphError

FILE_NAME = "baseline.json"
"""Beside the clean tables; a copy goes into the history of the reports once the tables are in place."""


@dataclass(frozen=True)
class ColumnBaseline:
    """One column.

    Attributes:
        completeness: share of rows with a value.
        missing: rows without a value among those counted here.
        edges: deciles of a number column, ascending and different.
        counts: values per bin between edges (see `Histogram`).
        values: category -> rows, of columns that hold categories; the rest of the world's columns have none.
    """

    completeness: float
    missing: int
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    values: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TableBaseline:
    """One table.

    Attributes:
        rows: rows of the clean table.
        rows_in: rows of the source.
        rules: quarantine rule -> rows.
        columns: its columns.
        days: `all`, `event=purchase`, `channel=web`, … -> day -> rows, of the table's last days.
    """

    rows: int
    rows_in: int
    rules: dict[str, int]
    columns: dict[str, ColumnBaseline]
    days: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """A build, as later ones see it.

    Attributes:
        fingerprint: of its source, mapping and settings.
        source: what was read.
        as_of: its as-of date.
        built: when, ISO 8601 in UTC.
        tables: its tables.
    """

    fingerprint: str
    source: str
    as_of: str
    built: str
    tables: dict[str, TableBaseline]

    def write(self, path: Path) -> None:
        """Write it, compact, whole or not at all."""
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
        partial.replace(path)


def read_baseline(path: Path) -> Baseline | None:
    """The baseline in a file; None where there is none that this version can read."""
    try:
        content: Any = json.loads(path.read_text("utf-8"))
        return from_dict(Baseline, content, str(path))
    except (OSError, ValueError, TypeError, AttributeError, ShopgraphError):
        return None


def previous_build(history: Path, fingerprint: str) -> Baseline | None:
    """The newest build in the history that was of another content than `fingerprint`."""
    for path in sorted(history.glob("*.json"), reverse=True):
        found = read_baseline(path)
        if found is not None and found.fingerprint != fingerprint:
            return found
    return None


def remember(tables_dir: Path, history: Path, keep: int) -> None:
    """Copy the baseline of accepted tables into the history, where it takes the place of one of the same content.

    Args:
        tables_dir: folder of the clean tables.
        history: folder of the history; the name of a file begins with the time of its build.
        keep: builds to keep; older ones are removed.
    """
    baseline = read_baseline(tables_dir / FILE_NAME)
    if baseline is None:
        return
    history.mkdir(parents=True, exist_ok=True)
    ending = f"-{baseline.fingerprint[:16]}.json"
    moment = "".join(c for c in baseline.built if c.isdigit())[:20]
    target = history / f"{moment}{ending}"
    if not target.exists():
        baseline.write(target)
    for path in history.glob(f"*{ending}"):
        if path != target:
            path.unlink()
    for path in sorted(history.glob("*.json"), reverse=True)[max(keep, 1) :]:
        path.unlink()
