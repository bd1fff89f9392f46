"""Every recommender by name: what it is called, and how one is made for a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.network.recommender import NetworkRecommender
from gnn.protocol.recommender import Fitted, Given
from gnn.recommenders.als import Als
from gnn.recommenders.counting import OwnRepeats, Popularity, RecentPopularity
from gnn.recommenders.ease import Ease
from gnn.recommenders.itemknn import ItemKNN
from gnn.recommenders.lightgcn import LightGCN
from gnn.recommenders.paths import Paths
from gnn.recommenders.sasrec import SasRec
from gnn.recommenders.text import Text
from gnn.recommenders.tifu_knn import TifuKnn
from gnn.recommenders.transition import Transition
from gnn.recommenders.up_cf import UpCf
from gnn.recommenders.userknn import UserKNN

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
    "recent-popularity": Entry("recent popularity", lambda c, _: RecentPopularity(c.models.recent_popularity)),
    "own-repeats": Entry("own repeats", lambda c, _: OwnRepeats(c.models.own_repeats)),
    "item-knn": Entry("item-kNN", lambda c, _: ItemKNN(c.models.item_knn)),
    "user-knn": Entry("user-kNN", lambda c, _: UserKNN(c.models.user_knn)),
    "ease": Entry("EASE", lambda c, _: Ease(c.models.ease, c.models.memory_gb)),
    "ease-weighted": Entry(
        "EASE, recency-weighted", lambda c, _: Ease(c.models.ease_weighted, c.models.memory_gb, "ease-weighted")
    ),
    "als": Entry("ALS", lambda c, _: Als(c.models.als, c.train.seed)),
    "transition": Entry("transitions", lambda c, _: Transition(c.models.transition)),
    "tifu-knn": Entry("TIFU-KNN", lambda c, _: TifuKnn(c.models.tifu_knn)),
    "up-cf": Entry("UP-CF@r", lambda c, _: UpCf(c.models.up_cf)),
    "text": Entry("text alone", lambda c, given: Text(c.models.text, given)),
    "paths": Entry("paths of the graph", lambda c, given: Paths(c.models.paths, c.graph, given)),
    "lightgcn": Entry("LightGCN", lambda c, _: LightGCN(c.models.lightgcn, c.train)),
    "sasrec": Entry("SASRec", lambda c, _: SasRec(c.models.sasrec, c.train)),
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
