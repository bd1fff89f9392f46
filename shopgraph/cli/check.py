"""`shopgraph check`: what a build would make of a directory of tables, and a draft of the mapping that it needs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from ingest.check.directory import CheckReport, check_directory
from ingest.check.profile import ColumnProfile
from ingest.quality import TableQuality
from ingest.rule_catalogue import meaning
from ingest.shipped_mappings import NAMES
from shopgraph.cli import console
from shopgraph.cli.options import DEFAULT_WORKSPACE, JsonOption, VerboseOption, WorkspaceOption
from shopgraph.errors import AppError
from shopgraph.settings import load_settings
from shopgraph.workspace import Workspace, write_whole

_NUMBERS = ("rows_in", "loaded", "merged", "quarantined", "mended")
_WORDS_SHOWN = 6


def command(
    source: Annotated[str, typer.Argument(help="A directory of tables.")],
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", help=f"The mapping to check with: a TOML file, or one of {', '.join(NAMES)}."),
    ] = None,
    write_mapping: Annotated[
        Path | None, typer.Option("--write-mapping", help="Write the draft of a mapping to this new file.")
    ] = None,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Show what graph-build would make of a directory, without building, and draft a mapping for what it does not know.

    Exits with 1 when no row could be loaded.

    Example: shopgraph check ./my-shop --write-mapping ./my-shop/mapping.toml
    """
    if write_mapping is not None and write_mapping.exists():
        raise AppError("the file is there already", str(write_mapping), "name a new file for the draft")
    settings = load_settings(Workspace(workspace)).ingest
    report = check_directory(source, mapping=mapping, settings=settings, progress=console.progress())
    if write_mapping is not None and report.draft is not None:
        write_whole(write_mapping, report.draft)
    if json_output:
        console.emit_json(as_json(report))
    else:
        show(report)
    if write_mapping is not None:
        console.say(f"The draft is in {write_mapping}" if report.draft else "Nothing had to be guessed: no draft.")
    if not report.usable:
        raise typer.Exit(1)


def as_json(report: CheckReport) -> dict[str, Any]:
    """The report for scripts."""
    return {**asdict(report), "usable": report.usable}


def show(report: CheckReport) -> None:
    """The report for a person."""
    if report.tables:
        by = {"draft": " with the draft below", None: ""}.get(report.mapping, f" with {report.mapping}")
        rows = [
            (name, escape(", ".join(t.quality.files[:3])) or "named by other tables", *_row(t.quality))
            for name, t in report.tables.items()
        ]
        heads = ("table", "files", *_NUMBERS, "created")
        title = f"What a build of {report.source} would do{by}"
        console.out.print(console.table(escape(title), heads, rows, right=(*_NUMBERS, "created")))
    faults = [fault for name, t in report.tables.items() for fault in _faults(name, t.quality)]
    if faults:
        console.out.print()
        rules = ("table", "rule", "count", "what it means", "commonest values")
        console.out.print(console.table("Rows set aside and fields mended", rules, faults, right=("count",)))
    for name, table in report.tables.items():
        if table.columns:
            columns = ("column", "from", "use", "holds", "missing", "values of good rows")
            console.out.print()
            console.out.print(console.table(name, columns, [_column(c) for c in table.columns], right=("missing",)))
    if report.ignored_files:
        console.out.print(f"\nFiles of no table: {', '.join(report.ignored_files)}", markup=False)
    if report.draft is not None:
        console.out.print("\nDraft of mapping.toml (--write-mapping FILE writes it)\n")
        console.out.print(report.draft, markup=False, end="")
    for line in report.decisions:
        console.out.print(f"\nTo decide: {line}", markup=False)
    if report.problem:
        console.out.print(f"\nNothing can be loaded: {report.problem}", markup=False)
    elif not report.tables:
        console.out.print("\nNothing here can be loaded.")


def _row(quality: TableQuality) -> tuple[str, ...]:
    numbers = (quality.rows_in, quality.loaded, quality.merged, quality.quarantined, quality.mended, quality.created)
    return tuple(f"{n:,}" for n in numbers)


def _faults(name: str, quality: TableQuality) -> list[tuple[str, ...]]:
    """Rows of the table of rules: those that set rows aside, with values, and those that mend fields."""
    aside: list[tuple[str, ...]] = [
        (name, rule, f"{n:,}", meaning(rule), _examples(quality.examples.get(rule, [])))
        for rule, n in quality.rules.items()
    ]
    mended: list[tuple[str, ...]] = [
        (name, rule, f"{n:,}", f"{column}: {meaning(rule)}", "")
        for column, by_rule in quality.mends.items()
        for rule, n in by_rule.items()
    ]
    return aside + mended


def _examples(examples: list[list[str | int | None]]) -> str:
    return escape(", ".join(f"{'(empty)' if value in (None, '') else value} ({n:,})" for value, n in examples))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())


def _column(column: ColumnProfile) -> tuple[str, ...]:
    missing = "" if column.missing is None else f"{100 * column.missing:.1f} %"
    values = ""
    if column.commonest:
        values = _counts(dict(list(column.commonest.items())[:_WORDS_SHOWN]))
    elif column.distinct is not None:
        values = f"{column.distinct:,} different"
    elif column.least is not None:
        values = f"{column.least} to {column.most}"
    source = column.source if column.source is not None else "(constant)"
    return escape(column.name), escape(source), column.use, column.kind, missing, values
