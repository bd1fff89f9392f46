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


_RECBOLE = {"epochs": 500, "stopping_step": 20}
"""Small data has few batches in an epoch: the default patience of 10 ends before the first rise."""

PEERS = {
    "recbole-lightgcn": Peer("run_recbole", "recbole", "LightGCN", _RECBOLE),
    "recbole-kgat": Peer("run_recbole", "recbole", "KGAT", _RECBOLE),
    "recbole-sasrec": Peer("run_recbole", "recbole", "SASRec", {"epochs": 500, "stopping_step": 10}),
    "hopwise-pgpr": Peer("run_hopwise", "hopwise", "PGPR"),
    "hopwise-cafe": Peer("run_hopwise", "hopwise", "CAFE"),
    "gds-fastrp": Peer("run_gds", "", "fastRP", needs_server=True),
    "gds-similarity": Peer("run_gds", "", "nodeSimilarity", needs_server=True),
}
