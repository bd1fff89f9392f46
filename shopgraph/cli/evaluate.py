"""`shopgraph evaluate`: model and baselines on the held-out part; or any tool's lists by the same protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shopgraph.cli import console
from shopgraph.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    StoreOption,
    VerboseOption,
    WorkspaceOption,
    workspace_at,
)
from shopgraph.id_files import read_frame
from shopgraph.stations import current_snapshot
from shopgraph.stations import evaluate as measure

WIDE = 175
"""Columns of a terminal that the whole table needs; a narrower one gets NDCG alone."""


def command(
    recs: Annotated[
        Path | None,
        typer.Option("--recs", help="Any tool's lists: user_id, rank, product_id, score (Parquet, CSV)."),
    ] = None,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Evaluate the trained model beside popularity, own repeats, item-kNN and EASE.

    Example: shopgraph evaluate --json > evaluation.json
    """
    place = workspace_at(workspace)
    with place.writing():
        progress = console.progress()
        snapshot = current_snapshot(place, store, progress)
        if recs is None:
            report = measure(place, snapshot, progress)
        else:
            from gnn.evaluation.recs_file import evaluate_recs

            report = evaluate_recs(place.model("eval"), snapshot, read_frame(recs, "--recs"))
    if json_output:
        console.emit_json(report)
    else:
        show(report)


def show(report: dict[str, Any]) -> None:
    """A table per task."""
    from gnn.evaluation.report import table

    for task, figures in report["tasks"].items():
        header, rows = table(report, task, narrow=console.out.width < WIDE)
        title = f"\n{task}, {report['stage']}: {figures['users']:,} users, {figures['candidates']:,} candidates"
        console.out.print(console.table(title, header, rows, right=header[1:]))
    console.say("\nmean [95 % bootstrap interval over users]; every candidate is ranked, none sampled")
    if "rows" in report:
        used = report["rows"]
        console.say(
            f"{used['rows']:,} rows read; unknown users: {used['unknown_users']:,}, rows of unknown products: "
            f"{used['unknown_products']:,}"
        )
