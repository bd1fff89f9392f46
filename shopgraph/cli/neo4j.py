"""`shopgraph neo4j start|stop|status`: a Neo4j server on loopback without Docker."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from shopgraph.cli import console
from shopgraph.cli.options import JsonOption, VerboseOption

app = typer.Typer(help="A local Neo4j server on loopback: start, stop, status.", no_args_is_help=True)


@app.command()
def start(
    port: Annotated[int, typer.Option("--port", help="Bolt port on 127.0.0.1.")] = 7687,
    json_output: JsonOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Start a Neo4j server, or find the one that answers already.

    Example: shopgraph neo4j start
    """
    from kg.neo4j_store.server import ServerOptions
    from kg.neo4j_store.server import start as start_server

    info = start_server(console.progress(), ServerOptions(bolt_port=port))
    if json_output:
        console.emit_json(dataclasses.asdict(info))
        return
    console.say(f"Neo4j {info.version} answers at {info.url}" + (f" (process {info.pid})" if info.pid else ""))
    console.say(f"next: shopgraph demo --store {info.url}")


@app.command()
def stop(
    json_output: JsonOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Stop the server that `shopgraph neo4j start` started.

    Example: shopgraph neo4j stop
    """
    from kg.neo4j_store.server import stop as stop_server

    stopped = stop_server()
    if json_output:
        console.emit_json({"stopped": stopped})
    else:
        console.say("stopped" if stopped else "no server of shopgraph's own was running")


@app.command()
def status(
    json_output: JsonOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Say whether the server runs, and where.

    Example: shopgraph neo4j status
    """
    from kg.neo4j_store.server import status as server_status

    info = server_status()
    if json_output:
        console.emit_json(dataclasses.asdict(info) if info else None)
    elif info:
        console.say(f"Neo4j {info.version} runs at {info.url} (process {info.pid}); its home is {info.home}")
    else:
        console.say("no server of shopgraph's own is running; start one with shopgraph neo4j start")
