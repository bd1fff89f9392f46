"""The stations of the main job. Each does its work once: what has not changed is reused and said so.

Every arrow between stations is a file or a store: source → tables → graph files → store → snapshot → vectors →
model bundle → reports.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.build import build_tables
from ingest.config_dict import to_dict
from ingest.progress import Progress
from ingest.update import pending
from kg.shape import shape_graph
from kg.snapshot import Snapshot, saved_fingerprint
from kg.snapshot_read import read_snapshot
from kg.stores import Store, import_offline, open_store
from shopgraph.errors import AppError
from shopgraph.finetuning import encoder_in_use
from shopgraph.graph_names import remember_graph
from shopgraph.settings import Settings, provide_settings
from shopgraph.workspace import Workspace, write_whole

if TYPE_CHECKING:
    from encoders.vectors import NodeVectors
    from gnn.config import GnnConfig
    from ingest.quality import QualityReport


@dataclass(frozen=True)
class BuildResult:
    """What `graph-build` did.

    Attributes:
        quality: the account of every input row.
        counts: nodes per label and relationships per type in the store.
        store: the store's URL.
        loaded: False where the store held this very graph already.
        fingerprint: of the snapshot.
        seconds: per step: tables, files, load, snapshot.
        changes: of an update: what was added, changed and removed; empty where all was there already.
        command: of an offline import into a server that is not ours: what has to be run before the graph is there;
            None otherwise.
    """

    quality: QualityReport
    counts: dict[str, int]
    store: str
    loaded: bool
    fingerprint: str
    seconds: dict[str, float]
    changes: dict[str, int] = field(default_factory=dict)
    command: str | None = None


def build(  # noqa: PLR0913 - what graph-build can be told
    workspace: Workspace,
    source: str,
    store_url: str | None,
    settings: Settings,
    progress: Progress,
    *,
    mapping: Path | None = None,
    as_of: datetime | None = None,
    fail_on: bool = False,
    offline: bool = False,
) -> BuildResult:
    """Source → clean tables → graph in the store → snapshot.

    With `fail_on`, data that break a threshold stop the build before tables, store and snapshot are touched.
    With `offline`, the graph goes past the server: see `kg.stores.import_offline`.
    """
    workspace.create()
    url = workspace.store_url(store_url)
    clock = Clock()
    quality = build_tables(
        source,
        workspace.tables,
        workspace.reports,
        mapping=mapping,
        as_of=as_of,
        settings=settings.ingest,
        progress=progress,
        fail_on=fail_on,
    )
    provide_settings(workspace, source)
    clock.lap("tables")
    files = shape_graph(workspace.tables, workspace.graph_files, progress)
    clock.lap("files")
    done = import_offline(url, files, workspace.import_files, progress) if offline else None
    if done and done.loaded is None:
        clock.lap("load")
        return BuildResult(quality, {}, url, False, "", clock.seconds, command=done.command)
    with open_store(url) as store:
        loaded = bool(done.loaded) if done else store.load(files, progress)
        remember_graph(workspace.tables, files.fingerprint)
        shutil.rmtree(pending(workspace.tables), ignore_errors=True)  # an update of the tables before
        shutil.rmtree(workspace.import_files, ignore_errors=True)  # of an import that this load has finished
        clock.lap("load")
        # Remembered only once the graph stands: a failed build leaves the workspace with the store it had.
        workspace.remember(store=workspace.store_name(url), source=source)
        snapshot = _refresh(workspace, store, url, progress)
        clock.lap("snapshot")
        counts = store.counts()
    return BuildResult(quality, counts, url, loaded, snapshot.fingerprint, clock.seconds)


class Clock:
    """Seconds per step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        """The time since the last lap belongs to `step`."""
        now = time.perf_counter()
        self.seconds[step], self._last = round(now - self._last, 3), now


def current_snapshot(workspace: Workspace, store_url: str | None, progress: Progress) -> Snapshot:
    """The snapshot of the store as it is now: the saved one, or read again if the store was written since."""
    workspace.require()
    url = workspace.store_url(store_url)
    with open_store(url) as store:
        return _refresh(workspace, store, url, progress)


def _refresh(workspace: Workspace, store: Store, url: str, progress: Progress) -> Snapshot:
    counter = store.build_counter()
    saved = workspace.state().get("snapshot")
    read_from = {"store": workspace.store_name(url), "counter": counter}
    if saved == read_from and saved_fingerprint(workspace.snapshot):
        return Snapshot.load(workspace.snapshot)
    if store.built() is None:
        raise AppError("the store holds no finished graph", url, "run shopgraph graph-build SOURCE")
    snapshot = read_snapshot(store, progress)
    snapshot.save(workspace.snapshot)
    workspace.remember(snapshot=read_from)
    return Snapshot.load(workspace.snapshot)


def keep_snapshot(workspace: Workspace, store: Store, url: str, built: str | None) -> None:
    """Say that the saved snapshot still is the store's, whose graph is what it was: `built`, its fingerprint."""
    counter = store.build_counter()
    if built is not None and store.built() == built:
        workspace.remember(snapshot={"store": workspace.store_name(url), "counter": counter})


