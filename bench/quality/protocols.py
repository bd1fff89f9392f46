"""The protocols of the scoreboard: which events are asked, by which metrics, and what others have published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.data.complete_journey import TEST_FROM, VALID_FROM
from gnn.config import GnnConfig
from ingest.config_dict import from_dict


@dataclass(frozen=True)
class Published:
    """A figure that is quoted, not measured here.

    Attributes:
        model: what reached it.
        figures: metric -> value.
        remark: where it is from and what differs.
    """

    model: str
    figures: Mapping[str, float]
    remark: str


@dataclass(frozen=True)
class Protocol:
    """A data set with what is asked of it.

    Attributes:
        name: what `--data` takes.
        data: the data set (`datasets.DATA`).
        about: sentences for the page.
        settings: what differs from the default GnnConfig, as nested dictionaries.
        metrics: shown, the first one is compared and sliced.
        slices: slices of the evaluation that are shown.
        lacks: what the data has not: `text`, `order` (of a user's events), `time`, `repeats`, `repeats or views`,
            `relations` (between products and anything).
        only: the models that are worth a row, empty: all.
        published: figures of others.
        tuned_on: the protocol on whose validation settings are searched, empty: this one.
    """

    name: str
    data: str
    about: str
    settings: Mapping[str, Any]
    metrics: tuple[str, ...]
    slices: tuple[str, ...] = ()
    lacks: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    published: tuple[Published, ...] = ()
    tuned_on: str = ""

    @property
    def config(self) -> GnnConfig:
        """`settings` over the default ones."""
        return from_dict(GnnConfig, dict(self.settings), f"protocol {self.name}")


def _column(*, related: bool = False) -> dict[str, Any]:
    """Splits as given, every recommendable product a candidate, lists of ten."""
    settings: dict[str, Any] = {"split": {"method": "column", "min_buyers": 0}, "eval": {"k": [10]}}
    return settings | ({"graph": {"exclude_relations": []}} if related else {})


def _journey(buyers: int) -> dict[str, Any]:
    split = {"method": "time", "valid_from": VALID_FROM, "test_from": TEST_FROM, "min_buyers": buyers}
    return {"split": split, "eval": {"k": [10, 20]}}


_MEMORY = "quoted from memory of the literature; not run here"
_PROTOTYPE = "this project's first prototype, one seed; its script differed in details"
_BEAUTY = (
    "Reviews of beauty products; a user's last one is test, the last but one valid, in the file's order. 71 % of the "
    "users end in two products of ascending id, ties of one day: the slices tell them from the others."
)
_CAFE = (
    "The same reviews in the split of the path-reasoning literature, drawn at random within each user; it has no valid "
    "part, so a seeded tenth of train is set aside."
)
_RELATED = (
    " Here also_bought, also_viewed and bought_together take part, which were collected after most reviews: these "
    "figures hold what they predict, and only compare with others that did the same."
)
_WITH_RELATIONS = frozenset({"item-knn", "ease", "paths", "network", "fused", "auto"}) | {
    "recbole-kgat", "hopwise-pgpr", "hopwise-cafe", "gds-fastrp"
}  # fmt: skip
"""What reads relations, and two baselines that do not."""

_NO_TIME = frozenset({"time", "repeats", "repeats or views"})
PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "lastfm-kg",
            "lastfm-kg",
            "Artists that listeners took, with outside triples of 60 relations; all artists ranked, those of train and "
            "valid masked.",
            _column(),
            ("recall@10", "mrr@10", "ndcg@10"),
            lacks=_NO_TIME | {"text", "order"},
            published=(
                Published("best published", {"recall@10": 0.3053}, _MEMORY),
                Published("second best published", {"recall@10": 0.2976}, _MEMORY),
                Published("graph network of the prototype", {"recall@10": 0.293}, f"{_PROTOTYPE}; second seed .285"),
                Published("the same, fused", {"recall@10": 0.298, "mrr@10": 0.139}, _PROTOTYPE),
            ),
        ),
        Protocol(
            "beauty-loo",
            "beauty",
            _BEAUTY,
            _column(),
            ("ndcg@10", "hit_rate@10", "mrr@10"),
            lacks=_NO_TIME,
            published=(
                Published("SASRec, sampled softmax", {"ndcg@10": 0.053}, _MEMORY),
                Published("frequency-filter transformer", {"ndcg@10": 0.061}, _MEMORY),
                Published("fused, prototype", {"ndcg@10": 0.062, "hit_rate@10": 0.102}, _PROTOTYPE),
            ),
        ),
        Protocol(
            "beauty-loo-related",
            "beauty",
            _BEAUTY + _RELATED,
            _column(related=True),
            ("ndcg@10", "hit_rate@10", "mrr@10"),
            lacks=_NO_TIME,
            only=_WITH_RELATIONS,
            tuned_on="beauty-loo",
        ),
        Protocol(
            "beauty-cafe",
            "beauty-cafe",
            _CAFE,
            _column(),
            ("ndcg@10", "recall@10", "hit_rate@10", "precision@10"),
            lacks=_NO_TIME | {"order"},
        ),
        Protocol(
            "beauty-cafe-related",
            "beauty-cafe",
            _CAFE + _RELATED,
            _column(related=True),
            ("ndcg@10", "recall@10", "hit_rate@10", "precision@10"),
            lacks=_NO_TIME | {"order"},
            only=_WITH_RELATIONS,
            tuned_on="beauty-cafe",
        ),
        Protocol(
            "beauty-cold",
            "beauty-cold",
            "As beauty-loo, but a tenth of the products, drawn by a hash of the id, has lost its events of train and "
            "valid. All products are ranked, and then the cold ones alone. Validation knows no cold product: what it "
            "prefers is preferred for the warm ones.",
            _column(),
            ("recall@10", "ndcg@10", "mrr@10"),
            slices=("cold products", "warm products"),
            lacks=_NO_TIME,
            tuned_on="beauty-loo",
        ),
        Protocol(
            "tmall",
            "tmall",
            "Views, carts and purchases of shoppers; the last purchase is asked. Four in five of the test purchases "
            "stand among the shopper's views: those and the others are told apart. viewed-best-sellers is no model: it "
            "lists what was viewed and not purchased, best sellers first; that order was picked among four with a look "
            "at test.",
            _column(),
            ("hit_rate@10", "ndcg@10", "mrr@10"),
            lacks=frozenset({"time", "repeats", "text", "order", "relations"}),
            published=(Published("MB-CGCN", {"hit_rate@10": 0.1233, "ndcg@10": 0.0677}, _MEMORY),),
        ),
        Protocol(
            "complete-journey",
            "complete-journey",
            f"Purchases of 2,469 households: train before {VALID_FROM}, valid before {TEST_FROM}, then test; the "
            "candidates are the recommendable products with five or more buyers in the history.",
            _journey(5),
            ("ndcg@20", "recall@20", "hit_rate@20"),
            slices=("head products", "tail products", "new purchases", "repeat purchases"),
            published=(
                Published("EASE, new products", {"recall@20": 0.0347, "ndcg@20": 0.0947}, _PROTOTYPE),
                Published("fused, prototype, new products", {"recall@20": 0.0347, "ndcg@20": 0.0935}, _PROTOTYPE),
            ),
        ),
        Protocol(
            "complete-journey-cold",
            "complete-journey-cold",
            "As complete-journey, but a tenth of the products, drawn by a hash with all their variants, has lost its "
            "purchases before test. All recommendable products are ranked, and then the cold ones alone. Validation "
            "knows no cold product: what it prefers is preferred for the warm ones.",
            _journey(0),
            ("recall@20", "ndcg@20", "hit_rate@20"),
            slices=("cold products", "warm products", "new purchases", "repeat purchases"),
            tuned_on="complete-journey",
        ),
    )
}


@dataclass(frozen=True)
class Needs:
    """What a recommender needs of the data.

    Attributes:
        of: names of `Protocol.lacks` without which it does not apply.
        seeded: whether its result depends on the seed.
        trained: whether what valid teaches it needs a training of its own; what is counted is counted again anyway.
    """

    of: frozenset[str] = field(default_factory=frozenset)
    seeded: bool = False
    trained: bool = False


NEEDS: dict[str, Needs] = {
    "recent-popularity": Needs(frozenset({"order"})),
    "own-repeats": Needs(frozenset({"repeats or views"})),
    "ease-weighted": Needs(frozenset({"time"})),
    "als": Needs(seeded=True),
    "transition": Needs(frozenset({"order"})),
    "lightgcn": Needs(seeded=True, trained=True),
    "sasrec": Needs(frozenset({"order"}), seeded=True, trained=True),
    "tifu-knn": Needs(frozenset({"repeats"})),
    "up-cf": Needs(frozenset({"repeats"})),
    "text": Needs(frozenset({"text"})),
    "paths": Needs(frozenset({"relations"})),
    "network": Needs(seeded=True, trained=True),
    "fused": Needs(seeded=True, trained=True),
    "auto": Needs(seeded=True, trained=True),
    "recbole-kgat": Needs(frozenset({"relations"})),
    "recbole-sasrec": Needs(frozenset({"order"})),
    "hopwise-pgpr": Needs(frozenset({"relations"})),
    "hopwise-cafe": Needs(frozenset({"relations"})),
}
"""Recommenders that need something; the others apply to every data set and are the same at every seed. Of peers it says
what the data must have: their seeds are chosen run by run."""

OURS = frozenset({"network", "fused", "auto"})
"""What is compared with the best of all others, the baselines."""


def hindrance(model: str, protocol: Protocol) -> str:
    """Why `model` does not apply to `protocol`; empty where it does."""
    if protocol.only and model not in protocol.only:
        return "as without these relations, which it does not read"
    missing = sorted(NEEDS.get(model, Needs()).of & protocol.lacks)
    return f"not applicable: the data has no {' and no '.join(missing)}" if missing else ""


def seeds_of(model: str, most: int) -> range:
    """The seeds with which `model` is trained."""
    return range(most if NEEDS.get(model, Needs()).seeded else 1)
