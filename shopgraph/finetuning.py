"""Tunes the text encoder on the graph, and says which encoder is in use: what spans the rooms of text and model."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders.config import EncoderConfig
from encoders.text_config import TextConfig
from encoders.tuning.provenance import read_provenance
from ingest.progress import Progress
from kg.snapshot import Snapshot
from shopgraph.errors import AppError
from shopgraph.settings import Settings
from shopgraph.workspace import Workspace, write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray


def encoder_in_use(workspace: Workspace, settings: Settings) -> EncoderConfig:
    """The encoder of products and queries: the workspace's tuned one where there is one, else `encode.model`.

    Raises:
        AppError: the tuned one began with another model than `encode.model` names.
    """
    asked = settings.encode
    if not settings.finetune.use or not (workspace.encoder / "config.json").exists():
        return asked
    said = read_provenance(workspace.encoder)
    base = said.get("base", {})
    if said and (base["model"], base["revision"]) != (asked.model, asked.revision):
        raise AppError(
            f"the tuned encoder began with the model {base['model']!r}, and encode.model is {asked.model!r}",
            str(workspace.encoder),
            "run shopgraph finetune again, or set finetune.use = false",
        )
    return replace(asked, model=str(workspace.encoder), revision="")


def finetune(
    workspace: Workspace, snapshot: Snapshot, settings: Settings, progress: Progress, *, resume: bool = False
) -> dict[str, Any]:
    """Tune `encode.model` on the training part of the graph's events; the encoder is left in the workspace.

    Args:
        workspace: where the encoder goes, and where its report does.
        snapshot: the graph.
        settings: `finetune`, and the split that `train` makes of the same settings.
        progress: where work reports.
        resume: go on from what a stopped tuning of the same settings, graph and text has left.

    Returns:
        What was found: JSON-able; also in reports/finetune.json.

    Raises:
        ShopgraphError: nothing to learn from, no such model, no state to resume.
    """
    from encoders.tuning.pairs import Material
    from encoders.tuning.tune import tune_encoder
    from encoders.vectors import encode_texts
    from gnn.model.align import make_split
    from gnn.protocol.text_pairs import text_pairs, with_needs
    from gnn.protocol.text_reach import reach

    config = settings.finetune
    texts, text_of = distinct_texts(snapshot, settings.encode.text, workspace.events)
    with progress.station("pair the texts") as station:
        split = make_split(snapshot, settings.gnn)
        pairs = text_pairs(split, text_of, window_days=config.window_days, stretch=config.stretch, most=config.most)
        pairs = with_needs(pairs, snapshot, text_of, config.needs, config.seed)
        station.note(f"{len(pairs.texts):,} in histories, {sum(m.nnz for m in pairs.partners.values()):,} of partners")
    folder = workspace.embeddings
    encoder, vectors = encode_texts(settings.encode, texts, folder, progress)
    seen = reach(split, snapshot)
    named = [json.dumps(to_name) for to_name in (texts, seen, encoder.digest, repr(config))]
    scratch = _scratch(workspace, hashlib.sha256("\0".join(named).encode()).hexdigest()[:16], resume)
    material = Material(texts, vectors, pairs, seen)
    report = tune_encoder(settings.encode, material, config, workspace.encoder, scratch / "state.pt", progress)
    shutil.rmtree(scratch.parent, ignore_errors=True)
    write_whole(workspace.reports / "finetune.json", json.dumps(report, indent=1))
    return report


def distinct_texts(
    snapshot: Snapshot, config: TextConfig | None = None, events: Path | None = None
) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct texts of the products, and the row of each product's text, -1 where it has none.

    Args:
        snapshot: the graph.
        config: templates of the texts.
        events: tables/events.parquet, for templates that quote reviews.
    """
    from encoders.distinct import distinct
    from encoders.product_text import product_texts

    return distinct(product_texts(snapshot, config, events))


def _scratch(workspace: Workspace, name: str, resume: bool) -> Path:
    """Folder for the state of this very tuning."""
    root = workspace.root / ".encoder-checkpoint"
    place = root / name
    if root.exists() and not (resume and place.exists()):
        if resume:
            what = "the state of the stopped tuning is of other settings, texts or events"
            raise AppError(what, str(root), "run it without --resume, or with the settings of the stopped one")
        shutil.rmtree(root)
    place.mkdir(parents=True, exist_ok=True)
    return place
