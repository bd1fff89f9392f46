"""What re-ranking costs and what it brings: NDCG against diversity, calibration and spread, read on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gnn.config import EvalConfig, RerankConfig
from gnn.errors import GnnError
from gnn.evaluation.as_configured import CONFIGURED, PLAIN, VARIANTS, compared
from gnn.measure.beyond_accuracy import diversity, gini
from gnn.measure.bootstrap import Bootstrap
from gnn.measure.lists import hits_of, masked_scores
from gnn.measure.metrics import at_k
from gnn.measure.ranking import blocks, top_k
from gnn.model.align import make_split, parts_at
from gnn.model.bundle import Bundle
from gnn.model.catalogue import NETWORK
from gnn.model.fusion import Fused
from gnn.network.recommender import NetworkRecommender
from gnn.protocol.recommender import Fitted
from gnn.protocol.tasks import NEW, Task, TaskName, make_task, recommendable
from gnn.rerank.objective import divergence, shares
from gnn.rerank.reranker import Reranker
from gnn.rerank.rules import RAW, checked
from gnn.rerank.traits import Traits
from ingest.progress import Progress
from kg.snapshot import Snapshot

Rule = Literal["mmr", "calibration", "exposure"]
STRENGTHS: dict[Rule, tuple[float, ...]] = {
    "mmr": (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
    "calibration": (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9),
    "exposure": (0.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02),
}
"""What is tried of each rule, from off to strong."""
Key = tuple[Rule, float] | str
"""A kind of list: a rule alone at a strength, or a name."""
SETTING: dict[Rule, str] = {"mmr": "mmr", "calibration": "calibration", "exposure": "exposure_cap"}
"""Field of `RerankConfig` that holds the strength."""


def trade_off(
    folder: Path,
    snapshot: Snapshot,
    product_vectors: NDArray[np.float32] | None,
    config: RerankConfig,
    progress: Progress,
    rules: Sequence[Rule] = ("mmr", "calibration", "exposure"),
    name: TaskName = NEW,
    k: int = 0,
) -> dict[str, Any]:
    """Lists of the validation users under each rule alone, the other rules off. Test is not looked at.

    Args:
        folder: a bundle that was not refitted on valid.
        snapshot: the graph, usually that of training.
        product_vectors: unit text vectors of its products, where the model reads text.
        config: says what similarity, which level of categories and how large a pool the rules take.
        progress: where work reports.
        rules: rules to try.
        name: the task.
        k: list length; 0: the largest cut-off of evaluation.

    Returns:
        JSON-able: `stage` (valid), `task`, `k`, `users`, `candidates`, `similarity`, and `rules`: per rule one entry
        per strength with `strength`, `ndcg`, `change` (relative to strength 0, with its paired interval),
        `diversity` (mean over a list's pairs of 1 - similarity), `divergence` (mean KL in nats between the categories
        of history and list), `coverage` and `gini` (of the candidates over all lists). `together`: what all rules
        cost as `config` has them, as `as_configured.compared` tells it; pins, stock and dates, which are of today, are
        left out.

    Raises:
        GnnError: k < 0, a setting that makes no sense, or valid asks nobody anything.
    """
    if k < 0:
        raise GnnError(f"k is {k}", "--k", "ask for one product or more")
    bundle = Bundle.load(folder)
    split = make_split(snapshot, bundle.config)
    task = make_task(name, split, "valid", recommendable(snapshot), bundle.config.split.min_buyers)
    if not len(task.users):
        raise GnnError(f"no user of the validation part has a {name} answer", "split", "choose another split")
    with progress.station("make the recommenders ready"):
        parts = parts_at(bundle, snapshot, product_vectors, split, "valid")
    traits = _traits(snapshot, checked(config), parts)
    length = k or max(bundle.config.eval.k)
    settings: dict[Key, RerankConfig] = {(rule, s): _alone(config, rule, s) for rule in rules for s in STRENGTHS[rule]}
    settings |= {VARIANTS: RAW, CONFIGURED: config}
    scorer = bundle.fused(parts, task.candidates, task.name)
    found = _lists(task, scorer, traits, settings, length, bundle.config.eval.block, progress)
    out: dict[str, Any] = {
        "stage": "valid",
        "task": task.name,
        "k": length,
        "users": len(task.users),
        "candidates": len(task.candidates),
        "similarity": config.similarity,
        "rules": {},
    }
    together = {name: found[name] for name in (PLAIN, VARIANTS, CONFIGURED)}
    out["together"] = compared(task, together, traits.variant, bundle.config.eval)
    for rule in rules:
        lists = {strength: found[rule, strength] for strength in STRENGTHS[rule]}
        out["rules"][rule] = _points(task, lists, traits, config, bundle.config.eval)
    return out


def _alone(config: RerankConfig, rule: Rule, strength: float) -> RerankConfig:
    """One rule beside variants, on the scales of `config`."""
    scales = replace(RAW, similarity=config.similarity, calibration_level=config.calibration_level, pool=config.pool)
    if rule == "mmr":
        return replace(scales, mmr=strength)
    if rule == "calibration":
        return replace(scales, calibration=strength)
    return replace(scales, exposure_cap=strength)


def _traits(snapshot: Snapshot, config: RerankConfig, parts: dict[str, Fitted]) -> Traits:
    network = parts.get(NETWORK)
    vectors = network.items if isinstance(network, NetworkRecommender) else None
    return replace(Traits.of(snapshot, config.calibration_level), vectors=vectors)


def _lists(
    task: Task,
    scorer: Fused,
    traits: Traits,
    settings: dict[Key, RerankConfig],
    k: int,
    cells: int,
    progress: Progress,
) -> dict[Key, NDArray[np.int64]]:
    """Lists under each setting and in the model's order, shape (users, k); each user is scored once."""
    n = len(task.users)
    makers = {key: Reranker(c, traits, task.candidates, n) for key, c in settings.items()}
    out = {key: np.full((n, k), -1) for key in (PLAIN, *settings)}
    with progress.station("re-rank the validation users", n, "users") as station:
        for at in blocks(n, len(task.candidates), cells):
            scores = masked_scores(task, scorer, at)
            histories = task.history.take(task.users[at])
            out[PLAIN][at] = top_k(scores, k)
            for key, maker in makers.items():
                out[key][at] = maker.lists(scores, histories, k)
            station.advance(at.stop - at.start)
    return out


