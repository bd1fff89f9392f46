"""`shopgraph leak-check`: plants canaries in the held-out period, trains on that, and looks who has seen them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

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
from shopgraph.settings import load_settings
from shopgraph.stations import current_snapshot, knowing_blocks, saved_vectors


def command(
    model: Annotated[
        list[str] | None, typer.Option("--model", help="A recommender by name; may be given again. Default: fused.")
    ] = None,
    canaries: Annotated[int, typer.Option("--canaries", min=8, help="Most users who get a canary.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draw.")] = 0,
    settings: SetOption = None,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Check that no model sees what it must not: events of the held-out period, later relations, earlier runs' output.

    Example: shopgraph leak-check --model ease --model network
    """
    from gnn.evaluation.leaks import leak_check

    place = workspace_at(workspace)
    progress = console.progress()
    with place.writing():
        snapshot = current_snapshot(place, store, progress)
        config = load_settings(place, settings).gnn
        vectors = saved_vectors(place, snapshot, config)
        with tempfile.TemporaryDirectory(prefix=".leak-check-", dir=place.root) as scratch:
            verdicts = leak_check(
                snapshot,
                vectors.matrix if vectors is not None else None,
                knowing_blocks(config, vectors),
                model or ["fused"],
                Path(scratch),
                progress,
                most=canaries,
                seed=seed,
            )
    if json_output:
        console.emit_json([v.to_dict() for v in verdicts])
    else:
        rows = [
            (v.model, v.task, v.canaries, v.preferred, v.tied, f"{v.chance:.2g}", "LEAKS" if v.leaks else "clean")
            for v in verdicts
        ]
        columns = ("model", "task", "canaries", "preferred", "tied", "chance", "verdict")
        console.out.print(console.table("Canaries", columns, rows, right=columns[2:6]))
        console.say("preferred: users whose canary scores above an equally popular product; half of them by chance")
    leaking = [v for v in verdicts if v.leaks]
    if leaking:
        first = leaking[0]
        what = f"{first.model} prefers {first.preferred} of {first.canaries - first.tied} canaries: it has seen them"
        raise AppError(what, "leak check", "look at graph.exclude_relations and at what carries no time")
