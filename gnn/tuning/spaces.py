"""What a search may change of each recommender, as data: settings with their bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any, Literal

import numpy as np

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.model.catalogue import AUTO, CATALOGUE, FUSED, make
from gnn.network.reading import SEQUENCE, SET, how_to_read
from gnn.protocol.interactions import Interactions
from ingest.config_dict import with_setting
from kg.snapshot import Snapshot

Choices = tuple[str | bool | int, ...]
DIGITS = 3
"""Significant digits of a real number that is tried: what a person would write into the settings."""


@dataclass(frozen=True)
class Setting:
    """One setting that a search may change.

    Attributes:
        key: its dotted name, as in `train.lr`.
        kind: a real number, a whole number, or one of `choices`.
        low: lower bound of a number.
        high: upper bound.
        log: whether the search measures the number by its logarithm.
        choices: what a choice may be.
        needs: what the graph must hold for it to matter: a node label, a relationship type, a side event, `times`
            of the events, or `no times`; or how the network reads users there, `set` or `sequence`.
        settled: the setting holds several numbers of which the fit chooses; name of the fact that tells its choice.
            The search tries single ones.
    """

    key: str
    kind: Literal["real", "whole", "choice"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: Choices = ()
    needs: str = ""
    settled: str = ""

    def value(self, config: GnnConfig) -> Any:
        """What `config` says."""
        return reduce(getattr, self.key.split("."), config)

    def inside(self, value: Any) -> bool:
        """Whether `value` lies within the bounds; of several numbers, all of them."""
        if self.kind == "choice":
            return value in self.choices
        return all(self.low <= v <= self.high for v in (value if isinstance(value, tuple) else (value,)))

    def around(self, value: Any) -> Setting:
        """The setting with bounds that let `value` in, as far as a logarithm can."""
        if self.kind == "choice":
            return self if value in self.choices else replace(self, choices=(*self.choices, value))
        some = [v for v in (value if isinstance(value, tuple) else (value,)) if v > 0 or not self.log]
        return replace(self, low=min(self.low, *some), high=max(self.high, *some)) if some else self

    def point(self, value: Any, facts: Mapping[str, Any]) -> Any:
        """Where a search puts `value`: within the bounds; of several numbers, the one that a fit's `facts` name."""
        if self.kind == "choice":
            return value
        if isinstance(value, tuple):
            value = facts.get(self.settled, value[len(value) // 2] if value else self.low)
        inside = min(max(value, self.low), self.high)
        return round(inside) if self.kind == "whole" else float(inside)

    def tried(self, point: Any) -> Any:
        """The value of the setting for a point of the search: reals to three digits, JSON-able."""
        if self.kind == "real":
            point = float(f"{point:.{DIGITS}g}")
        return [point] if self.settled else point


def real(key: str, low: float, high: float, *, log: bool = False, needs: str = "", settled: str = "") -> Setting:
    """A real number from `low` to `high`."""
    return Setting(key, "real", low, high, log, needs=needs, settled=settled)


def whole(key: str, low: int, high: int, *, log: bool = False, needs: str = "") -> Setting:
    """A whole number from `low` to `high`."""
    return Setting(key, "whole", low, high, log, needs=needs)


def choice(key: str, *choices: str | bool | int, needs: str = "") -> Setting:
    """One of `choices`."""
    return Setting(key, "choice", choices=choices, needs=needs)


def _weighting(model: str) -> Setting:
    return choice(f"models.{model}.weighting", "binary", "count", "recency")


def _side(model: str, high: float) -> tuple[Setting, ...]:
    names = ("click", "view", "cart", "wishlist")
    return tuple(real(f"models.{model}.side.{name}", 0.0, high, needs=name) for name in names)


def _ease(model: str) -> tuple[Setting, ...]:
    return (real(f"models.{model}.penalties", 1.0, 30000.0, log=True, settled="penalty"), *_side(model, 1.0))


SPACES: dict[str, tuple[Setting, ...]] = {
    "recent-popularity": (
        real("models.recent_popularity.half_life_days", 0.5, 365.0, log=True, needs="times"),
        real("models.recent_popularity.half_life_baskets", 0.5, 100.0, log=True, needs="no times"),
    ),
    "own-repeats": _side("own_repeats", 2.0),
    "item-knn": (
        real("models.item_knn.shrink", 0.1, 1000.0, log=True),
        whole("models.item_knn.neighbours", 5, 1000, log=True),
        _weighting("item_knn"),
        *_side("item_knn", 1.0),
    ),
    "user-knn": (
        real("models.user_knn.shrink", 0.1, 1000.0, log=True),
        whole("models.user_knn.neighbours", 5, 1000, log=True),
        _weighting("user_knn"),
    ),
    "ease": (*_ease("ease"), _weighting("ease")),
    "ease-weighted": _ease("ease_weighted"),  # its weighting is what sets it apart
    "als": (
        whole("models.als.factors", 8, 256, log=True),
        real("models.als.regularization", 0.01, 1000.0, log=True),
        real("models.als.alpha", 0.1, 100.0, log=True),
        whole("models.als.iterations", 3, 30),
        _weighting("als"),
    ),
    "transition": (
        whole("models.transition.reach", 1, 20, log=True),
        real("models.transition.decay", 0.1, 1.0),
        real("models.transition.together", 0.0, 2.0),
        real("models.transition.shrink", 0.1, 100.0, log=True),
        whole("models.transition.neighbours", 10, 1000, log=True),
        whole("models.transition.recent", 1, 50, log=True),
    ),
    "lightgcn": (
        real("models.lightgcn.lr", 0.0002, 0.02, log=True),
        whole("models.lightgcn.layers", 1, 4),
        real("models.lightgcn.penalty", 1e-5, 1.0, log=True),
        choice("models.lightgcn.dim", 32, 64, 128),
        choice("models.lightgcn.loss", "bpr", "softmax"),
    ),
    "sasrec": (
        real("models.sasrec.lr", 0.0001, 0.01, log=True),
        real("models.sasrec.dropout", 0.0, 0.8),
        whole("models.sasrec.layers", 1, 3),
        choice("models.sasrec.heads", 1, 2, 4),
        choice("models.sasrec.dim", 32, 64, 128),
        whole("models.sasrec.length", 10, 200, log=True),
        choice("models.sasrec.loss", "full", "sampled", "bce"),
    ),
    "tifu-knn": (
        whole("models.tifu_knn.groups", 1, 20),
        real("models.tifu_knn.within_decay", 0.5, 1.0),
        real("models.tifu_knn.group_decay", 0.3, 1.0),
        whole("models.tifu_knn.neighbours", 10, 1000, log=True),
        real("models.tifu_knn.alpha", 0.0, 1.0),
    ),
    "up-cf": (
        whole("models.up_cf.recent", 1, 100, log=True),
        real("models.up_cf.asymmetry", 0.0, 1.0),
        real("models.up_cf.locality", 1.0, 100.0, log=True),
    ),
    "text": (_weighting("text"),),
    "paths": (  # relative to the buyers' weight, which stays
        real("models.paths.brand", 0.0, 3.0, needs="Brand"),
        real("models.paths.category", 0.0, 3.0, needs="Category"),
        real("models.paths.related", 0.0, 3.0, needs="RELATED"),
        real("models.paths.variant", 0.0, 3.0, needs="VARIANT_OF"),
        real("models.paths.hub_power", 0.0, 1.5),
    ),
    "network": (
        real("train.lr", 0.0005, 0.03, log=True, needs=SET),
        real("train.weight_decay", 1e-6, 0.1, log=True, needs=SET),
        real("train.dropout", 0.0, 0.8, needs=SET),
        real("train.user_dropout", 0.0, 0.8, needs=SET),
        real("train.edge_dropout", 0.0, 0.6, needs=SET),
        real("train.product_dropout", 0.0, 0.4, needs=SET),
        real("train.holdout", 0.1, 0.7, needs=SET),
        whole("model.layers", 1, 4, needs=SET),
        real("model.temperature", 1.0, 20.0, log=True, needs=SET),
        real("model.popularity", 0.0, 2.0, needs=SET),
        real("model.sequence.lr", 0.0003, 0.003, log=True, needs=SEQUENCE),
        real("model.sequence.dropout", 0.1, 0.7, needs=SEQUENCE),
        real("model.sequence.id_dropout", 0.0, 0.5, needs=SEQUENCE),
        whole("model.sequence.layers", 0, 2, needs=SEQUENCE),
        choice("graph.use_text", False, True),
        choice("graph.use_brands", False, True, needs="Brand"),
        choice("graph.use_categories", False, True, needs="Category"),
        choice("graph.use_related", False, True, needs="RELATED"),
    ),
}
"""Model → its settings. What several models share (split, half-life, cut-offs) is not in: it would change the question
or the other models. Seeds, epochs and patience are not either: more of them is not better settings but more luck or
time."""


def space_for(
    model: str, config: GnnConfig, snapshot: Snapshot, history: Interactions, only: Sequence[str] = ()
) -> tuple[Setting, ...]:
    """The settings of `model` that matter on this graph, with bounds that let the current values in.

    Args:
        model: a name of the catalogue.
        config: the current settings.
        snapshot: the graph.
        history: the events that models learn from.
        only: dotted keys to search; empty: all.

    Raises:
        GnnError: a model without settings of its own, an unknown key, or nothing is left to search.
    """
    known = settings_of(model, only)
    timeless = np.array_equal(history.recent, history.counts)  # no event is older than another
    present = {"no times" if timeless else "times"}
    present |= {how_to_read(history, config)}
    present |= {name for name, part in history.side.items() if len(part)}
    present |= {label for label, table in snapshot.nodes.items() if len(table)}
    present |= {kind for (_, kind, _), table in snapshot.edges.items() if len(table)}
    found = tuple(s.around(s.value(config)) for s in known if not s.needs or s.needs in present)
    if not found:
        absent = ", ".join(dict.fromkeys(s.needs for s in known))
        what = f"{model} has nothing to tune on this graph, which holds none of: {absent}"
        raise GnnError(what, "tune", "load such events or relations, or tune another model")
    return found


def settings_of(model: str, only: Sequence[str] = ()) -> tuple[Setting, ...]:
    """The settings of `model`, or those that `only` names.

    Raises:
        GnnError: a model without settings of its own, or an unknown key.
    """
    if model in (FUSED, AUTO):
        remedy = f"tune the parts one by one, as in --model {next(iter(SPACES))}, then run shopgraph train"
        raise GnnError(f"{model} has no settings of its own: train weighs its parts on validation", "--model", remedy)
    if model not in CATALOGUE:
        make(model, GnnConfig(), None)  # says which models there are
    known = SPACES.get(model, ())
    if not known:
        names = ", ".join(name for name in CATALOGUE if name in SPACES)
        raise GnnError(f"{model} has no settings", "--model", f"models that can be tuned are {names}")
    keys = [s.key for s in known]
    for key in only:
        if key not in keys:
            raise GnnError(f"{key!r} is not searched for {model}", "--only", f"its settings are {', '.join(keys)}")
    return tuple(s for s in known if not only or s.key in only)


def applied(config: GnnConfig, settings: Mapping[str, Any]) -> GnnConfig:
    """`config` with dotted keys set to JSON-able values."""
    for key, value in settings.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        config = with_setting(config, key, text, "tune")
    return config


def current(config: GnnConfig, space: Sequence[Setting]) -> dict[str, Any]:
    """What `config` says of the settings of a space; JSON-able."""
    values = {s.key: s.value(config) for s in space}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def combinations(space: Sequence[Setting]) -> float:
    """How many different settings there are; infinite with a real number."""
    sizes = (
        math.inf if s.kind == "real" else len(s.choices) if s.kind == "choice" else s.high - s.low + 1 for s in space
    )
    return math.prod(sizes)


def described(space: Sequence[Setting]) -> list[dict[str, Any]]:
    """The space as JSON-able data."""
    return [asdict(s) | {"choices": list(s.choices)} for s in space]
