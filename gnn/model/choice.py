"""What is served: one part, the fusion of several, or whatever validation cannot tell from the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.measure.bootstrap import Bootstrap
from gnn.measure.lists import ndcg_per_user
from gnn.model.catalogue import AUTO, FUSED
from gnn.model.fusion import Fused, StandIn
from gnn.model.parts import Workshop, usable
from gnn.model.weights import find_stand_in, make_pools, search_weights
from gnn.protocol.recommender import Fitted
from gnn.protocol.tasks import Task

Weights = dict[str, float]


def served_names(model: str, config: GnnConfig) -> tuple[str, ...]:
    """The parts that `model` is made of or chooses among."""
    if model == FUSED:
        return config.fusion.parts
    return config.auto.models if model == AUTO else (model,)


@dataclass(frozen=True)
class Choice:
    """What is served for a task.

    Attributes:
        weights: per part.
        said: what validation said of each; JSON-able.
        stand_in: what stands for parts that can say nothing.
    """

    weights: Weights
    said: dict[str, Any] = field(default_factory=dict)
    stand_in: StandIn | None = None


def choose_weights(shop: Workshop, parts: dict[str, Fitted], model: str, task: Task, unseen: Task) -> Choice:
    """Weights of the parts for `task`.

    Args:
        shop: settings.
        parts: fitted.
        model: what is served.
        task: its users weigh the parts of a fusion.
        unseen: the same question to users by whom nothing has been chosen yet; `auto` compares on them.

    Raises:
        GnnError: no part says anything about the task.
    """
    k = max(shop.config.eval.k)
    if model not in (FUSED, AUTO):
        return Choice({model: 1.0}, {"ndcg": {model: shop.quality(parts[model], task)}})
    names = usable(parts, served_names(model, shop.config), task)
    if not names:
        raise GnnError(f"no recommender is left for {task.name}", "fusion.parts", "name one that can be fitted")
    chosen = {name: parts[name] for name in names}
    c = shop.config
    pools = make_pools(task, chosen, c.fusion, c.train.seed, c.eval.block)
    stand_in = find_stand_in(pools, chosen, c.fusion.pool)
    weights, value = search_weights(pools.filled(names, stand_in), names, c.fusion, k)
    if model == FUSED:
        alone = {name: pools.ndcg(pools.one(names.index(name)), k) for name in names}
        return Choice(weights, {"ndcg": alone | {FUSED: value}}, stand_in)
    candidates = {name: Choice({name: 1.0}) for name in names}
    counted = [name for name in names if not parts[name].trained]
    if 1 < len(counted) < len(names):
        at = [names.index(name) for name in counted]
        candidates["fused without training"] = Choice(search_weights(pools.only(at), counted, c.fusion, k)[0])
    if len(names) > 1:
        candidates[FUSED] = Choice(weights, stand_in=stand_in)
    return _simplest(candidates, parts, shop, unseen)


def _simplest(candidates: dict[str, Choice], parts: dict[str, Fitted], shop: Workshop, task: Task) -> Choice:
    """The first candidate, in order of `auto.models`, that is within chance of the best for the users of `task`."""
    k, config = max(shop.config.eval.k), shop.config.eval
    fused = partial(Fused, parts, reference=task.candidates, masks_seen=task.masks_seen)
    users = {
        name: ndcg_per_user(task, fused(weights=of.weights, stand_in=of.stand_in, name=name), k, config.block)
        for name, of in candidates.items()
    }
    means = {name: float(values.mean()) for name, values in users.items()}
    best = max(means, key=lambda name: means[name])
    boot = Bootstrap(len(task.users), config)
    tried: dict[str, Any] = {}
    kept = ""
    for name, values in users.items():
        gap = boot.intervals((users[best] - values)[:, None])[0]
        tried[name] = {"ndcg": means[name], "below_best": gap.to_dict()}
        if not kept and gap.low <= 0:
            kept = name
    said = {"ndcg": means, "chosen": kept, "because": _because(kept, best, tried), "tried": tried}
    return replace(candidates[kept], said=said)


def _because(kept: str, best: str, tried: dict[str, Any]) -> str:
    if kept == best:
        return f"{kept} is best on validation (NDCG {tried[kept]['ndcg']:.4f})"
    gap = tried[kept]["below_best"]
    return (
        f"{kept} is the simplest that validation cannot tell from the best: NDCG {tried[kept]['ndcg']:.4f}, "
        f"{best} is {gap['mean']:.4f} [{gap['low']:.4f}, {gap['high']:.4f}] above it"
    )


def needed_names(model: str) -> Sequence[str]:
    """Parts without which `model` cannot be."""
    return () if model in (FUSED, AUTO) else (model,)
