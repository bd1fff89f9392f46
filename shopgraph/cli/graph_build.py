"""`shopgraph graph-build`: source → clean tables → graph."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest.monitor.thresholds import BrokenThresholdsError
from ingest.shipped_mappings import NAMES
from shopgraph.cli import console
from shopgraph.cli.options import DEFAULT_WORKSPACE, JsonOption, StoreOption, VerboseOption, WorkspaceOption
from shopgraph.settings import load_settings
from shopgraph.stations import BuildResult, build
from shopgraph.updating import update as add
from shopgraph.workspace import Workspace


def command(
    source: Annotated[str, typer.Argument(help="complete-journey, or a directory of tables.")],
    mapping: Annotated[
        Path | None,
        typer.Option(
            "--mapping", help=f"Renames tables, columns, event values: a TOML file, or one of {', '.join(NAMES)}."
        ),
    ] = None,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", help="Events more than a day after this are quarantined; default now.")
    ] = None,
    update: Annotated[
        bool,
        typer.Option("--update", help="SOURCE holds new, changed and removed rows only: add them to the graph."),
    ] = False,
    fail_on: Annotated[
        bool,
        typer.Option("--fail-on", help="Exit with 1, graph and tables untouched, where [ingest.quality] is broken."),
    ] = False,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Fill a Neo4j server by its offline importer: several times as fast; replaces the whole database.",
        ),
    ] = False,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Clean a shop's tables and build the knowledge graph of them, or add a delivery to it.

    Example: shopgraph graph-build ./my-shop --workspace ./work

    Then, every day: shopgraph graph-build ./deliveries/2024-06-01 --update --workspace ./work
    """
    if update and offline:
        raise typer.BadParameter("an update goes into the running server", param_hint="--offline")
    place = Workspace(workspace)
    if update:
        place.require()
    with place.writing():
        settings = load_settings(place)
        try:
            progress = console.progress()
            if update:
                result = add(place, source, store, settings, progress, mapping=mapping, as_of=as_of, fail_on=fail_on)
            else:
                result = build(
                    place,
                    source,
                    store,
                    settings,
                    progress,
                    mapping=mapping,
                    as_of=as_of,
                    fail_on=fail_on,
                    offline=offline,
                )
        except BrokenThresholdsError as error:
            show_refusal(error, place)
            if json_output:
                console.emit_json({"refused": True, "quality": error.report.to_dict()})
            raise typer.Exit(1) from error
    if json_output:
        console.emit_json(as_json(result))
        return
    show(result, place)


def show_refusal(error: BrokenThresholdsError, workspace: Workspace) -> None:
    """A line per broken threshold, and where to look."""
    for line in error.lines:
        console.say(f"error: {line}")
    console.say(
        f"The graph is as it was. See {workspace.reports / 'quality.html'}; the tables that were refused are in "
        f"{error.where}. Correct the source or the thresholds, or build without --fail-on to accept them."
    )


def as_json(result: BuildResult) -> dict[str, Any]:
    """The result for scripts."""
    return {
        "store": result.store,
        "loaded": result.loaded,
        "fingerprint": result.fingerprint,
        "seconds": result.seconds,
        "counts": result.counts,
        "changes": result.changes,
        "quality": result.quality.to_dict(),
        "command": result.command,
    }


def show_command(result: BuildResult) -> None:
    """What has to be done on the server's machine."""
    console.say("\nThe server is not managed by shopgraph: stop it, and on its machine, as its user, run")
    console.out.print(result.command, markup=False)
    console.say(
        "Everything in that database is replaced. Then start the server and run this graph-build again without "
        "--offline: it checks what was imported, and makes constraints and indexes."
    )


def show(result: BuildResult, workspace: Workspace) -> None:
    """Counts and the quality account for a person."""
    numbers = ("rows_in", "loaded", "merged", "quarantined", "mended")
    rows = []
    for name, account in result.quality.to_dict()["tables"].items():
        rules = ", ".join(f"{rule} {count:,}" for rule, count in account["rules"].items() if count)
        rows.append((name, *(f"{account[n]:,}" for n in numbers), rules))
    console.out.print(console.table("Input rows", ("table", *numbers, "by rule"), rows, right=numbers))
    for remark in result.quality.linkage.remarks() if result.quality.linkage else ():
        console.say(remark)
    if result.changes:
        changed = [(what, f"{n:,}") for what, n in result.changes.items()]
        console.out.print(console.table("Changes of the graph", ("what", "rows"), changed, right=("rows",)))
    if result.command:
        show_command(result)
        return
    filled = [(name, f"{count:,}") for name, count in result.counts.items() if count]
    console.out.print()
    console.out.print(console.table(f"Graph in {result.store}", ("label or type", "count"), filled, right=("count",)))
    for name, n in result.quality.to_repeat.items():
        console.say(
            f"warning: {n:,} rows of {name} were set aside earlier for products that came now: deliver them again"
        )
    for broken in result.quality.broken:
        console.say(f"warning: {broken.line}")
    console.say(f"\nEvery input row is accounted for in {workspace.reports / 'quality.html'}")
    if not result.loaded:
        console.say("The store held this very graph already; nothing was written.")
