"""A run to publish without a model: as many recommendations with reasons and similar products as a real one has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kg.runs import Run, RunContent, RunFiles, archive_run
from kg.stores import GraphFiles

RECOMMENDED = 20
"""Products in the list of a user."""

SIMILAR = 10
"""Products beside a product."""

_CHUNK = 5_000


def made_run(graph: GraphFiles, folder: Path) -> RunFiles:
    """Lists of products drawn at random, with a reason of three nodes each; no vectors."""
    ids = {n.label: pq.read_table(n.path, columns=["id"])["id"].combine_chunks() for n in graph.nodes}
    users, products = ids["User"], ids["Product"]
    draw = np.random.default_rng(0)
    run = Run("made", datetime(2025, 1, 1, tzinfo=UTC), "made", "0", "{}", "{}", None, graph.fingerprint)
    similar = (pa.table(chunk) for chunk in _lists(products, products, SIMILAR, draw))
    content = RunContent(_recommended(users, products, draw), similar, products, None)
    return archive_run(folder, run, content)


def _recommended(users: pa.Array, products: pa.Array, draw: np.random.Generator) -> Iterator[pa.Table]:
    for chunk in _lists(users, products, RECOMMENDED, draw):
        source, target = chunk["source"], chunk["target"]
        own = products.take(pa.array(draw.integers(len(products), size=len(source))))
        nodes = np.stack([np.asarray(ids.to_numpy(zero_copy_only=False)) for ids in (source, own, target)], axis=1)
        offsets = pa.array(np.arange(len(source) + 1, dtype=np.int32) * 3)
        chunk |= {
            "reason_kind": pa.array(["same-category"] * len(source)),
            "reason": pa.array(["like a product that was bought before"] * len(source)),
            "evidence": pa.ListArray.from_arrays(offsets, pa.array(nodes.ravel(), pa.string())),
        }
        yield pa.table(chunk)


def _lists(
    sources: pa.Array, products: pa.Array, length: int, draw: np.random.Generator
) -> Iterator[dict[str, pa.Array]]:
    """Each source with different products: a stretch of the catalogue that begins anywhere."""
    length = min(length, len(products))
    for begin in range(0, len(sources), _CHUNK):
        some = sources[begin : begin + _CHUNK]
        first = draw.integers(len(products), size=(len(some), 1))
        ranks = np.tile(np.arange(1, length + 1), len(some))
        yield {
            "source": some.take(pa.array(np.repeat(np.arange(len(some)), length))),
            "target": products.take(pa.array(((first + np.arange(length) * 7919) % len(products)).ravel())),
            "rank": pa.array(ranks),
            "score": pa.array(1.0 / ranks),
        }
