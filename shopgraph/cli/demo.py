"""`shopgraph demo`: the whole way on Complete Journey, each station only as far as something has changed."""

from __future__ import annotations

import time
from typing import Annotated

import numpy as np
import typer

from kg.snapshot import Snapshot
from shopgraph import stations
from shopgraph.cli import console, encode, evaluate, explain, graph_build, recommend, train
from shopgraph.cli.options import DEFAULT_WORKSPACE, JsonOption, StoreOption, VerboseOption, WorkspaceOption
from shopgraph.serving import load_model
from shopgraph.settings import load_settings
from shopgraph.workspace import Workspace

SOURCE = "complete-journey"


def command(
    user: Annotated[
        str | None, typer.Option("--user", help="Household to recommend for; default: one with a middling history.")
    ] = None,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Build, encode, train, evaluate, recommend and explain on 1.47 million real purchases.

    Example: shopgraph demo --store neo4j://localhost:7687
    """
    began = time.monotonic()
    place, progress = Workspace(workspace), console.progress()
    with place.writing():
        # Each store is a store of its own here: without --store the demo is the embedded one, whatever ran before.
        url = store or str(place.embedded_store)
        built = stations.build(place, SOURCE, url, load_settings(place), progress)
        settings = load_settings(place)
        snapshot = stations.current_snapshot(place, url, progress)
        vectors = stations.encode(place, snapshot, settings, progress)
        trained = stations.train(place, snapshot, settings, progress, reuse=True)
        report = stations.evaluate(place, snapshot, settings, progress)
        model = load_model(place, snapshot)
        household = user or middling(snapshot)
        rows = recommend.one_user(model, snapshot, household, 10, "exclude", "all")
    if json_output:
        parts = {"build": graph_build.as_json(built), "training": trained, "evaluation": report}
        console.emit_json(parts | {"recommendations": rows, "seconds": time.monotonic() - began})
        return
    graph_build.show(built, place)
    console.say("")
    encode.show(vectors)
    console.say(train.summary(trained))
    evaluate.show(report)
    console.out.print()
    recommend.show(household, rows)
    if rows:
        from gnn.serving.explain import Explainer

        console.out.print("\nWhy the first one?")
        explain.show(Explainer(model, 3).explain(household, rows[0]["product_id"]))
    _say_next(place, household, rows[0]["product_id"] if rows else None, time.monotonic() - began)


def middling(snapshot: Snapshot) -> str:
    """The user with the median number of purchases (the first of them by id)."""
    users = snapshot.nodes["User"].ids
    bought = np.bincount(snapshot.edges["User", "PURCHASED", "Product"].src, minlength=len(users))
    order = np.argsort(bought, kind="stable")
    return users.id(int(order[len(order) // 2]))


def _say_next(place: Workspace, household: str, product: str | None, seconds: float) -> None:
    where = "" if place.root == DEFAULT_WORKSPACE else f" --workspace {place.root}"
    console.say(f"\nDone in {seconds:.0f} s. Next:")
    if product:
        console.say(f"  shopgraph explain --user {household} --product {product}{where}")
        console.say(f"  shopgraph similar --product {product}{where}")
    console.say(f"  shopgraph query --list{where}")
    console.say(f"  shopgraph recommend --users all --k 20 --out recs.parquet{where}")
    console.say("  shopgraph graph-build ./my-shop --workspace ./my-work     # your own tables: docs/tables.md")
    console.say("(in a fresh shell first: source .venv/bin/activate)")
