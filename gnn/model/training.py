"""Trains everything: snapshot and text vectors in, model bundle out."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.measure.lists import quality
from gnn.model.bundle import Bundle, resolved
from gnn.model.fusion import make_pools, search_weights
from gnn.model.parts import NETWORK, Penalties, choose_penalties, fit_counting, fused_names
from gnn.network.device import choose_device, choose_precision, cpu_threads
from gnn.network.fit import FitState, NetworkTrainer
from gnn.network.graph_network import GraphNetwork, TextFeatures, Views
from gnn.network.message_graph import MessageGraph, build_message_graph
from gnn.network.scores import NetworkScores
from gnn.protocol.events import Interactions, read_events
from gnn.protocol.recommender import Fitted
from gnn.protocol.splits import Split, describe, split_events
from gnn.protocol.tasks import NEXT, Task, make_tasks, recommendable
from ingest.config_dict import to_dict
from ingest.progress import Progress
from kg.snapshot import Snapshot


@dataclass(frozen=True)
class Given:
    """What training starts from.

    Attributes:
        snapshot: the graph.
        text: text features of the products, None without.
        config: the settings.
        split: the events in three parts.
        tasks: what validation asks.
        progress: where work reports.
    """

    snapshot: Snapshot
    text: TextFeatures | None
    config: GnnConfig
    split: Split
    tasks: list[Task]
    progress: Progress


def train(
    snapshot: Snapshot,
    product_vectors: NDArray[np.float32] | None,
    config: GnnConfig,
    folder: Path,
    progress: Progress,
    *,
    resume: bool = False,
    refit: bool = False,
) -> dict[str, Any]:
    """Train on `snapshot` and write the bundle to `folder`.

    Network and settings see train alone, and validation chooses epochs, penalties and fusion weights. Then the
    counting recommenders and the message graph take in valid; the network's weights stay. No test event is read.

    Args:
        snapshot: the graph.
        product_vectors: unit text vectors in the row order of the products, (n_products, width), or None.
        config: the settings.
        folder: where the bundle goes; an older one is replaced when the new one is whole.
        progress: where work reports.
        resume: go on from the checkpoint that an interrupted run of the same settings and graph left.
        refit: train the network's weights again on train and valid for the epochs found; the bundle goes to the
            folder `live` beside `folder`.

    Returns:
        What was measured; JSON-able.

    Raises:
        GnnError: settings or graph cannot be used.
    """
    began = time.monotonic()
    with cpu_threads(config.train.threads) as threads:
        given = _prepare(snapshot, product_vectors, config, progress)
        notes: list[str] = []
        counting, penalties = _fit_counting(given, notes)
        history = given.split.history("valid")
        checkpoint = _checkpoint(folder, given, resume)
        trainer = _trainer(given, history)
        state = _fit_network(trainer, given, history, checkpoint)
        parts: dict[str, Fitted] = {NETWORK: NetworkScores.of(trainer.views(), history), **counting}
        fusion, reached = _choose_fusion(given, parts)
        record = {
            **_facts(given, state, trainer, threads),
            "validation": {**reached, **_alone(given, parts)},
            "fusion": fusion,
            "notes": notes,
        }
        known = given.split.history("test")
        weights = {k: v.detach().cpu() for k, v in trainer.network.state_dict().items()}
        bundle = _bundle(given, known, weights, penalties, fusion, {**record, "refit": False})
        bundle.save(folder)
        shutil.rmtree(checkpoint.parent, ignore_errors=True)
        if refit:
            weights = _train_again(given, known, state.best_epoch)
            live = _bundle(given, known, weights, penalties, fusion, {**record, "refit": True}, bundle)
            live.save(folder.with_name("live"))
    return {**record, "refit": refit, "seconds": round(time.monotonic() - began, 1)}


def _prepare(snapshot: Snapshot, vectors: NDArray[np.float32] | None, config: GnnConfig, progress: Progress) -> Given:
    with progress.station("part the events") as station:
        events = read_events(snapshot, config.graph.target_events, config.split.split_column)
        split = split_events(events, config.split, config.train.seed, config.baselines.half_life_days)
        tasks = make_tasks(split, "valid", recommendable(snapshot), config.split.min_buyers)
        if not len(tasks[0].users):
            raise GnnError("no user can be validated", "split", "widen valid, or lower split.min_buyers")
        station.note(f"{len(split.train):,} train, {len(split.valid):,} valid, {len(split.test):,} test events")
    n_items = len(snapshot.nodes["Product"])
    if vectors is not None and len(vectors) != n_items:
        what = f"{len(vectors)} text vectors for {n_items} products"
        raise GnnError(what, "embeddings", "run shopgraph encode again")
    fixed = replace(config, split=resolved(config.split, split.method, split.cutoffs))
    return Given(snapshot, None if vectors is None else TextFeatures.of(vectors), fixed, split, tasks, progress)


def _fit_counting(given: Given, notes: list[str]) -> tuple[dict[str, Fitted], Penalties]:
    c = given.config
    with given.progress.station("fit the counting recommenders") as station:
        penalties, said = choose_penalties(given.tasks[0], c.baselines, max(c.eval.k), c.eval.block)
        notes += said
        station.note("; ".join(said) or f"EASE penalty {penalties.ease:g}")
        return fit_counting(given.split.history("valid"), c.baselines, penalties), penalties


def _trainer(given: Given, history: Interactions) -> NetworkTrainer:
    graph = build_message_graph(given.snapshot, history, given.config.graph)
    network = make_network(graph, history, given.text, given.config)
    return NetworkTrainer(network, graph, history, given.text, given.config.train)


def make_network(
    graph: MessageGraph, history: Interactions, text: TextFeatures | None, config: GnnConfig
) -> GraphNetwork:
    """A network with seeded weights; products without events start without an id vector."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        others = graph.n_nodes - graph.n_users - graph.n_items
        width = text.distinct.shape[1] if text is not None else 0
        network = GraphNetwork(graph.n_items, others, len(graph.relations), width, config.model)
    with torch.no_grad():
        network.item_ids[torch.from_numpy(history.buyers == 0)] = 0.0
    return network


