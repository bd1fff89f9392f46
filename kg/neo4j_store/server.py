"""Starts and stops a Neo4j server of the user's own, on loopback, without Docker.

The server is a separate process under its own licence (GPLv3); Maven brings it, nothing of it is in this package.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neo4j.exceptions import AuthError

from ingest.progress import Progress
from kg.errors import GraphError
from kg.neo4j_store.connection import NEO4J_ERRORS, connect, open_driver, server_version, set_first_password
from kg.neo4j_store.credentials import DEFAULT_PORT, Credentials, find_credentials, make_password, password_file
from kg.neo4j_store.credentials import server_home as default_home
from kg.neo4j_store.import_marker import drop_half_import
from kg.neo4j_store.java import NEO4J_VERSION, find_java, server_jars
from kg.neo4j_store.process import end, has_ended, home_arguments, is_ours

_OPENS = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")
_PROCEDURES = "db.*,dbms.components,dbms.routing.*"  # of plug-ins; the server's own are always there


@dataclass(frozen=True)
class ServerOptions:
    """How the managed server runs.

    Attributes:
        bolt_port: where Cypher is spoken, on 127.0.0.1 only.
        http_port: port of the HTTP interface, None to leave it off.
        heap: Java heap, as Java writes sizes.
        page_cache: memory for the store's pages, as Neo4j writes sizes.
        wait_seconds: how long a start may take.
        procedures: procedures of plug-ins in the home's `plugins` folder that may be called, such as `gds.*`; they run
            unrestricted. '' for none.
    """

    bolt_port: int = DEFAULT_PORT
    http_port: int | None = None
    heap: str = "1g"
    page_cache: str = "512m"
    wait_seconds: float = 180.0
    procedures: str = ""


@dataclass(frozen=True)
class ServerInfo:
    """A running server.

    Attributes:
        url: for --store.
        version: of Neo4j.
        pid: its process, None when it is not ours.
        home: its folder, None when it is not ours.
    """

    url: str
    version: str
    pid: int | None
    home: Path | None


def start(progress: Progress, options: ServerOptions | None = None, home: Path | None = None) -> ServerInfo:
    """A server to work with: one that already answers, else our own.

    Args:
        progress: shows the download and the start.
        options: ports and memory of our own server.
        home: its folder; by default in the user's state folder.

    Raises:
        GraphError: Java or Maven is missing, the port is taken, or the server does not come up (names its log).
    """
    options, home = options or ServerOptions(), (home or default_home()).resolve()
    running = status(home)
    if running is not None and running.pid is not None:  # it may still be starting
        _await(running.pid, running.url, home, options.wait_seconds, fresh=False)
        return running
    url = f"neo4j://localhost:{options.bolt_port}"
    if _is_listening(options.bolt_port):
        return _foreign(url)
    java = find_java()
    jars = server_jars(progress)
    _prepare(home, options)
    drop_half_import(home)
    with progress.station("start neo4j", unit="s") as station:
        fresh = not password_file(home).is_file()
        if fresh:
            make_password(home)
        pid = _launch(java, jars, home, options)
        try:
            # at once, so that a server whose start was killed is found by the next start or stop
            state = {"pid": pid, "url": url, "version": NEO4J_VERSION, **asdict(options)}
            (home / "server.json").write_text(json.dumps(state, indent=1))
            version = _await(pid, url, home, options.wait_seconds, fresh=fresh)
        except BaseException:
            end(pid)
            (home / "server.json").unlink(missing_ok=True)
            raise
        station.note(url)
    return ServerInfo(url, version, pid, home)


def status(home: Path | None = None) -> ServerInfo | None:
    """The managed server, None when it does not run."""
    home = (home or default_home()).resolve()
    try:
        state = json.loads((home / "server.json").read_text())
        info = ServerInfo(state["url"], state["version"], int(state["pid"]), home)
    except (OSError, ValueError, KeyError):
        return None
    return info if info.pid is not None and is_ours(info.pid, home) else None


def managed_options(home: Path) -> dict[str, Any]:
    """What the running managed server was started with; see `ServerOptions`."""
    state: dict[str, Any] = json.loads((home / "server.json").read_text())
    return state


def stop(home: Path | None = None) -> bool:
    """Stop the managed server and wait for its end; False when it does not run. No other process is touched."""
    home = (home or default_home()).resolve()
    running = status(home)
    if running is None or running.pid is None:
        return False
    end(running.pid)
    (home / "server.json").unlink(missing_ok=True)
    return True


def _foreign(url: str) -> ServerInfo:
    """The server that someone else runs at `url`, if the environment's credentials open it."""
    try:
        with connect(url, find_credentials(url)) as driver:
            version = server_version(driver)
    except GraphError as error:
        remedy = "set NEO4J_USERNAME and NEO4J_PASSWORD for the server there, or free the port"
        raise GraphError(f"the port is taken and no login works: {error.what}", url, remedy) from error
    return ServerInfo(url, version, None, None)


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _prepare(home: Path, options: ServerOptions) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("conf", "data", "logs"):
            (home / name).mkdir(exist_ok=True)
        shutil.rmtree(home / "import", ignore_errors=True)
        (home / "import").mkdir()
        (home / "conf" / "neo4j.conf").write_text(_configuration(options))
    except OSError as error:
        remedy = "set SHOPGRAPH_STATE to a folder that you may write to"
        raise GraphError(f"cannot write the server's folder: {error.strerror}", str(home), remedy) from error


