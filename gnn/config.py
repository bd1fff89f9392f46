"""Settings of splits, message graph, network, training, other recommenders, fusion and evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gnn.errors import GnnError
from gnn.models_config import ModelsConfig
from gnn.network_config import ModelConfig, SequenceConfig, SignalsConfig, refuse_shares
from ingest.contract import derived_names

__all__ = [
    "AutoConfig", "EvalConfig", "FusionConfig", "GnnConfig", "GraphConfig", "ModelConfig", "RerankConfig",
    "SequenceConfig", "SignalsConfig", "SplitConfig", "SplitMethod", "TrainConfig",
]  # fmt: skip

SplitMethod = Literal["auto", "time", "column", "leave-one-out"]


@dataclass(frozen=True)
class SplitConfig:
    """How events are parted into train, valid and test.

    Attributes:
        method: `time` (global cut-offs), `column` (labels of the events), `leave-one-out` (a user's last product is
            test, the last but one valid), or `auto`: time where events have times, else column where they have
            labels, else leave-one-out.
        valid_from: first instant of valid, ISO 8601, UTC unless it says otherwise; None: where the tenth of the time
            span before `test_from` begins.
        test_from: first instant of test; None: where the last tenth of the time span begins.
        split_column: event property that holds train, valid or test.
        min_buyers: buyers in the history that a product needs to be a candidate in evaluation; 0 lets cold ones in.
        valid_share: share of train events set aside when the column knows no valid.
        half_life_days: age at which an event counts half wherever a model weighs by recency.
    """

    method: SplitMethod = "auto"
    valid_from: str | None = None
    test_from: str | None = None
    split_column: str = "split"
    min_buyers: int = 1
    valid_share: float = 0.1
    half_life_days: float = 90.0


@dataclass(frozen=True)
class GraphConfig:
    """What the message graph holds.

    Attributes:
        exclude_relations: values of RELATED.relation left out because they post-date purchases.
        target_events: event names to predict (purchase, review, ...); empty: purchases, else reviews, else all.
        side_events: event names that models may learn from beside the target ones; those that are predicted are not
            taken twice. In the network's message graph each is a relation of its own.
        use_categories: whether category nodes and their tree take part.
        use_brands: whether brand nodes take part.
        use_related: whether outside triples take part.
        use_text: whether the network reads the product vectors where there are any: those of the text, and of pictures
            where these stand beside it.
    """

    exclude_relations: tuple[str, ...] = ("also_bought", "also_viewed", "bought_together")
    target_events: tuple[str, ...] = ()
    side_events: tuple[str, ...] = ("click", "view", "cart", "wishlist")
    use_categories: bool = True
    use_brands: bool = True
    use_related: bool = True
    use_text: bool = True


@dataclass(frozen=True)
class TrainConfig:
    """What is trained, and how the network is.

    Attributes:
        model: what is served: a recommender by name, `fused` (the fusion of `fusion.parts`), or `auto` (the simplest
            of `auto.models` and their fusion that validation cannot tell from the best).
        epochs: most epochs; one epoch takes every user with at least two products once, or predicts every event but
            each user's first once.
        patience: epochs without a better validation NDCG before training stops.
        patience_steps: steps that those epochs have at least: where users are few an epoch is a few steps.
        lr: learning rate of AdamW at its peak (linear warm-up over the first epoch).
        weight_decay: decoupled weight decay of the vectors.
        averaging: decay of the running mean of the weights, which is what is validated and kept; shorter at the
            beginning; 0: the weights of the last step are.
        batch: users per step.
        holdout: share of a user's products that a step predicts from the rest.
        dropout: share of base vector elements zeroed in a step.
        user_dropout: share of users who stand without their vector in a step.
        product_dropout: share of products that stand in a step as new, without id vector and users' messages, so that
            text and neighbourhood learn to speak for them.
        edge_dropout: share of user-item edges left out of a step's messages.
        full_softmax: most products for which the softmax runs over all of them.
        negatives: products drawn for all users of a step where it does not.
        neighbours: most neighbours per relation that a node draws in a step, so that memory follows the batch and not
            the graph; 0: a step sends messages over the whole graph; `auto`: 10 where that would take more than half
            of the machine's memory, else 0.
        threads: CPU threads; 0: a short measurement chooses between one and torch's own number.
        seed: seed of weights, batches, hold-outs and dropout.
        device: `auto` takes CUDA where there is one.
        precision: of the scoring product; `auto`: bf16 on CUDA, else fp32. Messages always run in fp32.
        max_seconds: stops after the epoch in which this time is over; 0: never. A run that it stops is not
            reproducible in its number of epochs.
    """

    model: str = "fused"
    epochs: int = 60
    patience: int = 4
    patience_steps: int = 100
    lr: float = 4e-3
    weight_decay: float = 1e-4
    averaging: float = 0.998
    batch: int = 256
    holdout: float = 0.3
    dropout: float = 0.5
    user_dropout: float = 0.3
    product_dropout: float = 0.1
    edge_dropout: float = 0.2
    full_softmax: int = 8192
    negatives: int = 4096
    neighbours: int | Literal["auto"] = "auto"
    threads: int = 0
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    max_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shares that are none.

        Raises:
            GnnError: names the setting.
        """
        refuse_shares(self, "train", "averaging", "dropout", "user_dropout", "product_dropout", "edge_dropout")


