"""The leak check: whoever prefers the canaries has seen what it must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from gnn.config import GnnConfig
from gnn.evaluation.canaries import Planted, plant
from gnn.measure.ranking import blocks
from gnn.model.align import make_split, parts_at
from gnn.model.bundle import Bundle
from gnn.model.training import train
from gnn.protocol.recommender import Recommender
from gnn.protocol.tasks import NEW, NEXT
from ingest.progress import Progress
from kg.snapshot import Snapshot

CERTAIN = 1e-4
"""Chance below which a preference for the canaries counts as a leak; divided by the number of tests made."""


@dataclass(frozen=True)
class Verdict:
    """What a recommender made of the canaries.

    Attributes:
        model: its name.
        task: which of its two scorers was asked.
        canaries: users asked.
        preferred: those for whom the canary scored above its equally popular decoy, in whole numbers.
        tied: those for whom both scored the same.
        chance: probability that as many prefer the canary if nobody has seen it (one-sided sign test).
        leaks: whether that is too small to be chance.
    """

    model: str
    task: str
    canaries: int
    preferred: int
    tied: int
    chance: float
    leaks: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def leak_check(
    snapshot: Snapshot,
    vectors: NDArray[np.float32] | None,
    config: GnnConfig,
    models: Sequence[str],
    folder: Path,
    progress: Progress,
    *,
    most: int = 200,
    seed: int = 0,
) -> list[Verdict]:
    """Train each of `models` on the graph with canaries, by the way that `train` goes, and ask it about them.

    Args:
        snapshot: the graph, which stays as it is.
        vectors: text vectors of its products, or None.
        config: the settings.
        models: names of the catalogue, `fused` or `auto`.
        folder: where the bundles go.
        progress: where work reports.
        most: users who get a canary.
        seed: of the draw.

    Raises:
        GnnError: canaries cannot be planted, or a model cannot be trained.
    """
    planted = plant(snapshot, replace(config, eval=replace(config.eval, baselines=())), most, seed)
    verdicts: list[Verdict] = []
    for name in models:
        train(planted.snapshot, vectors, planted.config, folder / name, progress, model=name)
        bundle = Bundle.load(folder / name)
        split = make_split(planted.snapshot, planted.config)
        parts = parts_at(bundle, planted.snapshot, vectors, split, "test")
        reference = np.flatnonzero(bundle.history.buyers > 0)
        for task in (NEW, NEXT):
            scorer = bundle.fused(parts, reference, task)
            verdicts.append(judge(planted, scorer, name, task, CERTAIN / (2 * len(models))))
    return verdicts


def judge(planted: Planted, scorer: Recommender, model: str, task: str, level: float = CERTAIN) -> Verdict:
    """Ask a recommender about every canary and its decoy.

    Args:
        planted: the canaries.
        scorer: fitted on the planted graph's history.
        model: its name.
        task: which task it scores.
        level: chance below which it leaks.
    """
    items = np.unique(np.concatenate([planted.canaries, planted.decoys]))
    above = tied = 0
    for at in blocks(len(planted.users), len(items), 4_000_000):
        scores = scorer.scores(planted.users[at], items)
        rows = np.arange(scores.shape[0])
        canary = scores[rows, np.searchsorted(items, planted.canaries[at])]
        decoy = scores[rows, np.searchsorted(items, planted.decoys[at])]
        above, tied = above + int((canary > decoy).sum()), tied + int((canary == decoy).sum())
    told = len(planted.users) - tied
    chance = float(binomtest(above, told, 0.5, "greater").pvalue) if told else 1.0
    return Verdict(model, task, len(planted.users), above, tied, chance, chance < level)
