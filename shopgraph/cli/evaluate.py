"""`shopgraph evaluate`: model and baselines on the held-out part; or any tool's lists by the same protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shopgraph.cli import console
from shopgraph.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    SetOption,
    StoreOption,
    VerboseOption,
    WorkspaceOption,
    workspace_at,
)
from shopgraph.errors import AppError
from shopgraph.id_files import read_frame
from shopgraph.settings import load_settings
from shopgraph.stations import current_snapshot
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
    against: Annotated[
        str | None, typer.Option("--against", help="The recommender whose difference to each is shown.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Evaluate the refit that recommendations use, of train --refit.")
    ] = False,
    settings: SetOption = None,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Evaluate the trained model beside the baselines of `eval.baselines`.

    Example: shopgraph evaluate --json > evaluation.json
    """
    if live and recs is not None:
        raise AppError("--recs and --live exclude each other", "evaluate", "leave one of them out")
    place = workspace_at(workspace)
    chosen = load_settings(place, settings)
    with place.writing():
        progress = console.progress()
        snapshot = current_snapshot(place, store, progress)
        if recs is not None:
            from gnn.evaluation.recs_file import evaluate_recs

            config, frame = chosen.gnn.eval, read_frame(recs, "--recs")
            like = place.model("eval") if place.has_model() else chosen.gnn
            report = evaluate_recs(like, snapshot, frame, per_user=per_user, config=config)
        else:
            report = measure(place, snapshot, chosen, progress, reference=against, per_user=per_user, live=live)
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
