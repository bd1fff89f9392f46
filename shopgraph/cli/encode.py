"""`shopgraph encode`: product text → vectors."""

from __future__ import annotations

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

NAME = "encode"


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
        console.emit_json(vectors.head)
        return
    head = vectors.head
    console.say(
        f"{head['texts']:,} products, {head['distinct_texts']:,} distinct texts, {head['encoded']:,} encoded now, "
        f"{head['dim']} dimensions, model {head['model']}"
    )