def _points(
    task: Task, lists: dict[float, NDArray[np.int64]], traits: Traits, config: RerankConfig, measure: EvalConfig
) -> list[dict[str, Any]]:
    """The figures of one rule, strength by strength."""
    relevant = np.diff(task.relevant.indptr)
    ndcg = {s: at_k(hits_of(task, some), relevant, some.shape[1])["ndcg"] for s, some in lists.items()}
    base = ndcg[0.0].mean()
    falls = np.stack([value - ndcg[0.0] for value in ndcg.values()], axis=1) / (base or 1.0)
    intervals = Bootstrap(len(task.users), measure).intervals(falls)
    coarse = traits.coarse[task.candidates]
    present = np.bincount(coarse, minlength=traits.kinds) > 0
    target = shares(task.history.take(task.users), traits.coarse, present)
    out = []
    for (strength, some), change in zip(lists.items(), intervals, strict=True):
        counts = np.bincount(some[some >= 0], minlength=len(task.candidates))
        out.append(
            {
                "strength": strength,
                "ndcg": float(ndcg[strength].mean()),
                "change": change.to_dict(),
                "diversity": _diversity(task.candidates, some, traits, config),
                "divergence": float(divergence(np.where(some >= 0, coarse[some], -1), target).mean()),
                "coverage": float((counts > 0).mean()),
                "gini": gini(counts),
            }
        )
    return out


def _diversity(candidates: NDArray[np.int64], lists: NDArray[np.int64], traits: Traits, config: RerankConfig) -> float:
    """Mean over lists of the mean over their pairs of 1 - similarity."""
    if config.similarity != "vectors" or traits.vectors is None:
        labels = traits.brand if config.similarity == "brand" else traits.category
        return float(diversity(lists, labels[candidates]).mean())
    real = lists >= 0
    vectors = traits.vectors[candidates[np.maximum(lists, 0)]] * real[:, :, None]
    m = real.sum(1)
    pairs = (vectors.sum(1) ** 2).sum(1) - (vectors**2).sum((1, 2))  # each pair twice
    return float(np.where(m > 1, 1 - pairs / np.maximum(m * (m - 1), 1), 0.0).mean())
