"""Publishing: lists with reasons, similar products and vectors of the model become the graph's current run.

gnn computes, kg keeps the run in the workspace's archive and writes it into the store.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

import shopgraph
from ingest.config_dict import to_dict
from ingest.progress import Progress
from kg.runs import Run, RunContent, RunFiles, archive_run, current_run, for_graph, forget_runs, list_runs, read_run
from kg.snapshot import Snapshot
from kg.stores import open_store
from shopgraph.errors import AppError
from shopgraph.serving import load_model
from shopgraph.stations import current_snapshot, keep_snapshot, saved_vectors
from shopgraph.workspace import Workspace

if TYPE_CHECKING:
    from gnn.serving.recommend import Recommendations, Repeats

KEPT = 10
"""Runs that the archive keeps beside the current one; older ones go."""


@dataclass(frozen=True)
class PublishOptions:
    """What is published.

    Attributes:
        k: longest list of a user.
        similar: similar products per product; 0: none.
        vectors: whether product vectors go into a store that has a vector index.
        repeats: whether lists may hold what the user had.
        stale: publish although the graph has changed since the training.
    """

    k: int = 20
    similar: int = 10
    vectors: bool = True
    repeats: Repeats = "exclude"
    stale: bool = False


@dataclass(frozen=True)
class Published:
    """What a publish did.

    Attributes:
        run: the run that is current now.
        written: False where it was current before.
        recommended: RECOMMENDED relationships.
        similar: SIMILAR relationships.
        vectors: product vectors of the run.
        left_out: relationships of an older run whose ends the graph has no more.
        store: URL of the store.
    """

    run: Run
    written: bool
    recommended: int
    similar: int
    vectors: int
    left_out: int
    store: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        made = {"run": self.run.id, "created": self.run.created.isoformat(), "model": self.run.model}
        rest = ("written", "recommended", "similar", "vectors", "left_out", "store")
        return made | {name: getattr(self, name) for name in rest}


def publish(workspace: Workspace, store_url: str | None, options: PublishOptions, progress: Progress) -> Published:
    """Compute the run of the workspace's model, or take it from the archive, and make it current.

    Raises:
        AppError: the graph has changed since the training.
        GnnError: no model, or k < 1.
        GraphError: no graph, or a store that fails.
    """
    snapshot = current_snapshot(workspace, store_url, progress)
    model = load_model(workspace, snapshot)
    if model.bundle.fingerprint != snapshot.fingerprint and not options.stale:
        what = "the graph has changed since the model was trained"
        raise AppError(what, str(workspace.serving_model()), "run shopgraph train, or add --stale to publish anyway")
    run = _run(workspace, model, options)
    if any(known.id == run.id for known in list_runs(workspace.runs)):
        files = read_run(workspace.runs, run.id)
    else:
        files = archive_run(workspace.runs, run, _content(workspace, model, options, progress))
    return _write(workspace, store_url, snapshot, files, progress)


def bring_back(workspace: Workspace, store_url: str | None, run_id: str, progress: Progress) -> Published:
    """Make an archived run current again, without what the graph has no more.

    Raises:
        GraphError: no such run, no graph, or a store that fails.
    """
    files = read_run(workspace.runs, run_id)
    snapshot = current_snapshot(workspace, store_url, progress)
    return _write(workspace, store_url, snapshot, files, progress)


def runs(workspace: Workspace, store_url: str | None) -> list[dict[str, Any]]:
    """The archived runs, the newest first, and which of them the store shows."""
    with open_store(workspace.store_url(store_url)) as store:
        current = current_run(store) if store.built() is not None else None
    return [
        {"run": run.id, "created": run.created.isoformat(), "model": run.model, "current": run.id == current,
         "metrics": json.loads(run.metrics), "config": json.loads(run.config), "fingerprint": run.fingerprint}
        for run in list_runs(workspace.runs)
    ]  # fmt: skip


def _write(
    workspace: Workspace, store_url: str | None, snapshot: Snapshot, files: RunFiles, progress: Progress
) -> Published:
    url = workspace.store_url(store_url)
    left = 0
    with open_store(url) as store, tempfile.TemporaryDirectory(prefix=".run-", dir=workspace.runs) as scratch:
        if files.run.fingerprint != snapshot.fingerprint:
            files, left = for_graph(files, snapshot, Path(scratch))
        built = store.built()
        written = store.publish(files, progress)
        keep_snapshot(workspace, store, url, built)
        vectors = files.vectors.rows if files.vectors and store.capabilities.vector_index else 0
    forget_runs(workspace.runs, KEPT, files.run.id)
    recommended, similar = (edge.rows for edge in files.edges)
    return Published(files.run, written, recommended, similar, vectors, left, url)


def _run(workspace: Workspace, model: Recommendations, options: PublishOptions) -> Run:
    """The run's node; its id follows from all that its content depends on."""
    now = datetime.now(UTC)
    products = model.snapshot.nodes["Product"].columns
    dated = any(
        products[name].null_count < len(products)
        for name in ("available_from", "available_until")
        if name in products.column_names
    )
    config = {
        "publish": {"k": options.k, "similar": options.similar, "vectors": options.vectors, "repeats": options.repeats},
        "rerank": to_dict(model.rerank),
        "model": to_dict(model.bundle.config),
    }
    vectors = saved_vectors(workspace, model.snapshot)
    inputs = {
        "model": hashlib.sha256((workspace.serving_model() / "bundle.json").read_bytes()).hexdigest(),
        "snapshot": model.snapshot.fingerprint,
        "vectors": vectors.head.identity if vectors is not None else None,
        "config": config,
        "day": f"{now:%Y-%m-%d}" if dated else None,  # what may be recommended depends on the day
    }
    until = model.history.until
    return Run(
        id=hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16],
        created=now,
        model=model.bundle.model,
        version=shopgraph.__version__,
        config=json.dumps(config, sort_keys=True),
        metrics=json.dumps(_metrics(workspace)),
        cutoff=None if until is None else datetime.fromtimestamp(until / 1e6, UTC),
        fingerprint=model.snapshot.fingerprint,
    )


