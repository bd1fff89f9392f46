"""The users x products matrix that counting recommenders read, as their settings weigh it."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.models_config import SideWeights, Weighting
from gnn.protocol.interactions import Interactions


def pair_weights(histories: Interactions, weighting: Weighting) -> NDArray[np.float32]:
    """What each pair weighs, shape (m,)."""
    if weighting == "binary":
        return np.ones(len(histories), np.float32)
    return np.log1p(histories.counts if weighting == "count" else histories.recent).astype(np.float32)


def input_matrix(histories: Interactions, weighting: Weighting, side: SideWeights) -> sp.csr_matrix:
    """Sparse (histories.n_users, n_items) float32: pair weights plus what other behaviours add."""
    total = histories.matrix(pair_weights(histories, weighting))
    for name, weight in asdict(side).items():
        part = histories.side.get(name)
        if weight and part is not None:
            total = total + part.matrix(np.log1p(part.counts) * np.float32(weight))
    return sp.csr_matrix(total)


def without_each(user: Interactions, pairs: NDArray[np.int64]) -> Interactions:
    """Of one user's m pairs: len(pairs) users, the j-th without the pair `pairs[j]`."""
    copies = user.take(np.zeros(len(pairs), np.int64))
    return copies.where((np.arange(len(user)) != pairs[:, None]).ravel())
