"""Source to clean tables: the one way in, for the built-in data set and for directories alike."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ingest.errors import IngestError
from ingest.linkage.settings import LinkSettings
from ingest.manifest import FILE_NAME, FORMAT, Manifest, file_states, fingerprint, read_manifest, tables_whole
from ingest.mapping import DANGLING
from ingest.progress import Progress, SilentProgress
from ingest.quality import QualityReport, write_json
from ingest.quality_page import write_page
from ingest.sources import Source, open_source
from ingest.staging import connect
from ingest.table_run import TableRun
from ingest.values import create_macros

_SILENT = SilentProgress()


@dataclass(frozen=True)
class IngestSettings:
    """How tables are cleaned.

    Attributes:
        dangling: what becomes of rows that name a product which the products table lacks: `quarantine` them or
            `create` the product; a mapping that says otherwise wins.
        earliest: rows with an earlier time are quarantined.
        threads: of the working database; the result does not depend on it.
        memory_limit: of the working database, which spills to disk beyond; nor on this.
        link: how the accounts of several channels are resolved to users.
    """

    dangling: str = "quarantine"
    earliest: datetime = field(default=datetime(1990, 1, 1, tzinfo=UTC))
    threads: int = 2
    memory_limit: str = "3GB"
    link: LinkSettings = field(default_factory=LinkSettings)


def build_tables(
    source: str,
    tables_dir: Path,
    reports_dir: Path,
    *,
    mapping: Path | None = None,
    as_of: datetime | None = None,
    settings: IngestSettings = IngestSettings(),
    progress: Progress = _SILENT,
) -> QualityReport:
    """Clean a source into `tables_dir/TABLE.parquet`, account for every row, and report.

    Beside the clean tables `tables_dir` gets `quarantine/TABLE.parquet` (an empty one where nothing was set aside)
    and `manifest.json`; `reports_dir` gets quality.json and quality.html. The folder of tables appears whole or not
    at all. Where it holds the tables of the same source, mapping and settings already, nothing is built.

    Args:
        source: `complete-journey`, or a directory of contract tables.
        tables_dir: folder to write; replaced if it holds an earlier build.
        reports_dir: folder of the reports; other files in it are left alone.
        mapping: mapping file instead of the directory's own mapping.toml.
        as_of: events may lie at most a day after it (aware; a naive one is UTC); default now.
        settings: how tables are cleaned.
        progress: shows a station per table.

    Returns:
        The report; `reused` says whether the tables were there already.

    Raises:
        IngestError: a source, table or mapping that cannot be used, or a folder that cannot be written.
    """
    if settings.dangling not in DANGLING:
        raise IngestError(f"dangling = {settings.dangling!r} is unknown", "settings", f"use {' or '.join(DANGLING)}")
    opened = open_source(source, mapping)
    given = as_of.replace(tzinfo=UTC) if as_of is not None and as_of.tzinfo is None else as_of
    _check_target(tables_dir, opened)
    try:
        current = tables_current(opened, tables_dir, given, settings)
        if current is not None:
            _write_reports(current, reports_dir)
            return current
        with _scratch(tables_dir) as scratch:
            report = _build(opened, scratch, given or datetime.now(UTC), settings, progress)
            _write_reports(report, reports_dir)
            _replace(scratch / "tables", tables_dir)
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as error:
        reason = str(error).splitlines()[0]
        remedy = "check that the folder can be written and that the disk has room"
        raise IngestError(f"the tables cannot be written: {reason}", str(tables_dir), remedy) from error
    return report


def tables_current(
    source: Source, tables_dir: Path, as_of: datetime | None, settings: IngestSettings
) -> QualityReport | None:
    """The report of the tables in `tables_dir` if building them again would give the same, else None.

    Without an as-of date the stored one stands, unless it cost rows: those might be admitted by now.
    """
    manifest = read_manifest(tables_dir)
    if manifest is None or not tables_whole(tables_dir, manifest):
        return None
    states = file_states(source.files(), {s.name: s for s in manifest.sources})
    if fingerprint(states, _described(source, settings)) != manifest.fingerprint:
        return None
    stored = datetime.fromisoformat(manifest.report.as_of)
    late = any(table.rules.get("time_too_late") for table in manifest.report.tables.values())
    if as_of != stored and (as_of is not None or late or stored > datetime.now(UTC)):
        return None
    return manifest.report.as_reused()


def _described(source: Source, settings: IngestSettings) -> dict[str, object]:
    """What the result depends on beside the files; numbers of threads and bytes do not change it."""
    shown: dict[str, object] = {k: str(v) for k, v in asdict(settings).items() if k in ("dangling", "earliest")}
    if "accounts" in source.tables:
        shown["link"] = asdict(settings.link)
    return {"source": source.name, "settings": shown, **source.described()}


def _build(
    source: Source, scratch: Path, as_of: datetime, settings: IngestSettings, progress: Progress
) -> QualityReport:
    """Clean every table into `scratch/tables` and write the manifest there."""
    known = {name: path.stat() for name, path in source.files().items()}
    connection = connect(scratch, settings.threads, settings.memory_limit)
    try:
        create_macros(connection)
        dangling = source.dangling or settings.dangling
        run = TableRun(connection, source, scratch, as_of, settings.earliest, dangling, settings.link)
        for name in run.order():
            with progress.station(f"clean {name}", source.rows(name), "rows") as station:
                run.clean(name, station)
        with progress.station("complete tables", None, "") as station:
            run.complete(station)
    finally:
        connection.close()
    states = file_states(source.files(), {})
    for state in states:
        if (known[state.name].st_size, known[state.name].st_mtime_ns) != (state.size, state.mtime_ns):
            raise IngestError("the file changed while it was read", state.name, "run the build again")
    described = _described(source, settings)
    name = fingerprint(states, described)
    report = QualityReport(
        source.name,
        as_of.isoformat(),
        name,
        run.quality,
        run.case_variants,
        list(source.ignored),
        linkage=run.linkage,
    )
    report.check()
    written = {p.relative_to(run.target).as_posix(): p.stat().st_size for p in sorted(run.target.rglob("*.parquet"))}
    Manifest(FORMAT, name, described, states, written, report).write(run.target)
    return report


def _check_target(tables_dir: Path, source: Source) -> None:
    """Refuse to replace a folder that is not ours, or that holds the source."""
    place = tables_dir.resolve()
    if any(place in path.resolve().parents for path in source.files().values()):
        raise IngestError("the tables would overwrite the source", str(tables_dir), "choose another workspace")
    if tables_dir.exists() and not tables_dir.is_dir():
        raise IngestError("the folder of tables is a file", str(tables_dir), "choose another workspace")
    if tables_dir.is_dir() and any(tables_dir.iterdir()) and not (tables_dir / FILE_NAME).is_file():
        raise IngestError(
            "the folder holds files that are not of an earlier build", str(tables_dir), "choose another workspace"
        )


@contextmanager
def _scratch(tables_dir: Path) -> Iterator[Path]:
    """A folder beside `tables_dir`, removed afterwards, as are those that killed builds left."""
    tables_dir.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{tables_dir.name}-"
    for left in tables_dir.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=tables_dir.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _replace(built: Path, tables_dir: Path) -> None:
    """Put the built folder in place of the old one, which moves into the scratch folder to be removed with it."""
    if tables_dir.exists():
        tables_dir.replace(built.with_name("old"))
    built.replace(tables_dir)


def _write_reports(report: QualityReport, reports_dir: Path) -> None:
    """Write quality.json and quality.html, each whole or not at all."""
    reports_dir.mkdir(parents=True, exist_ok=True)
    for name, write in (("quality.json", write_json), ("quality.html", write_page)):
        partial = reports_dir / f".{name}.partial"
        write(report, partial)
        partial.replace(reports_dir / name)


__all__ = ["IngestSettings", "QualityReport", "build_tables", "tables_current"]
