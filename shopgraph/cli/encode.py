"""`shopgraph encode`: product text → vectors, those of pictures beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

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
from shopgraph.settings import Settings, load_settings
from shopgraph.stations import current_snapshot
from shopgraph.stations import encode as encode_text

if TYPE_CHECKING:
    from encoders.vectors import NodeVectors
    from kg.snapshot import Snapshot
    from shopgraph.workspace import Workspace


ShowOption = Annotated[
    int, typer.Option("--show", min=0, help="Print what is said of so many nodes of each kind, and encode nothing.")
]


def command(
    samples: ShowOption = 0,
    settings: SetOption = None,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Encode the text of every product with a transformer.

    Example: shopgraph encode --show 5
    """
    place = workspace_at(workspace)
    with place.writing():
        progress = console.progress()
        snapshot = current_snapshot(place, store, progress)
        chosen = load_settings(place, settings)
        if samples:
            _show_texts(place, snapshot, chosen, samples, json_output)
            return
        vectors = encode_text(place, snapshot, chosen, progress)
    if json_output:
        console.emit_json(vectors.head.to_dict() | {"reused": vectors.reused})
        return
    show(vectors)


def _show_texts(place: Workspace, snapshot: Snapshot, settings: Settings, count: int, json_output: bool) -> None:
    from encoders.product_text import sample_texts

    rows = sample_texts(snapshot, count, settings.encode.text, place.events)
    if json_output:
        console.emit_json([dict(zip(("label", "id", "text"), row, strict=True)) for row in rows])
        return
    console.out.print(console.table("", ("label", "id", "text"), rows))


def show(vectors: NodeVectors) -> None:
    """One line about the vectors, and the warning if there is one."""
    head = vectors.head
    done = "all from the last time" if vectors.reused else f"{head.encoded:,} encoded now"
    how = f"{head.model}, {head.digest.rpartition('-')[2]}"
    console.say(f"{head.products:,} products, {head.texts:,} distinct texts ({done}), {head.dim} numbers each: {how}")
    if head.tuned:
        until = head.tuned["split"].get("until")
        console.say("the encoder was tuned on the graph" + (f", on events before {until}" if until else ""))
    if head.images:
        _show_images(head.images)
    if head.note:
        console.say(f"note: {head.note}")


def _show_images(said: dict[str, Any]) -> None:
    from encoders.images import SET_ASIDE

    have, every = said["products"], said["products"] + said["without"]
    console.say(f"{have:,} of {every:,} products have a picture, {said['width']} numbers each: {said['file']}")
    if said["set_aside"]:
        counts = ", ".join(f"{name} {count:,}" for name, count in said["set_aside"].items())
        many = sum(said["set_aside"].values())
        console.say(f"{many:,} of its {said['rows']:,} rows are set aside ({counts}): see embeddings/{SET_ASIDE}")
