"""Source to clean tables: the one way in, for the built-in data set and for directories alike."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from os import stat_result
from pathlib import Path

import duckdb

from ingest.disclosure import Disclosure
from ingest.errors import IngestError
from ingest.manifest import (
    FILE_NAME,
    FORMAT,
    FileState,
    Manifest,
    file_states,
    fingerprint,
    read_manifest,
    tables_whole,
)
from ingest.mapping import DANGLING
from ingest.monitor.baseline import remember
from ingest.monitor.profile_run import profile_tables
from ingest.monitor.thresholds import (
    BrokenThresholdsError,
    QualitySettings,
    broken_thresholds,
    check_thresholds,
    thresholds_set,
)
from ingest.page.reports import HISTORY, write_reports
from ingest.progress import Progress, SilentProgress
from ingest.quality import QualityReport
from ingest.settings import IngestSettings
from ingest.sources import Source, open_source
from ingest.staging import connect
from ingest.standing import Standing
from ingest.table_run import STORAGE_ERRORS, TableRun
from ingest.values import create_macros

_SILENT = SilentProgress()
_DEFAULTS = IngestSettings()
_DECISIVE = ("dangling", "earliest", "bots", "outliers", "infer", "labels")
"""Settings that the clean tables depend on."""


def build_tables(
    source: str,
    tables_dir: Path,
    reports_dir: Path,
    *,
    mapping: Path | None = None,
    as_of: datetime | None = None,
    settings: IngestSettings = _DEFAULTS,
    progress: Progress = _SILENT,
    fail_on: bool = False,
) -> QualityReport:
    """Clean a source into `tables_dir/TABLE.parquet`, account for every row, and report.

    Beside the clean tables `tables_dir` gets `quarantine/TABLE.parquet` (an empty one where nothing was set aside)
    and `manifest.json`; `reports_dir` gets quality.json and quality.html, and `history/` for the next build to be
    compared with. The folder of tables appears whole or not at all. Where it holds the tables of the same source,
    mapping and settings already, nothing is built.

    With `fail_on`, tables that break a threshold do not take the place of those before: they go to the folder
    `NAME-refused` beside it, and the reports tell of them. Building once more without `fail_on` accepts them.

    Args:
        source: `complete-journey`, or a directory of contract tables.
        tables_dir: folder to write; replaced if it holds an earlier build.
        reports_dir: folder of the reports; other files in it are left alone.
        mapping: mapping file, or name of a shipped mapping, instead of the directory's own mapping.toml.
        as_of: events may lie at most a day after it (aware; a naive one is UTC); default now.
        settings: how tables are cleaned.
        progress: shows a station per table.
        fail_on: whether broken thresholds refuse the build.

    Returns:
        The report; `reused` says whether the tables were there already.

    Raises:
        IngestError: a source, table or mapping that cannot be used, or a folder that cannot be written.
        BrokenThresholdsError: with `fail_on`, a threshold is broken.
    """
    check_thresholds(settings.quality)
    if settings.dangling not in DANGLING:
        raise IngestError(f"dangling = {settings.dangling!r} is unknown", "settings", f"use {' or '.join(DANGLING)}")
    settings.privacy.key()
    for group in (settings.bots, settings.outliers, settings.infer, settings.labels):
        group.check()
    opened = open_source(source, mapping)
    given = as_of.replace(tzinfo=UTC) if as_of is not None and as_of.tzinfo is None else as_of
    _check_target(tables_dir, opened)
    target = _Target(tables_dir, reports_dir, settings.quality, fail_on)
    try:
        current = tables_current(opened, tables_dir, given, settings)
        if current is not None:
            return target.keep(current)
        with folder_for_scratch(tables_dir) as scratch:
            report = tables_current(opened, target.refused, given, settings)
            if report is not None:  # built before and refused; it may be accepted now
                return target.accept(report, target.refused, scratch)
            report = _build(opened, scratch, given, settings, reports_dir / HISTORY, progress)
            return target.accept(report, scratch / "tables", scratch)
    except (OSError, *STORAGE_ERRORS) as error:
        reason = str(error).splitlines()[0]
        remedy = "check that the folder can be written and that the disk has room"
        raise IngestError(f"the tables cannot be written: {reason}", str(tables_dir), remedy) from error


@dataclass(frozen=True)
class _Target:
    """Where tables and reports go, and what they are held to."""

    tables_dir: Path
    reports_dir: Path
    settings: QualitySettings
    fail_on: bool

    @property
    def refused(self) -> Path:
        """Folder of the tables that were refused last."""
        return self.tables_dir.with_name(f"{self.tables_dir.name}-refused")

    def keep(self, report: QualityReport) -> QualityReport:
        """Report on tables that stand already."""
        judged = self._judged(report)
        write_reports(replace(judged, refused=False), self.reports_dir)
        remember(self.tables_dir, self.reports_dir / HISTORY, self.settings.history)
        if judged.refused:
            raise BrokenThresholdsError(judged, str(self.tables_dir))
        shutil.rmtree(self.refused, ignore_errors=True)  # of a delivery that the source has taken back
        return judged

    def accept(self, report: QualityReport, built: Path, scratch: Path) -> QualityReport:
        """Put the tables in `built` in place, or aside where they break a threshold that they must keep."""
        judged = self._judged(report)
        write_reports(judged, self.reports_dir)
        if judged.refused:
            if built != self.refused:
                _replace(built, self.refused, scratch / "old")
            raise BrokenThresholdsError(judged, str(self.refused))
        _replace(built, self.tables_dir, scratch / "old")
        if self.refused.exists():
            self.refused.replace(scratch / "refused")
        remember(self.tables_dir, self.reports_dir / HISTORY, self.settings.history)
        return judged

    def _judged(self, report: QualityReport) -> QualityReport:
        """The report held to the thresholds as they are now, whatever they were when the tables were built."""
        broken = broken_thresholds(report, self.settings)
        refused = self.fail_on and any(b.fatal for b in broken)
        return replace(report, thresholds=thresholds_set(self.settings), broken=broken, refused=refused)


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
    if fingerprint(states, described(source, settings)) != manifest.fingerprint:
        return None
    stored = datetime.fromisoformat(manifest.report.as_of)
    late = any(table.rules.get("time_too_late") for table in manifest.report.tables.values())
    if as_of != stored and (as_of is not None or late or stored > datetime.now(UTC)):
        return None
    return manifest.report.as_reused()


def described(source: Source, settings: IngestSettings) -> dict[str, object]:
    """What the result depends on beside the files; numbers of threads and bytes do not change it."""
    shown: dict[str, object] = {k: str(v) for k, v in asdict(settings).items() if k in _DECISIVE}
    if "accounts" in source.tables:
        shown["link"] = asdict(settings.link)
    privacy = settings.privacy.described(settings.privacy.key())
    return {"source": source.name, "settings": shown, "privacy": privacy, **source.described()}


def _build(
    source: Source, scratch: Path, given: datetime | None, settings: IngestSettings, history: Path, progress: Progress
) -> QualityReport:
    """Clean every table into `scratch/tables` and write the manifest there; `given` is the as-of date, if any."""
    as_of = given or datetime.now(UTC)
    known = {name: path.stat() for name, path in source.files().items()}
    connection = connect(scratch, settings.threads, settings.memory_limit)
    try:
        run = table_run(connection, source, scratch, as_of, given, settings)
        run.clean_all(progress)
        states = unchanged(source, known)
        origin = described(source, settings)
        name = fingerprint(states, origin)
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
        with progress.station("profile tables", None, "") as station:
            profile, drift = profile_tables(connection, run.target, history, report, station)
    finally:
        connection.close()
    report = replace(report, profile=profile, drift=drift)
    written = {p.relative_to(run.target).as_posix(): p.stat().st_size for p in sorted(run.target.rglob("*.parquet"))}
    Manifest(FORMAT, name, origin, states, written, report).write(run.target)
    return report


def table_run(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    scratch: Path,
    as_of: datetime,
    given: datetime | None,
    settings: IngestSettings,
    standing: Standing | None = None,
) -> TableRun:
    """A run over a source's tables by the settings, in a new working database.

    Args:
        connection: the working database.
        source: where tables come from.
        scratch: folder for what is temporary, and for the tables.
        as_of: events may lie at most a day after it.
        given: the as-of date if one was given.
        settings: how tables are cleaned.
        standing: clean tables that the source's rows are added to; None to begin anew.
    """
    create_macros(connection)
    free_text = settings.privacy.free_text == "keep"
    disclosure = Disclosure.open(connection, settings.privacy.key(), free_text=free_text)
    options = settings.options(as_of, given, source.dangling or settings.dangling, disclosure)
    return TableRun(connection, source, scratch, options, standing)


def unchanged(source: Source, known: Mapping[str, stat_result]) -> list[FileState]:
    """States of the source's files, which must be as they were before they were read."""
    states = file_states(source.files(), {})
    for state in states:
        if (known[state.name].st_size, known[state.name].st_mtime_ns) != (state.size, state.mtime_ns):
            raise IngestError("the file changed while it was read", state.name, "run the build again")
    return states


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
def folder_for_scratch(tables_dir: Path) -> Iterator[Path]:
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


def _replace(built: Path, target: Path, old: Path) -> None:
    """Put the built folder in place of the one before, which moves into the scratch folder to be removed with it."""
    if target.exists():
        target.replace(old)
    built.replace(target)


__all__ = ["QualityReport", "build_tables", "tables_current"]
