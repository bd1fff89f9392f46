"""All clean tables of a build profiled, and compared with the build before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ingest.monitor.baseline import FILE_NAME, Baseline, TableBaseline, previous_build
from ingest.monitor.drift import Drift, compare
from ingest.monitor.profile import TableProfile
from ingest.monitor.profiling import profile_table
from ingest.progress import Station
from ingest.quality import QualityReport, TableQuality


def profile_tables(
    connection: duckdb.DuckDBPyConnection, folder: Path, history: Path, report: QualityReport, station: Station
) -> tuple[dict[str, TableProfile], Drift | None]:
    """Profile every clean table, compare with the build before, and write what the next build is compared with.

    Args:
        connection: the working database.
        folder: of the clean tables; gets baseline.json.
        history: folder of the baselines of earlier builds.
        report: the account of rows of this build.
        station: says how many columns are done.

    Returns:
        The profiles, and the drift; None without a build before.
    """
    before = previous_build(history, report.fingerprint)
    profiles: dict[str, TableProfile] = {}
    tables: dict[str, TableBaseline] = {}
    rebinned: dict[str, Mapping[str, tuple[int, ...]]] = {}
    for file in sorted(folder.glob("*.parquet")):
        name = file.stem
        measured = profile_table(connection, name, file, before.tables.get(name) if before is not None else None)
        profiles[name], rebinned[name] = measured.profile, measured.rebinned
        quality = report.tables.get(name, TableQuality())
        tables[name] = TableBaseline(
            measured.profile.rows,
            quality.rows_in,
            quality.rules,
            measured.columns,
            measured.days,
        )
        station.note(f"{sum(len(t.columns) for t in profiles.values()):,} columns")
    built = datetime.now(UTC).isoformat(timespec="microseconds")
    Baseline(report.fingerprint, report.source, report.as_of, built, tables).write(folder / FILE_NAME)
    return profiles, compare(before, tables, rebinned) if before is not None else None
