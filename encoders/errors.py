"""Errors of the text room."""

from __future__ import annotations

from ingest.errors import ShopgraphError


class EncoderError(ShopgraphError):
    """A language model or a file of vectors that cannot be used as asked."""
