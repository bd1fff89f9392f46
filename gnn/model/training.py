"""Trains everything: snapshot and text vectors in, model bundle out."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.model.bundle import Bundle, read_head
from gnn.model.catalogue import AUTO, make
from gnn.model.choice import Choice, choose_weights, needed_names, served_names
from gnn.model.parts import Parts, Workshop, fit_parts, open_workshop
from gnn.model.warm import starts
from gnn.network.device import cpu_threads
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Given, Start, Work
from gnn.protocol.relations import latest_relations
from gnn.protocol.splits import Split, describe
from gnn.protocol.tasks import Task
from ingest.config_dict import to_dict
from ingest.progress import Progress
from kg.snapshot import Snapshot


def train(  # noqa: PLR0913 - as many as the command has options
    snapshot: Snapshot,
    product_vectors: NDArray[np.float32] | None,
    config: GnnConfig,
    folder: Path,
    progress: Progress,
    *,
    model: str | None = None,
    resume: bool = False,
    refit: bool = False,
    warm: Path | None = None,
) -> dict[str, Any]:
    """Train on `snapshot` and write the bundle to `folder`.

    All parts and settings see train alone, and validation chooses epochs, penalties and fusion weights. Then every
    part takes in valid: what is counted is counted again, what was trained by gradient keeps its weights. No test
    event is read. For `auto` one half of the validation users chooses all that, and the other half compares the models.

    Args:
        snapshot: the graph.
        product_vectors: unit text vectors in the row order of the products, (n_products, width), or None.
        config: the settings.
        folder: where the bundle goes; an older one is replaced when the new one is whole.
        progress: where work reports.
        model: a name of the catalogue, `fused`, or `auto`; None: `config.train.model`.
        resume: go on from the checkpoint that an interrupted run of the same settings and graph left.
        refit: train again on train and valid for the epochs found; the bundle goes to the folder `live` beside
            `folder`.
        warm: the bundle of an earlier training that the network goes on from, with the users whose events have
            changed since and as many others.

    Returns:
        What was measured; JSON-able.

    Raises:
        GnnError: settings or graph cannot be used.
    """
    began = time.monotonic()
    model = model or config.train.model
    _check(model, config)
    with cpu_threads(config.train.threads) as threads:
        shop, split = open_workshop(Given(snapshot, product_vectors), config, progress)
        begun = starts(warm, snapshot, shop.config, split) if warm is not None else {}
        shop = replace(shop, scratch=_scratch(folder, shop, model, resume, warm), starts=begun)
        shop, unseen = shop.halves() if model == AUTO else (shop, tuple(shop.tasks))
        names = tuple(dict.fromkeys((*config.eval.baselines, *served_names(model, config))))
        parts = fit_parts(shop, names, split.history("valid"), needed_names(model))
        choices = _choose(shop, parts, model, unseen)
        record = {
            "model": model,
            "fingerprint": snapshot.fingerprint,
            "split": describe(split),
            "threads": threads,
            "reach": _reach(shop, split, "valid"),
            "parts": parts.measured,
            "validation": {task: choice.said for task, choice in choices.items()},
            "fusion": {task: choice.weights for task, choice in choices.items()},
            "notes": parts.notes,
        }
        known = split.history("test")
        kept = {n: p for n, p in parts.fitted.items() if n in config.eval.baselines or _weighed(choices, n)}
        with progress.station("take in valid", len(kept), "parts") as station:
            for part in kept.values():
                part.take_in(known)
                station.advance()
        bundle = _bundle(shop, model, known, kept, choices, {**record, "refit": False})
        bundle.save(folder)
        shutil.rmtree(_checkpoints(folder), ignore_errors=True)
        if refit:
            again = {**record, "refit": True, "reach": _reach(shop, split, "test")}
            live = _bundle(shop, model, known, _again(shop, kept, known, split), choices, again)
            live.save(folder.with_name("live"))
    return {**record, "refit": refit, "seconds": round(time.monotonic() - began, 1)}


def _check(model: str, config: GnnConfig) -> None:
    """Every name is of the catalogue before any work is done."""
    for name in (*config.eval.baselines, *served_names(model, config)):
        make(name, config, None)


def _reach(shop: Workshop, split: Split, stage: str) -> dict[str, Any]:
    """Up to when the weights have seen events, and the latest edge of each dated relation that messages may take."""
    latest = latest_relations(shop.given.snapshot, shop.config.graph, split.until("test"))
    iso = {name: datetime.fromtimestamp(at / 1e6, UTC).isoformat() for name, at in latest.items()}
    return {"weights": split.cutoffs.get(f"{stage}_from"), "relations": iso}


def _choose(shop: Workshop, parts: Parts, model: str, unseen: tuple[Task, ...]) -> dict[str, Choice]:
    """What is served per task."""
    choices: dict[str, Choice] = {}
    with shop.progress.station("weigh on validation", len(shop.tasks), "tasks") as station:
        for task, other in zip(shop.tasks, unseen, strict=True):
            choices[task.name] = choose_weights(shop, parts.fitted, model, task, other)
            station.advance()
            station.note(_weighing(task.name, choices[task.name]))
    return choices


def _weighing(task: str, choice: Choice) -> str:
    if "because" in choice.said:
        return f"{task}: {choice.said['because']}"
    weighed = ", ".join(f"{name} {weight:g}" for name, weight in choice.weights.items() if weight)
    return f"{task}: {weighed}; validation NDCG {max(choice.said['ndcg'].values()):.4f}"


def _weighed(choices: dict[str, Choice], name: str) -> bool:
    return any(choice.weights.get(name) for choice in choices.values())


def _again(shop: Workshop, parts: dict[str, Fitted], history: Interactions, split: Split) -> dict[str, Fitted]:
    """The parts with everything that is trained trained again on `history`, for the epochs that validation settled.

    After a warm start, whose epochs were few, it goes on instead with the users who have events in valid.
    """
    ids = {label: table.ids for label, table in shop.given.snapshot.nodes.items()}
    later = np.bincount(split.valid.users, minlength=history.n_users) > 0
    out: dict[str, Fitted] = {}
    for name, part in parts.items():
        out[name] = part
        if part.trained:
            out[name] = make(name, shop.config, shop.given)
            out[name].facts = part.facts
            start = Start(part, ids, later) if name in shop.starts else None
            out[name].fit(history, Work(shop.progress, start=start))
    return out


def _bundle(
    shop: Workshop,
    model: str,
    history: Interactions,
    parts: dict[str, Fitted],
    choices: dict[str, Choice],
    record: dict[str, Any],
) -> Bundle:
    snapshot = shop.given.snapshot
    ids = {label: table.ids for label, table in snapshot.nodes.items()}
    weights = {task: choice.weights for task, choice in choices.items()}
    stand_ins = {task: choice.stand_in for task, choice in choices.items() if choice.stand_in is not None}
    return Bundle(shop.config, snapshot.fingerprint, ids, model, history, parts, weights, record, stand_ins)


def _checkpoints(folder: Path) -> Path:
    return folder.parent / f".{folder.name}-checkpoint"


def _scratch(folder: Path, shop: Workshop, model: str, resume: bool, warm: Path | None) -> Path:
    """Folder for checkpoints of this very run: settings, graph and model are in its name."""
    facts = [to_dict(shop.config), shop.given.snapshot.fingerprint, shop.given.vectors is not None, model]
    facts += [] if warm is None else [read_head(warm)["fingerprint"]]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    root = _checkpoints(folder)
    place = root / digest
    if root.exists() and not (resume and place.exists()):
        if resume:
            what = "the checkpoint is of other settings or another graph"
            raise GnnError(what, str(root), "train without --resume, or with the settings of the stopped run")
        shutil.rmtree(root)
    place.mkdir(parents=True, exist_ok=True)
    return place