def _fit_network(trainer: NetworkTrainer, given: Given, history: Interactions, checkpoint: Path) -> FitState:
    c, task = given.config, given.tasks[0]

    def validate(views: Views) -> float:
        return quality(task, NetworkScores.of(views, history), max(c.eval.k), c.eval.block)

    return trainer.fit(validate, given.progress, checkpoint)


def _train_again(given: Given, history: Interactions, epochs: int) -> dict[str, torch.Tensor]:
    """Weights after `epochs` epochs on `history`."""
    trainer = _trainer(given, history)
    with given.progress.station("train again on train and valid", epochs, "epochs") as station:
        for _ in range(epochs):
            station.note(f"loss {trainer.run_epoch():.4f}")
            trainer.state.epoch += 1
            station.advance()
    return {k: v.detach().cpu() for k, v in trainer.network.state_dict().items()}


def _choose_fusion(given: Given, parts: dict[str, Fitted]) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    c = given.config
    fusion: dict[str, dict[str, float]] = {}
    reached: dict[str, Any] = {}
    with given.progress.station("choose the fusion's weights", len(given.tasks), "tasks") as station:
        for task in given.tasks:
            names = fused_names(list(parts), repeats=task.name == NEXT)
            chosen = {name: parts[name] for name in names}
            pools = make_pools(task, chosen, c.fusion, c.train.seed, c.eval.block)
            fusion[task.name], value = search_weights(pools, names, c.fusion, max(c.eval.k))
            reached[task.name] = {"fused": value}
            station.advance()
            weighed = ", ".join(f"{name} {weight:g}" for name, weight in fusion[task.name].items() if weight)
            station.note(f"{task.name}: {weighed}; validation NDCG {value:.4f}")
    return fusion, reached


def _alone(given: Given, parts: dict[str, Fitted]) -> dict[str, Any]:
    """Validation NDCG of the network alone."""
    c = given.config
    return {"network": quality(given.tasks[0], parts[NETWORK], max(c.eval.k), c.eval.block)}


def _facts(given: Given, state: FitState, trainer: NetworkTrainer, threads: int) -> dict[str, Any]:
    return {
        "fingerprint": given.snapshot.fingerprint,
        "split": describe(given.split),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "losses": state.losses,
        "validation_ndcg": state.validation,
        "device": str(trainer.device),
        "precision": str(choose_precision(given.config.train, choose_device(given.config.train))).split(".")[-1],
        "threads": threads,
    }


def _bundle(
    given: Given,
    history: Interactions,
    weights: dict[str, torch.Tensor],
    penalties: Penalties,
    fusion: dict[str, dict[str, float]],
    record: dict[str, Any],
    like: Bundle | None = None,
) -> Bundle:
    """The bundle of network `weights` over the graph of `history`; counting parts are taken from `like` if given."""
    with given.progress.station("take in valid"):
        graph = build_message_graph(given.snapshot, history, given.config.graph)
        network = make_network(graph, history, given.text, given.config)
        network.load_state_dict(weights)
        views = network.eval().whole(graph, given.text)
        counting = like.parts if like is not None else fit_counting(history, given.config.baselines, penalties)
        parts = {**counting, NETWORK: NetworkScores.of(views, history)}
        ids = {label: given.snapshot.nodes[label].ids for label in graph.offsets}
        width = given.text.distinct.shape[1] if given.text is not None else 0
    return Bundle(
        given.config,
        given.snapshot.fingerprint,
        ids,
        graph.names,
        width,
        weights,
        history,
        parts,
        fusion,
        penalties,
        record,
    )


def _checkpoint(folder: Path, given: Given, resume: bool) -> Path:
    """File for checkpoints of this very run: settings and graph are in its name."""
    said = json.dumps([to_dict(given.config), given.snapshot.fingerprint, given.text is not None], sort_keys=True)
    scratch = folder.parent / f".{folder.name}-checkpoint"
    file = scratch / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.pt"
    if scratch.exists() and not (resume and file.exists()):
        if resume:
            what = "the checkpoint is of other settings or another graph"
            raise GnnError(what, str(scratch), "train without --resume, or with the settings of the stopped run")
        shutil.rmtree(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    return file
