"""Up to where a tuned text encoder has seen events, and the refusal of one that has seen too much."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from gnn.errors import GnnError
from gnn.protocol.splits import Split, instant
from kg.snapshot import Snapshot

REMEDY = "run shopgraph finetune and encode again with this split, or encode with finetune.use=false"


def reach(split: Split, snapshot: Snapshot) -> dict[str, Any]:
    """What an encoder that was tuned on the training part of `split` has seen; JSON-able.

    Returns:
        `method`, `until` (the instant before which all of it happened, None where events have no time) and `known`, a
        digest of the (user, product) pairs by their ids.
    """
    until = split.cutoffs.get("valid_from")
    return {"method": split.method, "until": until, "known": _digest(split, snapshot)}


def refuse_past(tuned: Mapping[str, Any], split: Split, snapshot: Snapshot) -> None:
    """Refuse text vectors whose encoder was tuned on events that `split` keeps for validation or test.

    Safe is an encoder that was tuned on the very pairs of the split's training part, or, where both go by time, on
    events before the split's valid part begins.

    Args:
        tuned: the encoder's `finetune.json`; empty: it was not tuned.
        split: the parts that a model is trained and evaluated by.
        snapshot: the graph.

    Raises:
        GnnError: it was tuned on too much, or nothing tells that it was not.
    """
    while tuned:
        _refuse_one(tuned["split"], split, snapshot)
        tuned = tuned.get("earlier") or {}


def _refuse_one(seen: Mapping[str, Any], split: Split, snapshot: Snapshot) -> None:
    until, begins = seen.get("until"), split.cutoffs.get("valid_from")
    if until is not None and begins is not None:
        if instant(until, "finetune.json") > instant(begins, "split"):
            what = f"the text encoder was tuned on events up to {until}, and this split keeps those from {begins} apart"
            raise GnnError(what, "embeddings", REMEDY)
        return
    if seen.get("known") != _digest(split, snapshot):
        what = f"the text encoder was tuned on the training part of another split ({seen.get('method')})"
        raise GnnError(what, "embeddings", REMEDY)


def _digest(split: Split, snapshot: Snapshot) -> str:
    """SHA-256 of the distinct (user, product) pairs of the training part, by their ids in the order of the rows."""
    pairs = np.unique(split.train.users * split.train.n_items + split.train.items)
    users, items = pairs // split.train.n_items, pairs % split.train.n_items
    digest = hashlib.sha256()
    for label, rows in (("User", users), ("Product", items)):
        ids = snapshot.nodes[label].ids.ids.take(rows)
        digest.update("\0".join(ids.to_pylist()).encode())
        digest.update(b"\1")
    return digest.hexdigest()
