"""`shopgraph finetune`: tunes the text encoder on the graph."""

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
from shopgraph.finetuning import finetune
from shopgraph.settings import load_settings
from shopgraph.stations import current_snapshot


def command(
    settings: SetOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the state of a stopped tuning.")] = False,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Tune the text encoder on the graph's training events; encode then uses it.

    Example: shopgraph finetune --set finetune.max_seconds=300
    """
    place = workspace_at(workspace)
    with place.writing():
        progress = console.progress()
        chosen = load_settings(place, settings)
        snapshot = current_snapshot(place, store, progress)
        report = finetune(place, snapshot, chosen, progress, resume=resume)
    if json_output:
        console.emit_json(report | {"encoder": str(place.encoder)})
        return
    show(report)
    console.say(f"the encoder is in {place.encoder}; next: shopgraph encode, then shopgraph train")


def show(report: dict[str, Any]) -> None:
    """A few lines about a tuning."""
    looks = report["validation"]
    asked = f"{report['held_out']:,} texts set aside, asked for {report['users_asked']:,} users"
    if not report["held_out"]:
        console.say(f"{report['steps']} steps; no text was set aside, so nothing says whether that helped")
    elif report["steps"]:
        console.say(f"validation NDCG@20 {looks[0]:.4f} → {max(looks):.4f} after {report['steps']} steps ({asked})")
    else:
        console.say(f"validation NDCG@20 stayed below {looks[0]:.4f} of the model as it came, which is kept ({asked})")
    until = report["split"]["until"]
    seen = f"events before {until}" if until else f"the training part of the {report['split']['method']} split"
    console.say(f"learned from {seen}; a model that holds out any of that is refused")
