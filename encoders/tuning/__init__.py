"""Tunes a text encoder on pairs of texts that a graph says belong together."""