def _metrics(workspace: Workspace) -> dict[str, dict[str, float]]:
    """Per task the means that evaluation measured of this very model; empty without such an evaluation."""
    path = workspace.reports / "evaluation.json"
    if not path.exists():
        return {}
    report = json.loads(path.read_text())
    if report.get("asked", {}).get("model") != workspace.state().get("model"):
        return {}
    found = {}
    for task, part in report["tasks"].items():
        served = part["recommenders"].get(part.get("reference") or "fused")
        if served:
            found[task] = {name: value["mean"] for name, value in served["metrics"].items() if value}
    return found


def _content(workspace: Workspace, model: Recommendations, options: PublishOptions, progress: Progress) -> RunContent:
    """The run's content; tables come block by block."""
    vectors = _vectors(workspace, model) if options.vectors else None
    recommended = _recommended(model, options, progress)
    similar = _similar(model, options.similar, progress) if options.similar else iter(())
    return RunContent(recommended, similar, model.snapshot.nodes["Product"].ids.ids, vectors)


def _vectors(workspace: Workspace, model: Recommendations) -> NDArray[np.float32] | None:
    """The network's product vectors, else those of the text, else None."""
    if model.product_vectors is not None:
        return model.product_vectors
    text = saved_vectors(workspace, model.snapshot)
    return None if text is None else np.asarray(text.text)


def _recommended(model: Recommendations, options: PublishOptions, progress: Progress) -> Iterator[pa.Table]:
    from gnn.serving.reasons import lists_with_reasons

    users = len(model.snapshot.nodes["User"])
    with progress.station("recommend and give reasons", total=users, unit="users") as station:
        for frame in lists_with_reasons(model, options.k, options.repeats):
            station.advance(frame["user_id"].nunique())
            yield _edges(frame, "user_id", "product_id")


def _similar(model: Recommendations, k: int, progress: Progress) -> Iterator[pa.Table]:
    from gnn.serving.similar import similar_all

    products = len(model.snapshot.nodes["Product"])
    with progress.station("find similar products", total=products, unit="products") as station:
        for frame in similar_all(model, k):
            station.advance(frame["product_id"].nunique())
            yield _edges(frame, "product_id", "similar_id")


def _edges(frame: pd.DataFrame, source: str, target: str) -> pa.Table:
    named = frame.rename(columns={source: "source", target: "target"})
    return pa.Table.from_pandas(named, preserve_index=False)
