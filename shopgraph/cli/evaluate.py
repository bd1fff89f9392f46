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
from shopgraph.stations import current_snapshot, saved_vectors
from shopgraph.stations import evaluate as measure

WIDE = 175
"""Columns of a terminal that the usual table needs; a narrower one gets NDCG alone."""
WIDEST = 250
"""Columns of a terminal that gets every column."""


def command(
    recs: Annotated[
        Path | None,
        typer.Option("--recs", help="Any tool's lists: user_id, rank, product_id, score, rating (Parquet, CSV)."),
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Show slices, what the lists are like, and gaps between users too.")
    ] = False,
    per_user: Annotated[
        Path | None, typer.Option("--per-user", help="Write every user's metrics to this Parquet file.")
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
        if recs is not None:
            from gnn.evaluation.recs_file import evaluate_recs

            report = evaluate_recs(place.model("eval"), snapshot, read_frame(recs, "--recs"), per_user=per_user)
        elif per_user is not None:  # what is kept of an earlier evaluation has no users in it
            from gnn.evaluation.evaluate import evaluate

            vectors = saved_vectors(place, snapshot)
            matrix = vectors.matrix if vectors is not None else None
            report = evaluate(place.model("eval"), snapshot, matrix, progress, per_user=per_user)
        else:
            report = measure(place, snapshot, progress)
    if json_output:
        console.emit_json(report)
    else:
        show(report, details=details)


def show(report: dict[str, Any], *, details: bool = False) -> None:
    """A table per task, with `details` two more; then what was read of a file."""
    from gnn.evaluation.report import beyond_table, ratings_table, slices_table, table

    width = console.out.width
    for task, figures in report["tasks"].items():
        found = table(report, task, narrow=width < WIDE, wide=width >= WIDEST)
        title = f"\n{task}, {report['stage']}: {figures['users']:,} users, {figures['candidates']:,} candidates"
        _print(title, found)
        if details:
            _print(f"\n{task}, slices", slices_table(report, task))
            _print(f"\n{task}, beyond accuracy", beyond_table(report, task))
    if "recs" in report.get("ratings", {}):
        said = report["ratings"]
        _print(f"\nratings: {said['predicted']:,} of {said['held_out']:,} held-out pairs", ratings_table(report))
    console.say("\nmean [95 % bootstrap interval over users]; every candidate is ranked, none sampled")
    if "rows" in report:
        _account(report)


def _print(title: str, found: tuple[list[str], list[list[str]]]) -> None:
    header, rows = found
    console.out.print(console.table(title, header, rows, right=header[1:]))


def _account(report: dict[str, Any]) -> None:
    """What of the file was used."""
    used = report["rows"]
    console.say(
        f"{used['rows']:,} rows read; unknown users: {used['unknown_users']:,}, rows of unknown products: "
        f"{used['unknown_products']:,}"
    )
    if used["shared_ranks"]:
        console.say(f"{used['shared_ranks']:,} rows share their rank with another: in the order of score, then of rows")
    if used["listed_twice"]:
        console.say(f"{used['listed_twice']:,} rows repeat a product of the same list: its better place counts")
    for task, figures in report["tasks"].items():
        if figures["without_list"]:
            console.say(f"{task}: {figures['without_list']:,} users asked about have no list and count as zero")
