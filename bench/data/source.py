"""Where the benchmark's raw data lies; nothing of it is in the repository."""

from __future__ import annotations

import os
from pathlib import Path

from ingest.errors import ShopgraphError

ROOT = Path(__file__).parents[2]
VARIABLE = "SHOPGRAPH_BENCH_DATA"


def raw(name: str) -> Path:
    """The folder of the raw data set `name`: in $SHOPGRAPH_BENCH_DATA, else in shared/data beside the project.

    Raises:
        ShopgraphError: it is not there.
    """
    given = os.environ.get(VARIABLE)
    folder = (Path(given) if given else ROOT.parent / "shared" / "data") / name
    if not folder.is_dir():
        raise ShopgraphError("the raw data set is not here", f"shared/data/{name}", f"set {VARIABLE} to its parent")
    return folder
