"""Warm start: training on a graph that has grown goes on from the model before, with the users who changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.model.bundle import Bundle
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Start
from gnn.protocol.splits import Split, instant
from kg.snapshot import Snapshot

WHERE, REMEDY = "train --warm", "train without --warm"


def starts(folder: Path, snapshot: Snapshot, config: GnnConfig, split: Split) -> Mapping[str, Start]:
    """What the bundle in `folder` has learned by gradient, and whose events it has not all seen, by name.

    Args:
        folder: the bundle of an earlier training.
        snapshot: the graph as it is now.
        config: the settings of the training to come.
        split: how its events are parted.

    Raises:
        GnnError: there is no bundle, it has seen what is held out now, or it is of another shape.
    """
    bundle = Bundle.load(folder)
    before, reach = bundle.record["split"]["method"], bundle.record["reach"]["weights"]
    if before != split.method:
        raise GnnError(f"the model before was trained on a {before} split, not {split.method}", WHERE, REMEDY)
    cutoff = split.cutoffs.get("valid_from")
    if reach is not None and cutoff is not None and instant(reach, "bundle") > instant(cutoff, "split"):
        what = f"the model before has seen events up to {reach}, past the cut-off {cutoff}"
        raise GnnError(what, WHERE, f"{REMEDY}, or choose later cut-offs")
    if bundle.config.model != config.model:
        raise GnnError("the model before has other settings model.*", WHERE, f"{REMEDY}, or set them as they were")
    if reach is not None and cutoff is not None:
        changed = _since(split.history("valid"), instant(reach, "bundle"))
    else:
        changed = _other_counts(bundle, snapshot, split.history("test"))
    return {name: Start(part, bundle.ids, changed) for name, part in bundle.parts.items() if part.trained}


def _since(history: Interactions, moment: int) -> NDArray[np.bool_]:
    """Users with an event at `moment` or later, of whatever behaviour."""
    changed = np.zeros(history.n_users, np.bool_)
    for part in (history, *history.side.values()):
        changed[part.users[part.last >= moment]] = True
    return changed


def _other_counts(bundle: Bundle, snapshot: Snapshot, known: Interactions) -> NDArray[np.bool_]:
    """Users who have another number of events than the bundle knows of."""
    rows = bundle.ids["User"].rows(snapshot.nodes["User"].ids.ids)
    changed = np.zeros(known.n_users, np.bool_)
    names = {*known.side, *bundle.history.side}
    pairs = [(known, bundle.history), *((known.side.get(n), bundle.history.side.get(n)) for n in names)]
    for now, then in pairs:
        here = np.zeros(known.n_users) if now is None else _events(now)
        there = np.zeros(bundle.history.n_users + 1)
        if then is not None:
            there[:-1] = _events(then)
        changed |= here != there[rows]  # row -1, a user who is new, is the zero at the end
    return changed


def _events(part: Interactions) -> NDArray[np.generic]:
    return np.bincount(part.users, weights=part.counts.astype(np.float64), minlength=part.n_users)
