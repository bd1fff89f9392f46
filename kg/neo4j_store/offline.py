"""Offline import: a whole graph by `neo4j-admin database import full`, several times as fast as over Bolt.

The server that `shopgraph neo4j` manages is stopped, filled, started and checked. For any other server the files are
written and the command is told; the next load finishes what its import began.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

from ingest.progress import Progress
from kg.errors import GraphError
from kg.neo4j_store.connection import check_login, connect, errors, open_driver
from kg.neo4j_store.credentials import find_credentials, loopback_port, server_home
from kg.neo4j_store.import_marker import Marker, importing, read_marker, remove_marker, write_marker
from kg.neo4j_store.java import find_java, server_jars
from kg.neo4j_store.load import Loading
from kg.neo4j_store.offline_files import ARGUMENTS, write_import_files
from kg.neo4j_store.process import end_importer, importer_arguments
from kg.neo4j_store.server import ServerOptions, managed_options, start, status, stop
from kg.stores import GraphFiles, OfflineImport


def import_offline(url: str, graph: GraphFiles, folder: Path, progress: Progress) -> OfflineImport:
    """Bring `graph` into the database at `url` by the offline importer.

    Args:
        url: of the server.
        graph: the graph files.
        folder: where the importer's files go; removed again after an import that this function did itself.
        progress: shows a station for the files, the import and the start.

    Raises:
        GraphError: the database holds what is none of ours, the importer fails, or the counts differ in the end.
    """
    home = server_home().resolve()
    options = _managed(url, home)
    if options is None:
        return _by_hand(url, graph, folder, progress)
    with importing(home):
        marker = read_marker(home)
        if marker and not marker.half:  # killed before the importer began, or after its end
            start(progress, options, home)
            remove_marker(home)
        if not (marker and marker.half) and not _can_be_replaced(url, graph):
            return OfflineImport(loaded=False, command=None)
        write_import_files(graph, folder, progress)
        end_importer(home)  # of a command that was killed
        write_marker(home, Marker(url, options.__dict__, half=bool(marker and marker.half)))
        stop(home)
        write_marker(home, Marker(url, options.__dict__, half=True))
        _run_importer(home, folder, options, graph, progress)
        write_marker(home, Marker(url, options.__dict__, half=False))
        start(progress, options, home)
        remove_marker(home)
    shutil.rmtree(folder, ignore_errors=True)
    credentials = find_credentials(url)
    with connect(url, credentials) as driver, errors(url, credentials):
        Loading(driver, credentials.database, url).finish_import(graph)
    return OfflineImport(loaded=True, command=None)


def _managed(url: str, home: Path) -> ServerOptions | None:
    """Options of the managed server if `url` is its own, None for any other server."""
    marker = read_marker(home)
    running = status(home)
    known: dict[str, Any] | None = None
    if running is not None and loopback_port(url) == loopback_port(running.url):
        known = managed_options(home)
    elif marker is not None and loopback_port(url) == loopback_port(marker.url):
        known = marker.options
    if known is None:
        return None
    return ServerOptions(**{field.name: known[field.name] for field in fields(ServerOptions) if field.name in known})


def _by_hand(url: str, graph: GraphFiles, folder: Path, progress: Progress) -> OfflineImport:
    try:
        replace = _can_be_replaced(url, graph)
    except _UnreachableError:  # it may be stopped for the import already
        replace = True
    if not replace:
        return OfflineImport(loaded=False, command=None)
    write_import_files(graph, folder, progress)
    database = find_credentials(url).database or "neo4j"
    command = f"cd {shlex.quote(str(folder.resolve()))} && neo4j-admin database import full {database} @{ARGUMENTS}"
    return OfflineImport(loaded=None, command=command)


class _UnreachableError(GraphError):
    """No server answers, or it lets nobody in."""


def _can_be_replaced(url: str, graph: GraphFiles) -> bool:
    """See `Loading.can_be_replaced`.

    Raises:
        _UnreachableError: so that it cannot be known.
    """
    credentials = find_credentials(url)
    with open_driver(url, credentials) as driver:
        try:
            check_login(driver, url, credentials)
        except GraphError as error:
            raise _UnreachableError(error.what, error.where, error.remedy) from error
        with errors(url, credentials):
            return Loading(driver, credentials.database, url).can_be_replaced(graph)


def _run_importer(home: Path, folder: Path, options: ServerOptions, graph: GraphFiles, progress: Progress) -> None:
    log = home / "logs" / "import.log"
    command = [
        find_java(),
        f"-Xmx{options.heap}",
        "-cp",
        f"{server_jars(progress)}/*",
        *importer_arguments(home),
        *("database", "import", "full", "neo4j", f"@{ARGUMENTS}"),
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEO4J_")}
    environment = kept | {"NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf")}
    with progress.station("import", unit="rows") as station, log.open("w") as stream:
        # in the files' folder: the importer takes a comma in a path for the next path
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=folder, env=environment, check=False
        )
        station.note(f"{graph.rows:,} rows")
    if done.returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        reason = next((line for line in lines if "rror" in line or "xception" in line), (lines or ["no reason"])[-1])
        raise GraphError(f"the importer failed: {reason[:300]}", str(log), "read the log, then run the build again")
