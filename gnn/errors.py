"""Errors of the model room."""

from __future__ import annotations

from ingest.errors import ShopgraphError


class GnnError(ShopgraphError):
    """A setting, split, model bundle, user or product that cannot be used as asked."""