@dataclass(frozen=True)
class FusionConfig:
    """Late fusion, weights from validation.

    Attributes:
        parts: recommenders that are fused; the first keeps weight 1.
        weights: grid of weights that a component beside the network may take.
        rounds: passes of the coordinate search.
        pool: best products per component and user among which the search ranks.
        users: most validation users that the search reads (a seeded draw).
    """

    parts: tuple[str, ...] = (
        "network",
        "own-repeats",
        "item-knn",
        "ease",
        "ease-weighted",
        "transition",
        "paths",
    )
    weights: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
    rounds: int = 2
    pool: int = 100
    users: int = 3000


@dataclass(frozen=True)
class RerankConfig:
    """How `recommend` makes lists of a user's best candidates: beyond accuracy, and within the shop's rules.

    Attributes:
        mmr: maximal marginal relevance: weight of the largest similarity to what the list holds already against
            relevance, 0 (off) to 1.
        similarity: what makes two products similar: `category` (the same deepest category), `brand` (the same
            brand), or `vectors` (cosine of the network's product vectors).
        calibration: weight of the distance (KL divergence) between the categories of the list and those of the
            user's history against relevance, 0 (off) to 1.
        calibration_level: level of the category tree that is calibrated, 1 = the top.
        exposure_cap: largest share of the lists of one run in which a product may stand; 0: any.
        per_brand: most products of one brand in a list; 0: any number.
        per_category: most products of one deepest category in a list; 0: any number.
        own_variants: whether a variant of a product that the user has bought may be listed as new.
        in_stock: leaves out products whose `stock` is known to be zero or less.
        available: leaves out products before their `available_from` and from their `available_until` on.
        pinned: products at given places of every list, as in "1:p001" (PLACE:PRODUCT), where the user may have them.
        pool: best products per user among which the rules choose, at least twice the length of the list.
    """

    mmr: float = 0.05
    similarity: Literal["category", "brand", "vectors"] = "category"
    calibration: float = 0.0
    calibration_level: int = 1
    exposure_cap: float = 0.0
    per_brand: int = 0
    per_category: int = 0
    own_variants: bool = True
    in_stock: bool = True
    available: bool = True
    pinned: tuple[str, ...] = ()
    pool: int = 200


@dataclass(frozen=True)
class AutoConfig:
    """`train --model auto`: the simplest model that validation cannot tell from the best.

    One half of the validation users chooses epochs, penalties and weights, the other half compares the models, so that
    what was chosen by more users' luck gains nothing by it.

    Attributes:
        models: what is tried alone and fused, the simplest first.
    """

    models: tuple[str, ...] = (
        "popularity",
        "own-repeats",
        "item-knn",
        "transition",
        "paths",
        "ease",
        "ease-weighted",
        "network",
    )


@dataclass(frozen=True)
class EvalConfig:
    """What evaluation reports.

    Attributes:
        baselines: recommenders that every bundle holds beside its model, to be reported with it.
        k: cut-offs; selection reads NDCG at the largest.
        bootstrap: rounds of the bootstrap over users.
        confidence: coverage of the intervals.
        seed: seed of the bootstrap.
        block: matrix cells (users x products) scored at a time.
        user_groups: attributes of users (income, ...) between whose values quality is compared; numbers of more than
            ten values are cut into thirds. Labels that the build makes are refused: they know the test period.
    """

    baselines: tuple[str, ...] = ("popularity", "own-repeats", "item-knn", "ease")
    k: tuple[int, ...] = (10, 20)
    bootstrap: int = 1000
    confidence: float = 0.95
    seed: int = 0
    block: int = 16_000_000
    user_groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse groups that are made of all events."""
        for name in self.user_groups:
            if name in derived_names("users"):
                what = f"users cannot be grouped by {name!r}: it is made of all events, those of the test period too"
                raise GnnError(what, "eval.user_groups", "name an attribute of the users table")


@dataclass(frozen=True)
class GnnConfig:
    """All settings of the model room.

    Attributes:
        split: train, valid, test.
        graph: the message graph.
        model: the network.
        train: its training.
        models: recommenders beside the network.
        fusion: late fusion.
        auto: the choice among a short list.
        rerank: from candidates to lists.
        eval: evaluation.
    """

    split: SplitConfig = field(default_factory=SplitConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    models: ModelsConfig = field(default_factory=ModelsConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    auto: AutoConfig = field(default_factory=AutoConfig)
    rerank: RerankConfig = field(default_factory=RerankConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
