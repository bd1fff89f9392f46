"""Opens the Neo4j driver and turns its errors into one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import neo4j
from neo4j.exceptions import AuthError, ConfigurationError, DriverError, Forbidden, Neo4jError, ServiceUnavailable

from kg.errors import GraphError
from kg.neo4j_store.credentials import Credentials
from kg.neo4j_store.rights import missing_right
from kg.neo4j_store.tls import tls_fault

NEO4J_ERRORS = (Neo4jError, DriverError, OSError)
"""What the driver raises when the server or the way to it fails."""

_CONNECT_SECONDS = 15.0
_RETRY_SECONDS = 60.0


def open_driver(url: str, credentials: Credentials) -> neo4j.Driver:
    """The driver for `url`, not yet connected.

    Raises:
        GraphError: the URL is malformed.
    """
    auth = None if credentials.password is None else (credentials.username, credentials.password)
    remedy = "write it as neo4j://HOST:7687"
    try:
        if not urlsplit(url).hostname or urlsplit(url).port == 0:  # reading the port checks it
            raise GraphError("unsupported Neo4j URL", url, remedy)
        return neo4j.GraphDatabase.driver(
            url,
            auth=auth,
            connection_timeout=_CONNECT_SECONDS,
            max_transaction_retry_time=_RETRY_SECONDS,
            notifications_min_severity="OFF",
            warn_notification_severity="OFF",
            telemetry_disabled=True,
            user_agent="shopgraph",
        )
    except (ConfigurationError, ValueError) as error:
        raise GraphError(f"unsupported Neo4j URL: {_line(error)}", url, remedy) from error


@contextmanager
def connect(url: str, credentials: Credentials) -> Iterator[neo4j.Driver]:
    """A driver whose login and database were tried; closed in the end.

    Raises:
        GraphError: see `explain`.
    """
    with open_driver(url, credentials) as driver:
        check_login(driver, url, credentials)
        yield driver


def check_login(driver: neo4j.Driver, url: str, credentials: Credentials) -> str:
    """Try the login and the database; returns the server's edition, '' where the account may not know it.

    Raises:
        GraphError: see `explain`.
    """
    try:
        # auto-commit: a managed transaction would try again for a minute
        with driver.session(database=credentials.database, default_access_mode=neo4j.READ_ACCESS) as session:
            try:
                record = session.run("CALL dbms.components() YIELD edition RETURN edition").single()
            except Forbidden:
                record = None
                session.run("RETURN 1").consume()
    except NEO4J_ERRORS as error:
        raise explain(error, url, credentials) from error
    return str(record["edition"]) if record else ""


def server_version(driver: neo4j.Driver) -> str:
    """Version of the server that `driver` is connected to."""
    return str(driver.get_server_info().agent).removeprefix("Neo4j/")


def set_first_password(url: str, password: str) -> None:
    """Replace the password that a new server begins with (neo4j/neo4j, of no use but for this).

    Raises:
        neo4j.exceptions.AuthError: the server has another password already.
    """
    with open_driver(url, Credentials("neo4j", "neo4j", None)) as driver:
        driver.execute_query(
            "ALTER CURRENT USER SET PASSWORD FROM 'neo4j' TO $password", password=password, database_="system"
        )


def explain(error: BaseException, url: str, credentials: Credentials) -> GraphError:
    """The one line for an error of the driver or the server."""
    code = (error.code or "") if isinstance(error, Neo4jError) else ""
    what, remedy = f"Neo4j refused: {_line(error)}", "see the server's log"
    if code.endswith("AuthenticationRateLimit"):
        what, remedy = "too many wrong passwords", "wait some seconds, then set NEO4J_PASSWORD and try again"
    elif isinstance(error, AuthError):
        known = credentials.password is not None
        what = f"wrong password for user {credentials.username!r}" if known else "the server wants a password"
        remedy = "set NEO4J_USERNAME and NEO4J_PASSWORD in the environment"
    elif code.endswith("DatabaseNotFound"):
        what, remedy = f"there is no database {credentials.database!r}", "set NEO4J_DATABASE to one that exists"
    elif code.startswith("Neo.ClientError.Security"):
        refused = f"the account may not do this: {_line(error)}", "ask for the right, or use another account"
        what, remedy = missing_right(_line(error), credentials.username, credentials.database) or refused
    elif isinstance(error, ServiceUnavailable | OSError):
        down = "no Neo4j server answers", "run shopgraph neo4j start, or check address and network"
        what, remedy = tls_fault(url) or down
    elif isinstance(error, ConfigurationError):
        what, remedy = f"unsupported Neo4j URL: {_line(error)}", "write it as neo4j://HOST:7687"
    elif isinstance(error, DriverError):
        what, remedy = f"the connection failed: {_line(error)}", "run the command again"
    return GraphError(what, url, remedy)


@contextmanager
def errors(url: str, credentials: Credentials) -> Iterator[None]:
    """Turn what the driver raises into a `GraphError`."""
    try:
        yield
    except NEO4J_ERRORS as error:
        raise explain(error, url, credentials) from error


def _line(error: BaseException) -> str:
    message = (error.message if isinstance(error, Neo4jError) else None) or str(error)
    return " ".join(message.split())[:500]