def _configuration(options: ServerOptions) -> str:
    http = options.http_port is not None
    settings = {
        "server.default_listen_address": "127.0.0.1",
        "server.default_advertised_address": "localhost",
        "server.bolt.listen_address": f"127.0.0.1:{options.bolt_port}",
        "server.bolt.advertised_address": f"localhost:{options.bolt_port}",
        "server.http.enabled": str(http).lower(),
        **({"server.http.listen_address": f"127.0.0.1:{options.http_port}"} if http else {}),
        "server.https.enabled": "false",
        "server.memory.pagecache.size": options.page_cache,
        "server.directories.import": "import",
        "dbms.security.allow_csv_import_from_file_urls": "false",
        "dbms.security.procedures.allowlist": ",".join(filter(None, (_PROCEDURES, options.procedures))),
        **({"dbms.security.procedures.unrestricted": options.procedures} if options.procedures else {}),
        "dbms.usage_report.enabled": "false",
        "client.allow_telemetry": "false",
        # a load writes gigabytes of log, which checkpoints clear away
        "db.checkpoint.interval.time": "1m",
        "db.tx_log.rotation.retention_policy": "100M size",
        "db.tx_log.rotation.size": "64M",
        "db.tx_log.preallocate": "false",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _launch(java: str, jars: Path, home: Path, options: ServerOptions) -> int:
    command = [
        java,
        f"-Xms{options.heap}",
        f"-Xmx{options.heap}",
        "-XX:+UseParallelGC",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENS),
        "-cp",
        f"{jars}/*{os.pathsep}{home / 'plugins'}/*",
        "org.neo4j.server.CommunityEntryPoint",
        *home_arguments(home),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEO4J_")}
    log = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(_log(home)), log, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # a session of its own: it outlives this process and is not reached by the terminal's interrupt
    return os.posix_spawn(java, command, environment, file_actions=actions, setsid=True)


def _await(pid: int, url: str, home: Path, seconds: float, *, fresh: bool) -> str:
    """Wait until the server answers and return its version; a `fresh` one gets its password."""
    log, deadline = str(_log(home)), time.monotonic() + seconds
    port = int(url.rsplit(":", 1)[1])
    while not _is_listening(port):
        if has_ended(pid):
            lines = _log(home).read_text(errors="replace").strip().splitlines() or ["no message"]
            reason = next((line for line in lines if "ERROR" in line), lines[-1])
            raise GraphError(f"Neo4j ended while starting: {reason[:300]}", log, "read the log, then start again")
        if time.monotonic() > deadline:
            raise GraphError(f"Neo4j did not answer within {seconds:g} s", log, "read the log, then start again")
        time.sleep(0.2)
    while True:
        try:
            return _log_in(url, home, fresh=fresh)
        except NEO4J_ERRORS as error:
            if has_ended(pid) or time.monotonic() > deadline:
                raise GraphError("Neo4j started, but the login fails", log, "remove the server's folder") from error
            time.sleep(0.5)


def _log_in(url: str, home: Path, *, fresh: bool) -> str:
    """The version of the server; one that still has the first password gets the generated one.

    The generated password is on disk before the server has it, so that a kill between the two is mended here.
    """
    password = password_file(home).read_text()
    if not fresh:
        try:
            return _version(url, password)
        except AuthError:
            pass
    try:
        set_first_password(url, password)
    except AuthError:
        if not fresh:
            raise
    return _version(url, password)


def _version(url: str, password: str) -> str:
    with open_driver(url, Credentials("neo4j", password, None)) as driver, driver.session() as session:
        session.run("RETURN 1").consume()
        return server_version(driver)


def _log(home: Path) -> Path:
    return home / "logs" / "console.log"
