"""`shopgraph similar`: the nearest products in the network's space."""

from __future__ import annotations

from typing import Annotated

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
from shopgraph.products import Cards
from shopgraph.serving import load_model
from shopgraph.stations import current_snapshot


def command(
    product: Annotated[str, typer.Option("--product", help="Id of the product.")],
    k: Annotated[int, typer.Option("--k", min=1, help="How many neighbours.")] = 10,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Show a product's nearest neighbours by the trained model.

    Example: shopgraph similar --product 995242 --k 5
    """
    from gnn.serving.similar import similar

    place = workspace_at(workspace)
    snapshot = current_snapshot(place, store, console.progress())
    found = similar(load_model(place, snapshot), product, k)
    cards = Cards(snapshot)
    if json_output:
        console.emit_json(found.to_dict("records"))
        return
    title = f"Near {cards.of([product])[0].title} ({product})"
    rows = [
        (row.rank, card.title, card.brand, card.category, f"{row.score:.3f}", row.similar_id)
        for row, card in zip(found.itertuples(), cards.of(found["similar_id"].tolist()), strict=True)
    ]
    columns = ("#", "product", "brand", "category", "score", "id")
    console.out.print(console.table(title, columns, rows, right=("#", "score")))
