"""What a build would make of a directory, without building; and a draft of the mapping that it needs."""

from __future__ import annotations

import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from ingest.check.draft import Draft
from ingest.check.guess import Guesser
from ingest.check.profile import ColumnProfile, profile_columns
from ingest.check.samples import FileSample, SampleColumn, sample_file
from ingest.check.tables import TableFiles, table_of
from ingest.disclosure import Disclosure
from ingest.errors import IngestError
from ingest.mapping import Mapping as TableMappings
from ingest.mapping import read_mapping
from ingest.progress import Progress, SilentProgress
from ingest.quality import QualityReport, TableQuality
from ingest.settings import IngestSettings
from ingest.shipped_mappings import mapping_file
from ingest.source_directory import MAPPING_FILE, DirectorySource, find_files, present_files
from ingest.staging import StagedTable, connect
from ingest.table_run import TableRun
from ingest.values import create_macros

_SILENT = SilentProgress()
_DEFAULTS = IngestSettings()
_ROUNDS = 3
_TELLING = {"unknown_event": "event", "unreadable_time": "time", "no_quantity": "quantity"}
"""Quarantine rules whose values teach more about a column than its first rows did."""


@dataclass(frozen=True)
class TableCheck:
    """A table as a build would make it.

    Attributes:
        quality: what would become of its rows.
        columns: what they hold.
    """

    quality: TableQuality
    columns: list[ColumnProfile] = field(default_factory=list)


@dataclass(frozen=True)
class CheckReport:
    """What a build would make of a directory.

    Attributes:
        source: the directory.
        mapping: the mapping in force: a file, or `draft` where the figures are those of a build with the draft.
        as_of: no event may lie more than a day after it; ISO 8601.
        tables: contract table -> what a build would make of it.
        ignored_files: files that belong to no table.
        draft: a mapping for what the contract does not know, as TOML; None where nothing was guessed.
        guesses: setting -> why, of the draft.
        decisions: what only a person can say, a line each.
        problem: why nothing could be read; None where something could.
    """

    source: str
    mapping: str | None
    as_of: str
    tables: dict[str, TableCheck]
    ignored_files: list[str]
    draft: str | None
    guesses: dict[str, str]
    decisions: list[str]
    problem: str | None

    @property
    def usable(self) -> bool:
        """Whether a build would load any row."""
        return any(t.quality.loaded for t in self.tables.values())


def check_directory(
    source: str,
    *,
    mapping: Path | None = None,
    as_of: datetime | None = None,
    settings: IngestSettings = _DEFAULTS,
    progress: Progress = _SILENT,
) -> CheckReport:
    """Stage and clean a directory in a scratch folder, by the code of a build, and describe what comes out.

    What the contract does not know is guessed from names and values; the figures are then those of a build with the
    draft. Values that the first run sets aside may correct the guesses, once or twice.

    Args:
        source: the directory.
        mapping: mapping file or name of a shipped mapping, instead of the directory's own mapping.toml.
        as_of: events may lie at most a day after it; default now.
        settings: how tables are cleaned.
        progress: shows a station per table.

    Raises:
        IngestError: no directory, or a mapping with a fault.
    """
    root = Path(source).expanduser()
    if not root.is_dir():
        raise IngestError(f"no directory {source!r}", "SOURCE", "name a directory of tables")
    own = root / MAPPING_FILE
    file = mapping_file(mapping) if mapping is not None else own if own.is_file() else None
    content = tomllib.loads(file.read_text("utf-8")) if file is not None and read_mapping(file) else {}
    now = as_of or datetime.now(UTC)
    now = now if now.tzinfo else now.replace(tzinfo=UTC)
    samples = {s.name: s for path in present_files(root) if (s := sample_file(path, path.relative_to(root).as_posix()))}
    with tempfile.TemporaryDirectory(prefix="shopgraph-check-") as scratch:
        draft, found = _tried(root, file, content, samples, _Runner(Path(scratch), now, settings, progress))
    return CheckReport(
        str(root),
        "draft" if draft.reasons else str(file) if file else None,
        now.isoformat(),
        found.tables,
        found.ignored if not found.problem else sorted(samples),
        draft.toml() if draft.reasons else None,
        {".".join(path): why for path, why in draft.reasons.items()},
        draft.decisions,
        found.problem,
    )


@dataclass(frozen=True)
class _Found:
    """What a run found: tables, ignored files, per table and rule the values set aside; or why it found nothing."""

    tables: dict[str, TableCheck] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    offending: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)
    problem: str | None = None


def _drafted(root: Path, file: Path | None, content: dict[str, Any], samples: Mapping[str, FileSample]) -> Draft:
    """The mapping in force with guesses for what it and the contract do not know."""
    draft = Draft(_copied(content))
    mapping = read_mapping(file) if file else TableMappings()
    try:
        known = find_files(root, mapping).tables
    except IngestError:
        known = {}
    names = {t: [p.relative_to(root).as_posix() for p in paths] for t, paths in known.items()}
    tables = [TableFiles(t, tuple(samples[n] for n in ns if n in samples), True) for t, ns in names.items()]
    used = {name for ns in names.values() for name in ns}
    groups: dict[tuple[str, str, tuple[str, ...]], list[FileSample]] = defaultdict(list)
    for sample in (s for n, s in samples.items() if n not in used):
        table = table_of(sample)[0]
        if table:
            groups[table, sample.kind, tuple(c.name for c in sample.columns)].append(sample)
    for (table, _, _), members in sorted(groups.items(), key=lambda g: -len(g[1])):
        other = next((t for t in tables if t.table == table), None)
        if other is None:
            tables.append(TableFiles(table, tuple(members), False))
        else:
            mine = TableFiles(table, tuple(members), False).names
            draft.decisions.append(
                f"{mine} looks like {table} too, beside {other.names}: bring them into the same columns and format, "
                f"or leave one out"
            )
    Guesser(draft, [t for t in tables if t.samples]).guess()
    return draft


