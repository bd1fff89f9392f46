"""The quality report: what became of every row and field of a source."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ingest.config_dict import from_dict
from ingest.errors import IngestError
from ingest.linkage.report import LinkReport
from ingest.monitor.drift import Drift
from ingest.monitor.profile import TableProfile


@dataclass(frozen=True)
class TableQuality:
    """What became of one table's rows: rows_in = loaded + merged + quarantined.

    Attributes:
        rows_in: rows of the source files.
        loaded: rows in the clean table that come from the source.
        merged: rows that went into another row of the same key.
        quarantined: rows set aside.
        mended: fields of good rows that were repaired or left empty.
        removed: rows that the removals table took out again; they count among those loaded.
        created: rows of the clean table that the source has not: users or products that other tables name.
        conflicts: merged rows that overwrote a value with another.
        rules: quarantine rule -> rows.
        mends: column -> mending rule -> fields.
        conflict_columns: column -> values overwritten.
        extras: clean name of every extra column -> its name in the source.
        files: the source files.
        examples: quarantine rule -> [value, rows] of the commonest offending values; none of personal columns.
        left_out: source name of every column that is not loaded since it is a contact field -> how that was found:
            `name`, `mapping`, `e-mail addresses` in it.
        inferred: column -> missing values that were inferred.
        faults: column -> quarantine rule -> rows that were set aside because of it.
        places: quarantine rule -> [file, line] of the first row that broke it.
    """

    rows_in: int = 0
    loaded: int = 0
    merged: int = 0
    quarantined: int = 0
    mended: int = 0
    removed: int = 0
    created: int = 0
    conflicts: int = 0
    rules: dict[str, int] = field(default_factory=dict)
    mends: dict[str, dict[str, int]] = field(default_factory=dict)
    conflict_columns: dict[str, int] = field(default_factory=dict)
    extras: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    examples: dict[str, list[list[str | int | None]]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    inferred: dict[str, int] = field(default_factory=dict)
    faults: dict[str, dict[str, int]] = field(default_factory=dict)
    places: dict[str, list[str | int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Broken:
    """A threshold that a build breaks.

    Attributes:
        threshold: its name in the settings.
        key: the table, column, rule or series.
        limit: the threshold.
        found: what was found.
        fatal: whether `--fail-on` fails on it.
        line: all of it in words.
    """

    threshold: str
    key: str
    limit: float
    found: float
    fatal: bool
    line: str


@dataclass(frozen=True)
class QualityReport:
    """The report of a build.

    Attributes:
        source: what was read.
        as_of: no event may lie more than a day after it; ISO 8601.
        fingerprint: SHA-256 of the source's content, mapping and settings.
        tables: per table present or created.
        case_variants: `table.column` -> groups of ids that differ only by case.
        ignored_files: files of the directory that belong to no table.
        profile: clean table -> its profile.
        drift: what has changed since the build before; None of the first.
        thresholds: names of the thresholds that the settings have.
        broken: those that the build breaks.
        refused: whether it was refused because of them, so that the tables of the build before still stand.
        reused: whether the tables of an earlier build were still current.
        linkage: what became of the accounts; None without an accounts table.
        to_repeat: table -> rows of earlier deliveries that were set aside since their product was unknown, which this
            delivery brings.
    """

    source: str
    as_of: str
    fingerprint: str
    tables: dict[str, TableQuality]
    case_variants: dict[str, list[list[str]]] = field(default_factory=dict)
    ignored_files: list[str] = field(default_factory=list)
    profile: dict[str, TableProfile] = field(default_factory=dict)
    drift: Drift | None = None
    thresholds: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    refused: bool = False
    reused: bool = False
    linkage: LinkReport | None = None
    to_repeat: dict[str, int] = field(default_factory=dict)

    @property
    def tables_given(self) -> frozenset[str]:
        """Tables that the source had files of: the others were made of what these name."""
        return frozenset(name for name, table in self.tables.items() if table.files)

    def to_dict(self) -> dict[str, Any]:
        """The content of quality.json."""
        content = asdict(self)
        del content["reused"]
        return content

    @classmethod
    def from_dict(cls, content: dict[str, Any], *, reused: bool = False) -> QualityReport:
        """The report with the content of quality.json."""
        tables = {name: TableQuality(**table) for name, table in content["tables"].items()}
        later = from_dict(_Later, {k: content[k] for k in _LATER if k in content}, "quality.json")
        linkage = LinkReport(**content["linkage"]) if content.get("linkage") else None
        return cls(**{**content, "tables": tables, "reused": reused, "linkage": linkage, **vars(later)})

    def as_reused(self) -> QualityReport:
        """The same report, said of tables that were not built again."""
        return replace(self, reused=True)

    def check(self) -> None:
        """Hold every table to rows_in = loaded + merged + quarantined.

        Raises:
            IngestError: a row is unaccounted for, which is a fault of this program.
        """
        for name, t in self.tables.items():
            if t.rows_in != t.loaded + t.merged + t.quarantined:
                raise IngestError(
                    f"rows are unaccounted for: {t.rows_in} in, {t.loaded} loaded + {t.merged} merged + "
                    f"{t.quarantined} quarantined",
                    name,
                    "this is a fault of shopgraph: please report it with the source's first lines",
                )


@dataclass(frozen=True)
class _Later:
    """The parts of quality.json that are read by their types."""

    profile: dict[str, TableProfile] = field(default_factory=dict)
    drift: Drift | None = None
    thresholds: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()


_LATER = ("profile", "drift", "thresholds", "broken")


def write_json(report: QualityReport, target: Path) -> None:
    """Write quality.json."""
    target.write_text(json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n", "utf-8")
