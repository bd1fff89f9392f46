"""Adds a delivery to the clean tables: the result is what one build of everything would give."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from ingest.build import described, folder_for_scratch, table_run, unchanged
from ingest.errors import IngestError
from ingest.manifest import FORMAT, Manifest, file_states, fingerprint, read_manifest, tables_whole
from ingest.monitor.thresholds import BrokenThresholdsError, broken_thresholds, check_thresholds, thresholds_set
from ingest.names import literal
from ingest.page.reports import write_reports
from ingest.progress import Progress, SilentProgress
from ingest.quality import QualityReport
from ingest.settings import IngestSettings
from ingest.sources import Source, open_source
from ingest.staging import connect, parquet_list
from ingest.standing import Standing
from ingest.table_run import STORAGE_ERRORS

TABLES, CHANGES = "tables", "changed_events.parquet"
_BEFORE = "before"
_BUILD_AGAIN = "build everything again without --update, from all deliveries"
_SILENT = SilentProgress()
_DEFAULTS = IngestSettings()


def pending(tables_dir: Path) -> Path:
    """The folder beside the clean tables in which those of an update wait until the graph has them as well."""
    return tables_dir.with_name(f"{tables_dir.name}-update")


def update_tables(
    source: str,
    tables_dir: Path,
    reports_dir: Path,
    *,
    mapping: Path | None = None,
    as_of: datetime | None = None,
    settings: IngestSettings = _DEFAULTS,
    progress: Progress = _SILENT,
    fail_on: bool = False,
) -> QualityReport | None:
    """Clean a delivery and write what the clean tables become with it to `pending(tables_dir)/tables`.

    `tables_dir` stays as it is. `changed_events.parquet` (event_id), beside the new tables, names the events that were
    added, changed or removed. Rows of a key that is known are merged as the contract says, so that a delivery may
    repeat what was delivered before.

    Args:
        source: a directory with the new rows, in the contract's tables.
        tables_dir: the clean tables, of a build or an earlier update.
        reports_dir: folder of the reports, which tell of the delivery alone.
        mapping: as for a build.
        as_of: as for a build.
        settings: those that the tables were built with.
        progress: shows a station per table.
        fail_on: whether broken thresholds of the delivery refuse it.

    Returns:
        The account of the delivery's rows; None where the tables hold this very delivery already.

    Raises:
        IngestError: there is nothing to add to, or the delivery holds what only a build of everything can take in.
        BrokenThresholdsError: with `fail_on`, a threshold is broken.
    """
    target = pending(tables_dir)
    check_thresholds(settings.quality)
    settings.privacy.key()
    manifest = read_manifest(tables_dir)
    if manifest is None or not tables_whole(tables_dir, manifest):
        what = "there are no whole clean tables to add to"
        raise IngestError(what, str(tables_dir), "run shopgraph graph-build SOURCE without --update first")
    opened = open_source(source, mapping)
    given = as_of.replace(tzinfo=UTC) if as_of is not None and as_of.tzinfo is None else as_of
    known = described(opened, settings)
    standing = Standing(tables_dir, bool(manifest.report.tables_given & {"products"}))
    _check(opened, manifest, known, standing, settings)
    name = fingerprint(file_states(opened.files(), {}), known)
    if any(update["fingerprint"] == name for update in manifest.described.get("updates", ())):
        return None
    try:
        with folder_for_scratch(target) as scratch:
            report = _add(opened, scratch, given, settings, standing, manifest, progress)
            broken = broken_thresholds(report, settings.quality)
            refused = fail_on and any(b.fatal for b in broken)
            report = replace(report, thresholds=thresholds_set(settings.quality), broken=broken, refused=refused)
            write_reports(report, reports_dir)
            if refused:
                raise BrokenThresholdsError(report, source)
            made = scratch / "made"
            made.mkdir()
            for part in (TABLES, CHANGES):
                (scratch / part).replace(made / part)
            if target.exists():
                shutil.rmtree(target)
            made.replace(target)
    except (OSError, *STORAGE_ERRORS) as error:
        reason = str(error).splitlines()[0]
        remedy = "check that the folder can be written and that the disk has room"
        raise IngestError(f"the tables cannot be written: {reason}", str(target), remedy) from error
    return report


def accept_update(tables_dir: Path) -> None:
    """Put the tables of an update in place of those before; one that was interrupted here is brought to its end."""
    place = pending(tables_dir)
    if (place / TABLES).exists():
        if tables_dir.exists():
            tables_dir.replace(place / _BEFORE)
        (place / TABLES).replace(tables_dir)
    shutil.rmtree(place, ignore_errors=True)


def _check(
    source: Source, manifest: Manifest, known: dict[str, Any], standing: Standing, settings: IngestSettings
) -> None:
    """Refuse what would not give the tables of one build."""
    as_read = json.loads(json.dumps(known, default=str))
    for group in ("settings", "privacy"):
        before, now = dict(manifest.described.get(group, {})), dict(as_read[group])
        for described_as in (before, now):
            described_as.pop("link", None)  # matters where accounts are linked alone
        if now != before:
            raise IngestError(f"the tables were cleaned with other {group}", "shopgraph.toml", _BUILD_AGAIN)
    if "accounts" in source.tables:
        raise IngestError("accounts are resolved over all of them at once", "accounts", _BUILD_AGAIN)
    if settings.bots.on or settings.outliers.on:
        raise IngestError("bots and outliers are told by all events at once", "ingest.bots, ingest.outliers",
                          _BUILD_AGAIN)  # fmt: skip
    if "products" in source.tables and standing.has("events") and not standing.products_given:
        what = "the first products table decides which events stay"
        raise IngestError(what, "products", _BUILD_AGAIN)
    if standing.has("accounts") and settings.privacy.key() is not None:
        what = "accounts that were replaced by pseudonyms are not known again"
        raise IngestError(what, "accounts", _BUILD_AGAIN)


def _add(
    source: Source,
    scratch: Path,
    given: datetime | None,
    settings: IngestSettings,
    standing: Standing,
    manifest: Manifest,
    progress: Progress,
) -> QualityReport:
    as_of = given or datetime.now(UTC)
    states = {name: path.stat() for name, path in source.files().items()}
    connection = connect(scratch, settings.threads, settings.memory_limit)
    try:
        run = table_run(connection, source, scratch, as_of, given, settings, standing)
        run.clean_all(progress)
        run.write_changes(scratch / CHANGES)
        to_repeat = _rows_to_repeat(connection, standing.folder, run.target)
        _keep_quarantine(connection, standing.folder, run.target)
        read = unchanged(source, states)
        delivery = fingerprint(read, described(source, settings))
        report = QualityReport(
            source.name,
            as_of.isoformat(),
            delivery,
            run.quality,
            run.case_variants,
            list(source.ignored),
            to_repeat=to_repeat,
        )
        report.check()
    finally:
        connection.close()
    _write_manifest(run.target, manifest, delivery, report)
    return report


def _rows_to_repeat(connection: duckdb.DuckDBPyConnection, before: Path, after: Path) -> dict[str, int]:
    """Table -> rows set aside before for a product that is known only now."""
    products = [folder / "products.parquet" for folder in (before, after)]
    if not all(path.is_file() for path in products):
        return {}
    old, new = (f"(SELECT product_id FROM read_parquet({literal(str(path))}))" for path in products)
    counts = {}
    for file in sorted((before / "quarantine").glob("*.parquet")):
        found = connection.execute(
            f"SELECT count(*) FROM read_parquet({literal(str(file))}) WHERE rule = 'dangling_product' "
            f"AND value IN {new} AND value NOT IN {old}"
        ).fetchone()
        counts[file.stem] = int(found[0]) if found else 0
    return {name: n for name, n in counts.items() if n}


def _keep_quarantine(connection: duckdb.DuckDBPyConnection, before: Path, target: Path) -> None:
    """Rows that were set aside before stay beside those of the delivery."""
    folder = target / "quarantine"
    for old in sorted((before / "quarantine").glob("*.parquet")):
        new = folder / old.name
        if not new.exists():
            shutil.copyfile(old, new)
            continue
        both = folder / f".{old.name}"
        connection.execute(
            f"COPY (FROM read_parquet({parquet_list([old, new])})) TO {literal(str(both))} "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
        both.replace(new)


def _write_manifest(target: Path, before: Manifest, delivery: str, report: QualityReport) -> None:
    update = {"fingerprint": delivery, "source": report.source, "as_of": report.as_of}
    written = {p.relative_to(target).as_posix(): p.stat().st_size for p in sorted(target.rglob("*.parquet"))}
    whole = {**before.described, "updates": [*before.described.get("updates", ()), update]}
    name = hashlib.sha256(f"{before.fingerprint} {delivery}".encode()).hexdigest()
    tables = {**before.report.tables, **{n: t for n, t in report.tables.items() if t.files}}
    kept = replace(before.report, fingerprint=name, tables=tables, as_of=report.as_of)
    Manifest(FORMAT, name, whole, before.sources, written, kept).write(target)
