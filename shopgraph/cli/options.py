"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shopgraph.workspace import DEFAULT, Workspace

verbose = False
"""Whether errors show their traceback; set by --verbose."""


def _set_verbose(value: bool) -> bool:
    global verbose  # noqa: PLW0603 - one flag of the process, read by main() when an error arrives
    verbose = verbose or value
    return value


WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", help="Folder that holds tables, graph, models and reports.", show_default=True)
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="SHOPGRAPH_STORE",
        help="neo4j://HOST:PORT, bolt://HOST:PORT or a path; default: what the workspace was built with.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of shopgraph.toml, as in train.epochs=20."),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", callback=_set_verbose, help="Show the traceback of an error.")
]
DEFAULT_WORKSPACE = DEFAULT


def workspace_at(path: Path) -> Workspace:
    """The workspace of an existing build.

    Raises:
        AppError: there is none.
    """
    workspace = Workspace(path)
    workspace.require()
    return workspace
