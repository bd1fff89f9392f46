"""Settings of the recommenders beside the graph network, one class each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Weighting = Literal["binary", "count", "recency"]
"""What a pair weighs: 1, log(1 + events), or log(1 + events halved per half-life of their age)."""


@dataclass(frozen=True)
class SideWeights:
    """What a pair known from another behaviour adds to the input, times log(1 + its events); 0: nothing.

    Attributes:
        click: weight of clicks.
        view: weight of views.
        cart: weight of carts.
        wishlist: weight of wishes.
    """

    click: float = 0.0
    view: float = 0.0
    cart: float = 0.0
    wishlist: float = 0.0


@dataclass(frozen=True)
class RecentPopularityConfig:
    """Popularity in the last days.

    Attributes:
        half_life_days: age at which a purchase counts half.
        half_life_baskets: the same without times: later baskets of the same user after which a purchase counts half.
    """

    half_life_days: float = 14.0
    half_life_baskets: float = 5.0


@dataclass(frozen=True)
class OwnRepeatsConfig:
    """The user's own products again.

    Attributes:
        side: what views, carts, … of a product add to its score.
    """

    side: SideWeights = field(default_factory=lambda: SideWeights(view=0.1, cart=0.5))


@dataclass(frozen=True)
class ItemKnnConfig:
    """Item-based nearest neighbours.

    Attributes:
        shrink: pseudo-buyers that shrink the cosine.
        neighbours: neighbours kept per product.
        weighting: what a pair weighs in the user's history (the cosine counts buyers).
        side: what other behaviours add.
    """

    shrink: float = 10.0
    neighbours: int = 200
    weighting: Weighting = "binary"
    side: SideWeights = field(default_factory=SideWeights)


@dataclass(frozen=True)
class UserKnnConfig:
    """User-based nearest neighbours.

    Attributes:
        shrink: pseudo-products that shrink the cosine.
        neighbours: neighbours kept per user.
        weighting: what a neighbour's pair adds to a score (the cosine counts products).
    """

    shrink: float = 10.0
    neighbours: int = 200
    weighting: Weighting = "binary"


@dataclass(frozen=True)
class EaseConfig:
    """EASE in closed form.

    Attributes:
        penalties: L2 penalties (lambda); of several, validation chooses one.
        weighting: what a pair weighs.
        form: `primal` inverts products x products, `dual` users x users, `auto` the smaller of the two.
        side: what other behaviours add to the input.
    """

    penalties: tuple[float, ...] = (10.0, 100.0, 300.0, 1000.0, 3000.0)
    weighting: Weighting = "binary"
    form: Literal["auto", "primal", "dual"] = "auto"
    side: SideWeights = field(default_factory=SideWeights)


@dataclass(frozen=True)
class AlsConfig:
    """Implicit alternating least squares.

    Attributes:
        factors: width of the vectors.
        regularization: L2 penalty.
        alpha: confidence of a pair is 1 + alpha times its weight.
        iterations: passes over users and products.
        weighting: what a pair weighs.
    """

    factors: int = 64
    regularization: float = 10.0
    alpha: float = 2.0
    iterations: int = 15
    weighting: Weighting = "binary"


@dataclass(frozen=True)
class TransitionConfig:
    """What follows what.

    Attributes:
        reach: how many baskets ahead a product still counts as following; events of one order are one basket.
        decay: factor of the count per further basket between the two, and of the score per later basket of the user.
        together: what two products of one basket add to each other's followers.
        shrink: pseudo-baskets that shrink the share of a rare product's followers.
        neighbours: followers kept per product.
        recent: last baskets of the user whose products' followers are summed.
    """

    reach: int = 3
    decay: float = 0.5
    together: float = 1.0
    shrink: float = 5.0
    neighbours: int = 200
    recent: int = 5


@dataclass(frozen=True)
class LightGcnConfig:
    """LightGCN.

    Attributes:
        dim: width of the vectors.
        layers: propagation layers.
        loss: `softmax` over the batch's products and uniform negatives, or the paper's `bpr`.
        negatives: products drawn evenly per step for the softmax, beside the batch's own.
        epochs: most epochs; one epoch takes every pair once.
        patience: epochs without a better validation NDCG before training stops.
        lr: learning rate of Adam.
        penalty: L2 penalty of the base vectors in a batch; the paper's loss wants far less (1e-4) than the softmax.
        batch: pairs per step.
        steps: most steps per epoch: each propagates over the whole graph, so that beyond it batches grow instead.
    """

    dim: int = 64
    layers: int = 3
    loss: Literal["bpr", "softmax"] = "softmax"
    negatives: int = 1024
    epochs: int = 200
    patience: int = 5
    lr: float = 5e-3
    penalty: float = 3e-2
    batch: int = 2048
    steps: int = 100


@dataclass(frozen=True)
class SasRecConfig:
    """SASRec: causal self-attention over the user's products in order.

    Attributes:
        dim: width of the vectors.
        layers: attention blocks.
        heads: attention heads; they divide the width.
        length: latest events that are read; longer timelines are learned from in stretches of this length.
        dropout: share of elements zeroed in training.
        loss: `full` softmax over all products at every position (beyond `train.full_softmax` products `sampled` takes
            its place), `sampled` softmax, or the paper's `bce`.
        negatives: products drawn evenly per step for `sampled`, beside the batch's own.
        epochs: most epochs; one epoch predicts every event but each user's first once.
        patience: epochs without a better validation NDCG before training stops.
        lr: learning rate of Adam.
        batch: stretches per step.
    """

    dim: int = 64
    layers: int = 2
    heads: int = 2
    length: int = 50
    dropout: float = 0.5
    loss: Literal["full", "sampled", "bce"] = "full"
    negatives: int = 1024
    epochs: int = 100
    patience: int = 5
    lr: float = 1e-3
    batch: int = 128


@dataclass(frozen=True)
class TifuKnnConfig:
    """TIFU-KNN for the next purchase.

    Attributes:
        groups: groups into which a user's baskets are parted.
        within_decay: decay of a basket's weight per basket within its group.
        group_decay: decay of a group's weight per group.
        neighbours: nearest users.
        alpha: weight of the user's own vector beside the neighbours' mean.
    """

    groups: int = 7
    within_decay: float = 0.9
    group_decay: float = 0.7
    neighbours: int = 300
    alpha: float = 0.7


@dataclass(frozen=True)
class UpCfConfig:
    """UP-CF@r: user popularity and user-wise collaborative filtering over recent baskets.

    Attributes:
        recent: latest baskets that count (r).
        asymmetry: exponent share of the user's side in the asymmetric cosine (alpha).
        locality: exponent of the similarity (q).
    """

    recent: int = 25
    asymmetry: float = 0.5
    locality: float = 5.0


@dataclass(frozen=True)
class TextConfig:
    """Text alone.

    Attributes:
        weighting: what a product of the history weighs in the user's text vector.
        width: how many numbers of a product's vector, from the first on, are the text's; 0: all. The commands set it
            where vectors of pictures stand behind those of the text: this model reads text alone.
    """

    weighting: Weighting = "binary"
    width: int = 0


@dataclass(frozen=True)
class PathsConfig:
    """Paths of the graph alone.

    Attributes:
        brand: weight of paths over a shared brand.
        category: weight of paths over a shared category, or one further up the tree.
        related: weight of paths over outside triples.
        variant: weight of paths to a product's variants, which a shopper who has one seldom wants beside it.
        buyers: weight of paths over a shared buyer.
        hub_power: a node with n neighbours passes on 1 / n ** hub_power.
    """

    brand: float = 0.3
    category: float = 0.5
    related: float = 0.5
    variant: float = 0.0
    buyers: float = 1.0
    hub_power: float = 0.7


@dataclass(frozen=True)
class ModelsConfig:
    """Settings of every recommender beside the graph network.

    Attributes:
        memory_gb: most memory that the dense matrix of a fit may take; beyond it a model is refused, in a fusion
            left out with a note.
        recent_popularity: popularity in the last days.
        own_repeats: the user's own products again.
        item_knn: item-based neighbours.
        user_knn: user-based neighbours.
        ease: EASE.
        ease_weighted: EASE over recency-weighted counts.
        als: matrix factorisation.
        transition: what follows what.
        lightgcn: LightGCN.
        sasrec: SASRec.
        tifu_knn: TIFU-KNN.
        up_cf: UP-CF@r.
        text: text alone.
        paths: paths of the graph alone.
    """

    memory_gb: float = 4.0
    recent_popularity: RecentPopularityConfig = field(default_factory=RecentPopularityConfig)
    own_repeats: OwnRepeatsConfig = field(default_factory=OwnRepeatsConfig)
    item_knn: ItemKnnConfig = field(default_factory=ItemKnnConfig)
    user_knn: UserKnnConfig = field(default_factory=UserKnnConfig)
    ease: EaseConfig = field(default_factory=EaseConfig)
    ease_weighted: EaseConfig = field(default_factory=lambda: EaseConfig(weighting="recency"))
    als: AlsConfig = field(default_factory=AlsConfig)
    transition: TransitionConfig = field(default_factory=TransitionConfig)
    lightgcn: LightGcnConfig = field(default_factory=LightGcnConfig)
    sasrec: SasRecConfig = field(default_factory=SasRecConfig)
    tifu_knn: TifuKnnConfig = field(default_factory=TifuKnnConfig)
    up_cf: UpCfConfig = field(default_factory=UpCfConfig)
    text: TextConfig = field(default_factory=TextConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
