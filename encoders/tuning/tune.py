"""Tunes a text encoder on pairs of texts: a model directory in, a model directory out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from encoders.config import EncoderConfig
from encoders.device import device_of, half_pays
from encoders.errors import EncoderError
from encoders.model_files import ModelFiles, find_model
from encoders.tuning.config import FinetuneConfig
from encoders.tuning.head import Head
from encoders.tuning.held_out import hold_out
from encoders.tuning.loop import TuningLoop, describe
from encoders.tuning.pairs import Material
from encoders.tuning.provenance import provenance, read_provenance, write_provenance
from encoders.tuning.trainee import Learner, Trainee
from ingest.progress import Progress


def tune_encoder(
    base: EncoderConfig,
    material: Material,
    config: FinetuneConfig,
    folder: Path,
    checkpoint: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Tune the model that `base` names and write it to `folder`, which appears whole and replaces an older one.

    Args:
        base: the model to begin with.
        material: texts, their vectors by that model, pairs.
        config: how it is tuned.
        folder: where the model goes.
        checkpoint: file for the state of a tuning that is stopped; one that is there is gone on from.
        progress: where work reports.

    Returns:
        What stands in the model's finetune.json, and `seconds`.

    Raises:
        EncoderError: no pair to learn from, no such model, or a folder that cannot be written.
    """
    if material.pairs.learnable.sum() < 2:
        remedy = "events of users with two products or more, or products of the same category, are needed"
        raise EncoderError("there are no pairs of different texts to learn from", "finetune", remedy)
    files = find_model(base)
    known, question = hold_out(material.pairs, config.held_out, np.random.default_rng(config.seed))
    with _threads(config.threads), _noise():
        trainee = _learner(files, material, config)
        loop = TuningLoop(trainee, known, question, np.array(material.vectors, np.float32), config)
        state = loop.run(progress, checkpoint)
        facts = state.facts()
        seconds = facts.pop("seconds")
        found = {
            "texts": len(material.texts),
            "held_out": len(question.texts),
            "users_asked": len(question.taken),
            "pairs": {"histories": len(known.texts), **{kind: int(m.nnz) for kind, m in known.partners.items()}},
            **facts,
        }
        begun = {"model": base.model, "revision": base.revision, "digest": files.digest()}
        said = provenance(begun, material.split, describe(config), found, read_provenance(files.folder))
        _write(trainee, said, folder)
    return said | {"seconds": seconds}


def _learner(files: ModelFiles, material: Material, config: FinetuneConfig) -> Learner:
    """What the method trains."""
    if config.method == "head":
        return Head(files, material.vectors)
    device, autocast = _where(config)
    return Trainee(files, material.texts, config, device, autocast=autocast)


def _write(trainee: Learner, said: Mapping[str, Any], folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            trainee.save(scratch)
            write_provenance(scratch, said)
            scratch.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            scratch.replace(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        what = f"the tuned encoder cannot be written: {error.strerror}"
        raise EncoderError(what, str(folder), "check permissions and disk space") from error


def _where(config: FinetuneConfig) -> tuple[torch.device, bool]:
    """The device, and whether matrix products run in bf16 there."""
    device = device_of(config.device, "finetune.device")
    return device, config.precision == "bf16" or (config.precision == "auto" and half_pays(device))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _noise() -> Iterator[None]:
    """Leaves torch's global generator, which dropout draws from, as it was."""
    with torch.random.fork_rng():
        yield
