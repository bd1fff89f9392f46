"""`shopgraph train`: snapshot + vectors → model bundle."""

from __future__ import annotations

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
from shopgraph.settings import load_settings
from shopgraph.stations import current_snapshot
from shopgraph.stations import train as fit


def command(
    split: Annotated[
        str | None, typer.Option("--split", help="time, column or leave-one-out; default: the settings', else time.")
    ] = None,
    split_column: Annotated[
        str | None, typer.Option("--split-column", help="Event column that names train, valid and test.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="fused (default), auto, or one recommender by name; docs/recommenders.md."),
    ] = None,
    settings: SetOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint of a stopped training.")] = False,
    refit: Annotated[
        bool, typer.Option("--refit", help="Train again on train + valid into model/live, for use.")
    ] = False,
    warm: Annotated[
        bool,
        typer.Option("--warm", help="Go on from the model there is, with the users who changed and as many others."),
    ] = False,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Train the graph network and the fusion, or any one recommender; on a GPU where there is one.

    Example: shopgraph train --model auto --split time --set train.epochs=30
    Several processes: torchrun --nproc-per-node 2 -m shopgraph.cli.main train
    """
    from gnn.network.team import follow, joined

    chosen = list(settings or [])
    chosen += [f"split.method={split}"] if split else []
    chosen += [f"split.split_column={split_column}"] if split_column else []
    chosen += [f"train.model={model}"] if model else []
    with joined() as team:
        if team.rank:
            follow(team)
            return
        place, progress = workspace_at(workspace), console.progress()
        with place.writing():
            snapshot = current_snapshot(place, store, progress)
            given = load_settings(place, chosen)
            report = fit(place, snapshot, given, progress, resume=resume, refit=refit, warm=warm)
    if json_output:
        console.emit_json(report)
        return
    console.say(summary(report))


def summary(report: dict[str, Any]) -> str:
    """A few lines about a training."""
    if report["reused"]:
        return "the model of the last training fits the graph, the text and the settings; nothing was trained"
    lines = []
    network = report["parts"].get("network")
    if network:
        where = f"{network['device']} ({network['precision']})"
        lines.append(f"network: best after {network['epochs']} of {network['epochs_run']} epochs on {where}")
        if "changed_users" in network:
            lines.append(f"network: went on from the model before; {network['changed_users']:,} users had changed")
    for task, said in report["validation"].items():
        reached = ", ".join(f"{name} {value:.4f}" for name, value in said["ndcg"].items())
        lines.append(f"{task}, validation NDCG: {reached}")
        if "because" in said:
            lines.append(f"{task}: {said['because']}")
    return "\n".join([*lines, *report["notes"]])
