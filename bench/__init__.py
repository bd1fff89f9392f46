"""Reproducible measurements: one command each, a table for people and JSON for machines."""

from __future__ import annotations

import sys
from types import TracebackType

from ingest.errors import ShopgraphError


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What a person can mend ends any of the commands with one line; all else keeps its traceback."""
    if isinstance(error, ShopgraphError):
        print(f"error: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _one_line
