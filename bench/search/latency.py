"""How long warm queries take, the query's encoding included and apart."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.search.systems import K, Shop
from encoders.search.config import SearchConfig
from encoders.search.query_vector import query_vector
from encoders.search.searcher import Searcher
from encoders.text_encoder import TextEncoder, Vectors

WARM_UP = 20


def latency(shop: Shop, encoder: TextEncoder, queries: Sequence[str]) -> dict[str, Any]:
    """Milliseconds per query, one after another, no two alike and nothing remembered: wall clock and processor."""
    encoding: list[tuple[float, float]] = []

    def encode(text: str) -> Vectors:
        began = time.perf_counter(), time.process_time()
        vector = query_vector(encoder, text)
        encoding.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        return vector

    searcher = Searcher(shop.catalogue, shop.index, SearchConfig(), encode)
    whole = []
    for query in queries:
        began = time.perf_counter(), time.process_time()
        searcher.search(query, K)
        whole.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    return {
        "products": shop.catalogue.products,
        "texts": len(shop.texts),
        "queries": len(queries) - WARM_UP,
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "whole": _milliseconds(whole),
        "encoding": _milliseconds(encoding),
    }


def _milliseconds(seconds: Sequence[tuple[float, float]]) -> dict[str, float]:
    wall, processor = np.array(seconds[WARM_UP:]).T * 1000
    found = {f"p{share}": float(np.percentile(wall, share)) for share in (50, 95, 99)}
    return found | {f"processor p{share}": float(np.percentile(processor, share)) for share in (50, 95)}
