"""Errors of the graph room."""

from __future__ import annotations

from ingest.errors import ShopgraphError


class GraphError(ShopgraphError):
    """A store, graph, query or snapshot that cannot be used as asked."""
