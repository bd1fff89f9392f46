"""Who may not do what, and whose certificate is not trusted, in one line each."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from neo4j.exceptions import Forbidden, Neo4jError

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.neo4j_store.connection import explain
from kg.neo4j_store.credentials import Credentials
from kg.neo4j_store.java import server_jars
from kg.neo4j_store.rights import missing_right
from kg.stores import open_store

WHO = "user 'ann' with roles [PUBLIC, analyst]"
ACCOUNT = Credentials("ann", "secret-word", "shop")
TEMPLATES = [
    ("Schema operation '%s' on database '%s' is not allowed for %s.", ("create_constraint", "shop", WHO),
     "create or drop a constraint", "GRANT CONSTRAINT MANAGEMENT ON DATABASE `shop` TO role"),
    ("Schema operation '%s' on database '%s' is not allowed for %s.", ("create_index", "shop", WHO),
     "create or drop an index", "GRANT INDEX MANAGEMENT ON DATABASE `shop` TO role"),
    ("Schema operation '%s' on database '%s' is denied for %s.", ("drop_index", "shop", WHO),
     "create or drop an index", "REVOKE DENY INDEX MANAGEMENT ON DATABASE `shop` FROM role"),
    ("Show indexes on database '%s' is not allowed for %s.", ("shop", WHO),
     "list the indexes", "GRANT SHOW INDEX ON DATABASE `shop` TO role"),
    ("Show constraints on database '%s' is not allowed for %s.", ("shop", WHO),
     "list the constraints", "GRANT SHOW CONSTRAINT ON DATABASE `shop` TO role"),
    ("Create node with labels '%s' on database '%s' is not allowed for %s.", ("User", "shop", WHO),
     "write to the graph", "GRANT WRITE ON GRAPH `shop` TO role"),
    ("Delete node with labels '%s' on database '%s' is not allowed for %s.", ("A,B", "shop", WHO),
     "write to the graph", "GRANT WRITE ON GRAPH `shop` TO role"),
    ("Create relationship with type '%s' on database '%s' is not allowed for %s.", ("PURCHASED", "shop", WHO),
     "write to the graph", "GRANT WRITE ON GRAPH `shop` TO role"),
    ("Delete relationship with type '%s' on database '%s' is not allowed for %s.", ("PURCHASED", "shop", WHO),
     "write to the graph", "GRANT WRITE ON GRAPH `shop` TO role"),
    ("Set label for label '%s' on database '%s' is not allowed for %s.", ("User", "shop", WHO),
     "write to the graph", "GRANT WRITE ON GRAPH `shop` TO role"),
    ("Remove label for label '%s' on database '%s' is not allowed for %s.", ("User", "shop", WHO),
     "write to the graph", "GRANT WRITE ON GRAPH `shop` TO role"),
    ("Set property for property '%s' on database '%s' is not allowed for %s.", ("title", "shop", WHO),
     "write to the graph", "GRANT WRITE ON GRAPH `shop` TO role"),
    ("Creating new node label on database '%s' is %s for %s. See GRANT CREATE NEW NODE LABEL ON DATABASE `%s`...",
     ("shop", "not allowed", WHO, "shop"), "for the first time", "GRANT NAME MANAGEMENT ON DATABASE `shop` TO role"),
    ("Creating new property name on database '%s' is %s for %s. See GRANT CREATE NEW PROPERTY NAME ON DATABASE `%s`...",
     ("shop", "denied", WHO, "shop"), "for the first time", "REVOKE DENY NAME MANAGEMENT ON DATABASE `shop` FROM role"),
    ("Creating new relationship type on database '%s' is %s for %s. See GRANT CREATE NEW RELATIONSHIP TYPE ON DATABASE "
     "`%s`...", ("shop", "not allowed", WHO, "shop"), "for the first time",
     "GRANT NAME MANAGEMENT ON DATABASE `shop` TO role"),
    ("Executing procedure is not allowed for %s.", (WHO,), "call a procedure",
     "GRANT EXECUTE PROCEDURE * ON DBMS TO role"),
    ("Executing a user defined function is not allowed for %s.", (WHO,), "call a function of a plug-in",
     "GRANT EXECUTE USER DEFINED FUNCTION * ON DBMS TO role"),
    ("Executing a user defined aggregating function is not allowed for %s.", (WHO,), "call a function of a plug-in",
     "GRANT EXECUTE USER DEFINED FUNCTION * ON DBMS TO role"),
    ("ACCESS on database '%s' is not allowed.", ("other",), "open the database",
     "GRANT ACCESS ON DATABASE `other` TO role"),
]  # fmt: skip
"""The server's own texts with what it puts in, what the account tried, and the statement that lets it."""


