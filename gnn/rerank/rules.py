"""The shop's rules: what may be sold at a time, what is pinned to a place; and the check of the settings."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnn.config import RerankConfig
from gnn.errors import GnnError
from kg.snapshot import IdMap, Snapshot

RAW = RerankConfig(mmr=0.0, in_stock=False, available=False)
"""The model's own order: only variants still share a place."""
_SHARES = ("mmr", "calibration", "exposure_cap")
_LEAST = {"per_brand": 0, "per_category": 0, "calibration_level": 1, "pool": 1}


def checked(config: RerankConfig) -> RerankConfig:
    """The settings as they are.

    Raises:
        GnnError: a value that makes no sense; it is named.
    """
    for name in _SHARES:
        value = getattr(config, name)
        if not 0.0 <= value <= 1.0:
            raise GnnError(f"{name} is {value}", "[rerank]", "set it between 0 (off) and 1")
    for name, least in _LEAST.items():
        value = getattr(config, name)
        if value < least:
            raise GnnError(f"{name} is {value}", "[rerank]", f"set it to {least} or more")
    places(config)
    return config


def places(config: RerankConfig) -> dict[int, str]:
    """The pinned product of each place, counted from 0.

    Raises:
        GnnError: an entry that is not PLACE:PRODUCT, or a place or product that is named twice.
    """
    found: dict[int, str] = {}
    for entry in config.pinned:
        place, colon, product = entry.partition(":")
        product = product.strip()
        if not colon or not place.strip().isdecimal() or int(place) < 1 or not product:
            raise GnnError(f"{entry!r} pins nothing", "[rerank] pinned", 'write "PLACE:PRODUCT", as in "1:p001"')
        if int(place) - 1 in found:
            raise GnnError(f"place {int(place)} is pinned twice", "[rerank] pinned", "keep one product per place")
        if product in found.values():
            raise GnnError(f"product {product!r} is pinned twice", "[rerank] pinned", "keep one of its places")
        found[int(place) - 1] = product
    return found


def pinned_rows(config: RerankConfig, products: IdMap) -> dict[int, int]:
    """Row of the pinned product of each place, counted from 0.

    Raises:
        GnnError: as `places`, or a product that the graph does not know.
    """
    wanted = places(config)
    rows = products.rows(list(wanted.values()))
    for product, row in zip(wanted.values(), rows, strict=True):
        if row < 0:
            raise GnnError(f"the pinned product {product!r} is unknown", "[rerank] pinned", "correct or remove it")
    return dict(zip(wanted, rows.tolist(), strict=True))


def sellable(snapshot: Snapshot, config: RerankConfig, at: datetime | None = None) -> NDArray[np.bool_]:
    """Products that may be shown at a time, shape (n_items,); what the graph does not tell of a product allows it.

    Args:
        snapshot: the graph; its optional product columns stock, available_from and available_until are read.
        config: which of the rules hold.
        at: the time asked (UTC unless it says otherwise); None: now.
    """
    products = snapshot.nodes["Product"].columns
    known = set(products.column_names)
    out = np.ones(len(snapshot.nodes["Product"]), np.bool_)
    if config.in_stock and "stock" in known:
        out &= _true(pc.greater(products["stock"], 0))
    if config.available:
        when = at or datetime.now(UTC)
        instant = pa.scalar(when if when.tzinfo else when.replace(tzinfo=UTC), pa.timestamp("us", "UTC"))
        if "available_from" in known:
            out &= _true(pc.less_equal(_instants(products["available_from"]), instant))
        if "available_until" in known:
            out &= _true(pc.greater(_instants(products["available_until"]), instant))
    return out


def _instants(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("us", "UTC"))


def _true(answers: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(answers, True).to_numpy(), dtype=np.bool_)
