"""`shopgraph encode`: product text → vectors."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

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
from shopgraph.stations import encode as encode_text

if TYPE_CHECKING:
    from encoders.vectors import NodeVectors


def command(
    settings: SetOption = None,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Encode the text of every product with a transformer.

    Example: shopgraph encode --set encode.model=./my-model
    """
    place = workspace_at(workspace)
    with place.writing():
        progress = console.progress()
        snapshot = current_snapshot(place, store, progress)
        vectors = encode_text(place, snapshot, load_settings(place, settings), progress)
    if json_output:
        console.emit_json(dataclasses.asdict(vectors.head) | {"reused": vectors.reused})
        return
    show(vectors)


def show(vectors: NodeVectors) -> None:
    """One line about the vectors, and the warning if there is one."""
    head = vectors.head
    done = "all from the last time" if vectors.reused else f"{head.encoded:,} encoded now"
    console.say(
        f"{head.products:,} products, {head.texts:,} distinct texts ({done}), {head.dim} numbers each: {head.model}"
    )
    if head.tuned:
        until = head.tuned["split"].get("until")
        console.say("the encoder was tuned on the graph" + (f", on events before {until}" if until else ""))
    if head.note:
        console.say(f"note: {head.note}")
