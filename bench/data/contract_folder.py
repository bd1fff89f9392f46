"""A folder of contract tables, written whole or not at all; and ids that tell nothing."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COLD_SHARE = 0.1
COLD_SALT = "shopgraph cold"


def write_tables(out: Path, tables: Mapping[str, pd.DataFrame]) -> Path:
    """Write each table to `out/NAME.parquet`; an older folder is replaced when the new one is whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for name, table in tables.items():
            table.to_parquet(scratch / f"{name}.parquet", index=False)
        if out.exists():
            shutil.rmtree(out)
        scratch.replace(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return out


def opaque(ids: Iterable[str], prefix: str, salt: str) -> dict[str, str]:
    """Each id with another in its stead whose order tells nothing, the same on every machine.

    Some data sets number their products in the order in which their users took them, held-out products among them:
    there a product's number, and with it a tie that is broken by it, says who took it.
    """
    return {i: f"{prefix}{hashlib.sha256(f'{salt}:{i}'.encode()).hexdigest()[:12]}" for i in dict.fromkeys(ids)}


def is_cold(ids: Iterable[str], share: float = COLD_SHARE, salt: str = COLD_SALT) -> NDArray[np.bool_]:
    """Which ids a salted hash draws: `share` of them on average, the same on every machine; shape (n,)."""
    drawn = [int(hashlib.sha256(f"{salt}:{i}".encode()).hexdigest()[:12], 16) / 16**12 for i in ids]
    return np.asarray(drawn) < share