def forbidden(message: str) -> Neo4jError:
    error = Neo4jError._hydrate_neo4j(code="Neo.ClientError.Security.Forbidden", message=message)
    assert isinstance(error, Forbidden)
    return error


@pytest.mark.parametrize(("template", "parts", "tried", "statement"), TEMPLATES)
def test_a_missing_right_is_named(template: str, parts: tuple[str, ...], tried: str, statement: str) -> None:
    told = explain(forbidden(template % parts), "neo4j+s://db.example", ACCOUNT)
    assert "'ann' may not " in told.what
    assert tried in told.what
    assert statement in told.remedy
    assert "\n" not in str(told)
    assert "secret-word" not in str(told)


def test_another_refusal_keeps_the_servers_words() -> None:
    told = explain(forbidden("Permission denied for\nALTER USER"), "neo4j://db", ACCOUNT)
    assert "may not do this: Permission denied for ALTER USER" in str(told)


def test_names_are_quoted_in_the_statement() -> None:
    found = missing_right("Show indexes on database 'a`b' is not allowed for x", "ann", None)
    assert found is not None
    assert "ON DATABASE `a``b` TO" in found[1]


@pytest.mark.neo4j
def test_the_texts_are_the_servers(neo4j_server: object) -> None:
    """Each text stands in a class of the server's jars, so that an upgrade that words it otherwise is seen."""
    wanted = {template.encode() for template, *_ in TEMPLATES}
    for jar in sorted(server_jars(SilentProgress()).glob("neo4j-*.jar")):
        with zipfile.ZipFile(jar) as opened:
            for name in opened.namelist():
                if name.endswith(".class") and wanted:
                    content = opened.read(name)
                    wanted = {text for text in wanted if text not in content}
    assert not wanted


@contextmanager
def tls_listener(folder: Path) -> Iterator[int]:
    """A loopback port that speaks TLS with a certificate that no authority has signed."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate),
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(context) as port:
        yield port


@contextmanager
def serving(context: ssl.SSLContext | None) -> Iterator[int]:
    """A loopback port that takes connections, reads a little and closes them."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            with suppress(OSError):
                opened = context.wrap_socket(accepted, server_side=True) if context else accepted
                opened.recv(20)
                if not context:
                    opened.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                opened.close()
            accepted.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


@pytest.mark.parametrize("scheme", ["bolt+s", "neo4j+s"])
def test_a_certificate_of_nobody_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "secret-word")
    with tls_listener(tmp_path) as port, pytest.raises(GraphError) as error:
        open_store(f"{scheme}://localhost:{port}")
    assert "certificate is not trusted: self" in error.value.what
    assert "+ssc instead of +s checks nothing" in error.value.remedy
    assert "\n" not in str(error.value)
    assert "secret-word" not in str(error.value)


def test_ssc_takes_any_certificate(tmp_path: Path) -> None:
    """The handshake is done, so what fails is the Bolt that this listener does not speak."""
    with tls_listener(tmp_path) as port, pytest.raises(GraphError) as error:
        open_store(f"bolt+ssc://localhost:{port}")
    assert "certificate" not in str(error.value)


def test_a_server_without_tls_is_told_from_one_that_is_down(unused_port: int) -> None:
    with serving(None) as port, pytest.raises(GraphError, match=r"does not speak TLS.*write bolt://"):
        open_store(f"bolt+s://localhost:{port}")
    with pytest.raises(GraphError, match="no Neo4j server answers"):
        open_store(f"bolt+s://localhost:{unused_port}")
