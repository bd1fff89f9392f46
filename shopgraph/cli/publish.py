"""`shopgraph publish`: recommendations with reasons, similar products and vectors into the graph."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from shopgraph import publishing
from shopgraph.cli import console
from shopgraph.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    StoreOption,
    VerboseOption,
    WorkspaceOption,
    workspace_at,
)


def command(
    k: Annotated[int, typer.Option("--k", min=1, help="Longest list of a user.")] = 20,
    similar: Annotated[int, typer.Option("--similar", min=0, help="Similar products per product; 0: none.")] = 10,
    no_vectors: Annotated[bool, typer.Option("--no-vectors", help="Leave product vectors out of Neo4j.")] = False,
    repeats: Annotated[
        Literal["exclude", "include"], typer.Option("--repeats", help="Whether lists may hold what the user had.")
    ] = "exclude",
    stale: Annotated[
        bool, typer.Option("--stale", help="Publish although the graph has changed since the training.")
    ] = False,
    run: Annotated[str | None, typer.Option("--run", help="Bring this earlier run back; see --list.")] = None,
    list_runs: Annotated[bool, typer.Option("--list", help="Show the runs of the workspace.")] = False,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Write every user's recommendations with reasons, similar products and vectors into the graph.

    Readers see the run before or the new one, never both. Published again without a change, nothing is written.

    Example: shopgraph publish --k 20
    """
    place = workspace_at(workspace)
    if list_runs:
        _show_runs(publishing.runs(place, store), json_output)
        return
    options = publishing.PublishOptions(k, similar, not no_vectors, repeats, stale)
    with place.writing():
        progress = console.progress()
        if run is not None:
            done = publishing.bring_back(place, store, run, progress)
        else:
            done = publishing.publish(place, store, options, progress)
    if json_output:
        console.emit_json(done.to_dict())
    else:
        show(done)


def show(done: publishing.Published) -> None:
    """What was published, for a person."""
    now = "is current in" if done.written else "was current already in"
    console.say(f"run {done.run.id} ({done.run.model}) {now} {done.store}")
    console.say(f"{done.recommended:,} recommendations, {done.similar:,} similar products, {done.vectors:,} vectors")
    if done.left_out:
        console.say(f"{done.left_out:,} left out: the graph has their user or product no more")


def _show_runs(found: list[dict[str, Any]], json_output: bool) -> None:
    if json_output:
        console.emit_json(found)
        return
    if not found:
        console.say("nothing has been published from this workspace")
        return
    rows = [
        (
            "*" if run["current"] else "",
            run["run"],
            run["created"][:19],
            run["model"],
            str(run["config"]["publish"]["k"]),
            ", ".join(
                f"{task} {values['ndcg@20']:.4f}" for task, values in run["metrics"].items() if "ndcg@20" in values
            ),
        )
        for run in found
    ]
    columns = ("current", "run", "created (UTC)", "model", "k", "NDCG@20 on test")
    console.out.print(console.table("", columns, rows, right=("k",)))
