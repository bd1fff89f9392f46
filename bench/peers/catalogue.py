"""The peers by name: environment, driver, model and the settings that differ from the peer's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Peer:
    """How one peer is run.

    Attributes:
        driver: file in `drivers/`, without `.py`.
        environment: requirement file, without `.txt`; empty: the driver runs in ours.
        model: the name by which the peer knows its model.
        settings: what differs from the peer's own defaults.
        needs_server: whether the peer is a plug-in of a Neo4j server, which is started for it.
    """

    driver: str
    environment: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs_server: bool = False


_GRAPH = {"epochs": 500, "learning_rate": 0.005, "eval_step": 3, "stopping_step": 10}
"""RecBole's own rate of .001 needs hundreds of epochs on small data: they have few batches each."""
_SEQUENCE = {"epochs": 200, "stopping_step": 10, "MAX_ITEM_LIST_LENGTH": 20}
"""50 places take three times as long; on short histories such as Beauty's (9 on average) 20 lose little."""

PEERS = {
    "recbole-lightgcn": Peer("run_recbole", "recbole", "LightGCN", _GRAPH),
    "recbole-kgat": Peer("run_recbole", "recbole", "KGAT", _GRAPH),
    "recbole-sasrec": Peer("run_recbole", "recbole", "SASRec", _SEQUENCE),
    "hopwise-pgpr": Peer("run_hopwise", "hopwise", "PGPR"),
    "hopwise-cafe": Peer("run_hopwise", "hopwise", "CAFE"),
    "gds-fastrp": Peer("run_gds", "", "fastRP", needs_server=True),
    "gds-similarity": Peer("run_gds", "", "nodeSimilarity", needs_server=True),
}
