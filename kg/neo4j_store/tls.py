"""Why an encrypted connection failed: the driver tells a refused certificate from a server that is down no better."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from kg.neo4j_store.credentials import DEFAULT_PORT

CHECKED = ("neo4j+s", "bolt+s")
"""Schemes that check the server's certificate; the +ssc ones take any."""


def tls_fault(url: str, seconds: float = 5.0) -> tuple[str, str] | None:
    """What is wrong with the TLS of the server at `url`, and what to do; None where TLS is not the fault.

    Args:
        url: of the store; only `CHECKED` schemes are tried.
        seconds: how long the server may take to answer.
    """
    parts = urlsplit(url)
    if parts.scheme not in CHECKED or not parts.hostname:
        return None
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or DEFAULT_PORT), timeout=seconds) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        remedy = (
            "use the name in the certificate, or trust its authority (SSL_CERT_FILE); +ssc instead of +s checks nothing"
        )
        return f"the server's certificate is not trusted: {error.verify_message}", remedy
    except ssl.SSLError:
        return (
            "the server does not speak TLS",
            f"write {parts.scheme.removesuffix('+s')}:// or turn TLS on in the server",
        )
    except OSError:
        return None
