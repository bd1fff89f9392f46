"""Refuses to evaluate a model that knows something of the held-out part."""

from __future__ import annotations

import numpy as np

from gnn.errors import GnnError
from gnn.model.bundle import Bundle
from gnn.protocol.splits import Split, instant
from kg.snapshot import Snapshot

REMEDY = "train again with these cut-offs, or evaluate at those it was trained with"


def refuse_if_reached(bundle: Bundle, split: Split, snapshot: Snapshot) -> None:
    """Compare what the bundle knows with what may be known when `split.stage` is predicted.

    Args:
        bundle: the model.
        split: the parts that evaluation reads.
        snapshot: the graph that they are rows of.

    Raises:
        GnnError: its weights, its history or its message graph reach past the cut-off.
    """
    cutoff = split.cutoffs.get(f"{split.stage}_from")
    weights = bundle.record["reach"]["weights"]
    if bundle.record["refit"] and split.stage == "valid":
        raise GnnError("the model was trained on valid too", "evaluate", "evaluate the one that was not refitted")
    if cutoff is not None:
        _dated(bundle, instant(cutoff, "split"), cutoff, weights)
    known = bundle.history
    users = snapshot.nodes["User"].ids.rows(bundle.ids["User"].ids)[known.users]
    items = snapshot.nodes["Product"].ids.rows(bundle.ids["Product"].ids)[known.items]
    both = (users >= 0) & (items >= 0)
    window = split.window("test")
    keys = users[both] * window.n_items + items[both]
    held = window.has(keys) & ~split.history("test").has(keys)
    if held.any():
        what = f"the model knows {int(held.sum()):,} (user, product) pairs that the held-out part asks for"
        raise GnnError(what, "evaluate", REMEDY)


def _dated(bundle: Bundle, cutoff: int, said: str, weights: str | None) -> None:
    """Nothing that the model learned from or passes messages over may date from the cut-off or later."""
    last = int(bundle.history.last.max(initial=np.iinfo(np.int64).min))
    if bundle.record["split"]["method"] == "time" and bundle.record["split"]["reported"] == "test" and last >= cutoff:
        raise GnnError(f"the model's history reaches past the cut-off {said}", "evaluate", REMEDY)
    if weights is not None and instant(weights, "bundle") > cutoff:
        raise GnnError(f"the model's weights have seen events up to {weights}, past {said}", "evaluate", REMEDY)
    for name, latest in bundle.record["reach"]["relations"].items():
        if instant(latest, "bundle") >= cutoff:
            what = f"the model's message graph holds {name} up to {latest}, past the cut-off {said}"
            raise GnnError(what, "evaluate", REMEDY)