def encode(workspace: Workspace, snapshot: Snapshot, settings: Settings, progress: Progress) -> NodeVectors:
    """Product text → vectors, by the tuned encoder where there is one; unchanged texts come from the cache.

    Vectors of pictures, where the settings name a file of them, stand beside those of the text.
    """
    from encoders.vectors import encode_products

    config = encoder_in_use(workspace, settings)
    if config.images.file:
        place = workspace.root / Path(config.images.file).expanduser()  # an absolute one stays what it is
        config = replace(config, images=replace(config.images, file=str(place)))
    return encode_products(snapshot, config, workspace.embeddings, progress, workspace.events)


def saved_vectors(workspace: Workspace, snapshot: Snapshot, config: GnnConfig | None = None) -> NodeVectors | None:
    """The product vectors of the workspace, None where text has not been encoded.

    Args:
        workspace: where they are.
        snapshot: the graph.
        config: who trains or measures by its split gives it, and gets no vectors that know what the split holds out.

    Raises:
        EncoderError: they belong to other products or texts than the snapshot's.
        GnnError: their encoder was tuned on what the split of `config` keeps for validation or test.
    """
    from encoders.vectors import load_vectors

    vectors = load_vectors(workspace.embeddings, snapshot) if workspace.has_vectors() else None
    if vectors is not None and vectors.head.tuned and config is not None:
        from gnn.model.align import make_split
        from gnn.protocol.text_reach import refuse_past

        refuse_past(vectors.head.tuned, make_split(snapshot, config), snapshot)
    return vectors


def knowing_blocks(config: GnnConfig, vectors: NodeVectors | None) -> GnnConfig:
    """Settings that say which columns of the product vectors are the text's, where pictures stand beside it."""
    if vectors is None or not vectors.head.blocks:
        return config
    return replace(config, models=replace(config.models, text=replace(config.models.text, width=vectors.head.dim)))


def training_inputs(snapshot: Snapshot, vectors: NodeVectors | None, settings: Settings) -> str:
    """Digest of everything a training depends on: names the model that comes of it."""
    parts = {
        "snapshot": snapshot.fingerprint,
        "vectors": vectors.head.identity if vectors is not None else None,
        "config": {group: values for group, values in to_dict(settings.gnn).items() if group != "rerank"},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def train(
    workspace: Workspace,
    snapshot: Snapshot,
    settings: Settings,
    progress: Progress,
    *,
    resume: bool = False,
    refit: bool = False,
    reuse: bool = False,
    warm: bool = False,
) -> dict[str, Any]:
    """Snapshot + vectors → the bundle model/eval, and with `refit` model/live beside it.

    With `reuse`, a bundle of the very same inputs is kept; with `warm` the network goes on from the one that is there.
    """
    from gnn.model.training import train as fit

    vectors = saved_vectors(workspace, snapshot, settings.gnn)
    inputs = training_inputs(snapshot, vectors, settings)
    report_file = workspace.reports / "training.json"
    if reuse and workspace.state().get("model") == inputs and report_file.exists() and workspace.has_model():
        kept: dict[str, Any] = json.loads(report_file.read_text())
        return kept | {"reused": True}
    matrix = vectors.matrix if vectors is not None else None
    # An older refit would go on answering with what it knew before this training.
    if workspace.model("live").exists() and not refit:
        shutil.rmtree(workspace.model("live"))
    before = workspace.model("eval") if warm else None
    report = fit(
        snapshot,
        matrix,
        knowing_blocks(settings.gnn, vectors),
        workspace.model("eval"),
        progress,
        resume=resume,
        refit=refit,
        warm=before,
    )
    write_whole(report_file, json.dumps(report, indent=1, default=str))
    workspace.remember(model=inputs)
    return report | {"reused": False}


def trained_with(workspace: Workspace) -> GnnConfig | None:
    """The settings that model/eval was trained with, its split's cut-offs among them; None where there is none."""
    from gnn.config import GnnConfig
    from gnn.model.bundle import read_head
    from ingest.config_dict import from_dict

    if not workspace.has_model():
        return None
    return from_dict(GnnConfig, read_head(workspace.model("eval"))["config"], str(workspace.model("eval")))


def evaluate(
    workspace: Workspace,
    snapshot: Snapshot,
    settings: Settings,
    progress: Progress,
    *,
    reference: str | None = None,
    per_user: Path | None = None,
    live: bool = False,
) -> dict[str, Any]:
    """The evaluation report of model/eval; computed once per model, graph, `eval` settings and reference.

    With `per_user`, every user's metrics are written to that file, for which all is computed anew. With `live`, of
    model/live: the same with what is trained trained again on train and valid.

    Raises:
        AppError: there is no model/live.
    """
    from gnn.evaluation.evaluate import evaluate as measure

    asked = {"model": workspace.state().get("model"), "eval": to_dict(settings.gnn.eval), "reference": reference}
    if live and not workspace.has_model("live"):
        raise AppError("there is no refit", str(workspace.model("live")), "run shopgraph train --refit")
    path = workspace.reports / ("evaluation-live.json" if live else "evaluation.json")
    if path.exists() and per_user is None and asked["model"] is not None:
        stored: dict[str, Any] = json.loads(path.read_text())
        if stored.get("asked") == json.loads(json.dumps(asked)):
            return stored
    vectors = saved_vectors(workspace, snapshot, trained_with(workspace))
    matrix = vectors.matrix if vectors is not None else None
    model, config = workspace.model("live" if live else "eval"), settings.gnn.eval
    report = measure(model, snapshot, matrix, progress, reference=reference, per_user=per_user, config=config)
    report |= {"asked": asked}
    write_whole(path, json.dumps(report, indent=1, default=str))
    return report
