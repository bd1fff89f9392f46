"""`shopgraph plot`: the neighbourhood of a product or a user as an HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kg.stores import Store, open_store
from shopgraph.cli import console
from shopgraph.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    StoreOption,
    VerboseOption,
    WorkspaceOption,
    workspace_at,
)
from shopgraph.errors import AppError
from shopgraph.picture.net import Net, Reason, product_net, published, user_net
from shopgraph.serving import load_model
from shopgraph.stations import current_snapshot
from shopgraph.workspace import Workspace


def command(
    product: Annotated[str | None, typer.Option("--product", help="Draw what surrounds this product.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Draw this user and what is recommended.")] = None,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="PRODUCT", help="With --user: mark the path to this product.")
    ] = None,
    hops: Annotated[int, typer.Option("--hops", min=1, max=4, help="How far around.")] = 1,
    limit: Annotated[int, typer.Option("--limit", min=1, max=50, help="The most neighbours of each kind.")] = 8,
    out: Annotated[Path | None, typer.Option("--out", help="The HTML file; default plot-ID.html.")] = None,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Draw the neighbourhood of a product or a user into one HTML file, which needs no network to be looked at.

    Example: shopgraph plot --user 1 --out user-1.html
    """
    if (user is None) == (product is None):
        raise typer.BadParameter("name either --user ID or --product ID")
    if explain is not None and user is None:
        raise typer.BadParameter("--explain marks a path of a user: name --user too")
    place = workspace_at(workspace)
    from shopgraph.picture.draw import draw

    with open_store(place.store_url(store)) as opened:
        if opened.built() is None:
            raise AppError("the store holds no finished graph", opened.url, "run shopgraph graph-build SOURCE")
        if product is not None:
            net = product_net(opened, product, hops, limit)
            title, subtitle = f"{net.titles[net.centre]} ({product})", "and what surrounds it in the graph"
        else:
            net, subtitle = _of_user(place, opened, str(user), explain, hops, limit)
            title = f"Shopper {user}"
    target = out or Path(f"plot-{_file_name(str(user or product))}.html")
    draw(net, title, subtitle, target)
    if json_output:
        console.emit_json({"out": str(target), "nodes": len(net.nodes), "relationships": len(net.links)})
    else:
        console.say(f"{len(net.nodes)} nodes, {len(net.links)} relationships in {target}")


def _of_user(place: Workspace, store: Store, user: str, explain: str | None, hops: int, limit: int) -> tuple[Net, str]:
    """The picture of a user, and what it says."""
    reasons = published(store, user, limit)
    if explain is not None and explain not in {reason.product for reason in reasons}:
        reasons.append(_explained(place, store.url, user, explain))
    net = user_net(store, user, hops, limit, reasons, explain)
    if explain is not None:
        said = next(reason.sentence for reason in reasons if reason.product == explain)
        return net, f"Why {net.titles['Product', explain]} ({explain})? {said}"
    if reasons:
        return net, "left: had most often; right: recommended, the best on top; red: why"
    return net, "had most often; nothing is published yet: run shopgraph publish"


def _explained(place: Workspace, url: str, user: str, product: str) -> Reason:
    """Why a product that is not on the list would be recommended, by the model."""
    from gnn.serving.explain import Explainer

    snapshot = current_snapshot(place, url, console.progress())
    found = Explainer(load_model(place, snapshot), 1).explain(user, product)
    return Reason(product, 0, found.reason_kind, found.reason, found.evidence)


def _file_name(text: str) -> str:
    """An id as part of a file's name."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in text)[:60]
