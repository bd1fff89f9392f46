"""`shopgraph doctor`: what this machine has and what to do about the rest."""

from __future__ import annotations

import dataclasses

import typer

from shopgraph.checks import run_all
from shopgraph.cli import console
from shopgraph.cli.options import DEFAULT_WORKSPACE, JsonOption, StoreOption, VerboseOption, WorkspaceOption
from shopgraph.workspace import Workspace


def command(
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Check Python, torch, GPU, Java, store and disk, with the remedy for each.

    Exits with 1 when something that every command needs is not in order.

    Example: shopgraph doctor --store neo4j://localhost:7687
    """
    checks = run_all(Workspace(workspace), store)
    if json_output:
        console.emit_json([dataclasses.asdict(check) for check in checks])
    else:
        rows = [(c.name, c.state, c.found, c.remedy) for c in checks]
        console.out.print(console.table("", ("check", "state", "found", "what to do"), rows))
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(1)
