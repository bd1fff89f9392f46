"""Every recommender by name: what it is called, and how one is made for a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.network.recommender import NetworkRecommender
from gnn.protocol.recommender import Fitted, Given
from gnn.recommenders.counting import OwnRepeats, Popularity
from gnn.recommenders.ease import Ease
from gnn.recommenders.itemknn import ItemKNN

Make = Callable[[GnnConfig, Given | None], Fitted]


@dataclass(frozen=True)
class Entry:
    """A recommender of the catalogue.

    Attributes:
        title: its name in reports.
        make: an unfitted one; without a graph it can only be restored.
    """

    title: str
    make: Make


CATALOGUE: dict[str, Entry] = {
    "popularity": Entry("popularity", lambda *_: Popularity()),
    "own-repeats": Entry("own repeats", lambda c, _: OwnRepeats(c.models.own_repeats)),
    "item-knn": Entry("item-kNN", lambda c, _: ItemKNN(c.models.item_knn)),
    "ease": Entry("EASE", lambda c, _: Ease(c.models.ease, c.models.memory_gb)),
    "ease-weighted": Entry(
        "EASE, recency-weighted", lambda c, _: Ease(c.models.ease_weighted, c.models.memory_gb, "ease-weighted")
    ),
    "network": Entry("graph network", NetworkRecommender),
}
NETWORK, FUSED, AUTO = "network", "fused", "auto"
"""The graph network, the late fusion of `fusion.parts`, and the choice among a short list."""


def make(name: str, config: GnnConfig, given: Given | None) -> Fitted:
    """An unfitted recommender.

    Raises:
        GnnError: there is none of that name.
    """
    if name not in CATALOGUE:
        raise GnnError(f"unknown model {name!r}", "--model", f"known are {', '.join((FUSED, AUTO, *CATALOGUE))}")
    return CATALOGUE[name].make(config, given)
