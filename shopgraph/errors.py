"""Errors of the application."""

from __future__ import annotations

from ingest.errors import ShopgraphError


class AppError(ShopgraphError):
    """A workspace, setting or command argument that cannot be used as asked."""
