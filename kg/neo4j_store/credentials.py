"""Who logs in where: credentials of the environment, and the generated password of the managed server."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_PORT = 7687
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Credentials:
    """What a login needs.

    Attributes:
        username: of the account.
        password: None when nothing names one: then the login is tried without.
        database: None for the account's home database.
        generated: whether it is the managed server's own password.
    """

    username: str
    password: str | None
    database: str | None
    generated: bool = False


def state_folder() -> Path:
    """Where the managed server keeps its state: SHOPGRAPH_STATE, else shopgraph/ under XDG_STATE_HOME."""
    chosen = os.environ.get("SHOPGRAPH_STATE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "shopgraph"


def server_home() -> Path:
    """Home folder of the managed server."""
    return state_folder() / "neo4j"


def password_file(home: Path) -> Path:
    """File of the generated password, readable by its owner alone."""
    return home / "password"


def make_password(home: Path) -> str:
    """Generate a password and keep it under `home` with mode 0600."""
    password = secrets.token_urlsafe(24)
    path = password_file(home)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(password)
    return password


def find_credentials(url: str) -> Credentials:
    """Credentials for `url`: the environment's, else for the managed server's loopback URL its own password."""
    username = os.environ.get("NEO4J_USERNAME") or "neo4j"
    database = os.environ.get("NEO4J_DATABASE") or None
    password = os.environ.get("NEO4J_PASSWORD")
    if password:
        return Credentials(username, password, database)
    home = server_home()
    if managed_port(home) == loopback_port(url) is not None:
        return Credentials("neo4j", password_file(home).read_text(), database, generated=True)
    return Credentials(username, None, database)


def managed_port(home: Path) -> int | None:
    """Bolt port of the managed server, None when none was started there."""
    try:
        return int(json.loads((home / "server.json").read_text())["bolt_port"])
    except (OSError, ValueError, KeyError):
        return None


def loopback_port(url: str) -> int | None:
    """Port of a URL of this machine, None for any other."""
    try:
        parts = urlsplit(url)
        return (parts.port or DEFAULT_PORT) if parts.hostname in _LOOPBACK else None
    except ValueError:
        return None