def _copied(content: dict[str, Any]) -> dict[str, Any]:
    return {k: _copied(v) if isinstance(v, dict) else v for k, v in content.items()}


@dataclass(frozen=True)
class _Recorded(DirectorySource):
    """A source that remembers what was staged."""

    staged: dict[str, StagedTable] = field(default_factory=dict)

    def stage(self, connection: duckdb.DuckDBPyConnection, table: str, scratch: Path, /) -> StagedTable:
        """Stage, and remember."""
        self.staged[table] = super().stage(connection, table, scratch)
        return self.staged[table]


def _opened(root: Path, file: Path | None, draft: Draft, scratch: Path) -> _Recorded:
    """The directory with the draft, or without guesses with the mapping in force."""
    if not draft.reasons:
        return _Recorded.open(root, file)
    written = scratch / MAPPING_FILE
    written.write_text(draft.toml(), "utf-8")
    return _Recorded.open(root, written)


@dataclass(frozen=True)
class _Runner:
    """Cleans directories as a build does, each in a folder of its own below `scratch`."""

    scratch: Path
    as_of: datetime
    settings: IngestSettings
    progress: Progress

    def run(self, source: _Recorded) -> _Found:
        """Clean every table; the files go with the scratch folder."""
        place = Path(tempfile.mkdtemp(dir=self.scratch))
        connection = connect(place, self.settings.threads, self.settings.memory_limit)
        profiles: dict[str, list[ColumnProfile]] = {}
        dangling = source.dangling or self.settings.dangling
        try:
            create_macros(connection)
            options = self.settings.options(self.as_of, None, dangling, Disclosure())
            run = TableRun(connection, source, place, options)
            for name in run.order():
                with self.progress.station(f"check {name}", source.rows(name), "rows") as station:
                    run.clean(name, station)
                    profiles[name] = profile_columns(connection, source.staged[name])
            with self.progress.station("complete tables", None, "") as station:
                run.complete(station)
            offending = {n: _offending(connection, run.target / "quarantine" / f"{n}.parquet") for n in profiles}
        finally:
            connection.close()
        ignored = list(source.ignored)
        QualityReport(source.name, self.as_of.isoformat(), "", run.quality, run.case_variants, ignored).check()
        tables = {name: TableCheck(quality, profiles.get(name, [])) for name, quality in run.quality.items()}
        return _Found(tables, ignored, offending)


def _tried(
    root: Path, file: Path | None, content: dict[str, Any], samples: Mapping[str, FileSample], runner: _Runner
) -> tuple[Draft, _Found]:
    """The draft and what a build with it finds, corrected by what the first runs set aside."""
    draft, found = _drafted(root, file, content, samples), _Found()
    for left in reversed(range(_ROUNDS)):
        try:
            opened = _opened(root, file, draft, runner.scratch)
            found = runner.run(opened)
        except IngestError as error:
            return _without_guesses(root, file, content, draft, str(error), runner)
        samples = _taught(samples, found, opened)
        better = _drafted(root, file, content, samples)
        if not left or better.toml() == draft.toml():
            break
        draft = better
    return draft, found


def _without_guesses(
    root: Path, file: Path | None, content: dict[str, Any], draft: Draft, problem: str, runner: _Runner
) -> tuple[Draft, _Found]:
    """What a build with the mapping in force finds where one with the draft fails; the draft where both do."""
    if not draft.reasons:
        return draft, _Found(problem=problem)
    try:
        found = runner.run(_Recorded.open(root, file))
    except IngestError:
        return draft, _Found(problem=problem)
    return Draft(content, decisions=[*draft.decisions, f"what was guessed does not fit: {problem}"]), found


def _offending(connection: duckdb.DuckDBPyConnection, quarantine: Path) -> dict[str, list[str]]:
    """Rule -> different values set aside, of the rules that teach something."""
    found = connection.execute(
        "SELECT rule, list(DISTINCT value ORDER BY value)[:2000] FROM read_parquet(?) "
        "WHERE list_contains(?, rule) AND value IS NOT NULL GROUP BY rule",
        [str(quarantine), list(_TELLING)],
    ).fetchall()
    return {str(rule): [str(v) for v in values] for rule, values in found}


def _taught(samples: Mapping[str, FileSample], found: _Found, source: DirectorySource) -> dict[str, FileSample]:
    """The samples with the values that were set aside added to their columns."""
    taught = dict(samples)
    for table, by_rule in found.offending.items():
        names = [path.relative_to(source.root).as_posix() for path in source.found.tables[table]]
        for rule, values in by_rule.items():
            column = source.mapping.tables[table].columns.get(_TELLING[rule], _TELLING[rule])
            for name in (n for n in names if n in taught):
                taught[name] = _with_values(taught[name], column, values)
    return taught


def _with_values(sample: FileSample, column: str, values: list[str]) -> FileSample:
    return replace(
        sample,
        columns=tuple(
            SampleColumn(c.name, tuple(dict.fromkeys((*c.values, *values))), c.typed)
            if c.name == column and not c.nested
            else c
            for c in sample.columns
        ),
    )
