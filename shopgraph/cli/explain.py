"""`shopgraph explain`: why a product, as paths of the graph with their contributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
from shopgraph.serving import load_model
from shopgraph.stations import current_snapshot

if TYPE_CHECKING:
    from gnn.serving.explain import Explanation


def command(
    user: Annotated[str, typer.Option("--user", help="Id of the user.")],
    product: Annotated[str, typer.Option("--product", help="Id of the product.")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most paths to show.")] = 10,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Explain a recommendation along paths of the graph.

    A contribution is what the score loses when the product that the path begins with is taken out of the user's
    history.

    Example: shopgraph explain --user 1 --product 995242
    """
    from gnn.serving.explain import Explainer

    place = workspace_at(workspace)
    snapshot = current_snapshot(place, store, console.progress())
    found = Explainer(load_model(place, snapshot), limit).explain(user, product)
    if json_output:
        console.emit_json(found.to_dict())
    else:
        show(found)


def show(found: Explanation) -> None:
    """The explanation for a person."""
    console.out.print(f"{found.product_name} ({found.product_id}) for user {found.user_id}: score {found.score:.3f}")
    console.out.print(f"{found.reason}.\n", markup=False)
    if not found.paths:
        console.say("No product of the user's history raises the score.")
        return
    rows = [(f"{p.contribution:+.4f}", p.kind, p.product_name, p.via_name, f"{p.shared:,}") for p in found.paths]
    columns = ("contribution", "path", "the user's product", "via", "bought both")
    console.out.print(console.table("", columns, rows, right=("contribution", "bought both")))
    console.say("\nA contribution is what the score loses without that product; --json has the node ids.")
