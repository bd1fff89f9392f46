"""Where a study lives: an append-only file that survives a kill at any moment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from gnn.config import GnnConfig
from gnn.protocol.recommender import Given
from gnn.tuning.spaces import Setting, described
from ingest.config_dict import to_dict

PRUNE_AFTER, PRUNE_TRIALS = 3, 5
"""A trial may be stopped from the fourth epoch on (the first ones say little: the learning rate is still growing),
once five trials have ended, if its best epoch is below the median of theirs at the same epoch."""
REASON = "reason"
"""Attribute of a failed trial that says why; a failed one without it was interrupted, and is repeated."""
ELSEWHERE = ("rerank", "fusion", "auto")
"""Groups of settings that no fit of a single recommender reads."""


def study_path(folder: Path, given: Given, config: GnnConfig, model: str, space: Sequence[Setting], seed: int) -> Path:
    """The file of this very search: graph, text, fixed settings, space and seed are in its name."""
    fixed = to_dict(config)
    for name in ELSEWHERE:
        fixed.pop(name)
    own = model.replace("-", "_")
    fixed["models"] = {key: value for key, value in fixed["models"].items() if key in (own, "memory_gb")}
    fixed["eval"] = {"k": max(config.eval.k)}
    for setting in space:
        *groups, key = setting.key.split(".")
        at = fixed
        for name in groups:
            at = at[name]
        del at[key]
    facts = [given.snapshot.fingerprint, _text(given), fixed, described(space), seed]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return folder / f"{model}-{digest}.journal"


def _text(given: Given) -> str:
    if given.vectors is None:
        return "none"
    return hashlib.sha256(np.ascontiguousarray(given.vectors).view(np.uint8).data).hexdigest()


def open_study(path: Path) -> Study:
    """The study of `path`, made or gone on with; trials that were interrupted have failed.

    One process at a time may have it open.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _mend(path)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path))))
    pruner = MedianPruner(n_startup_trials=PRUNE_TRIALS, n_warmup_steps=PRUNE_AFTER)
    study = optuna.create_study(
        study_name="tune", storage=storage, direction="maximize", pruner=pruner, load_if_exists=True
    )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _mend(path: Path) -> None:
    """Take away what a killed process leaves: its lock, and half a line at the end."""
    Path(f"{path}.lock").unlink(missing_ok=True)
    if not path.exists():
        return
    written = path.read_bytes()
    whole = written[: written.rfind(b"\n") + 1]
    if len(whole) < len(written):
        path.write_bytes(whole)


def judged(study: Study) -> list[FrozenTrial]:
    """Trials that came to an end: done, pruned, or failed for a reason."""
    trials = study.get_trials(deepcopy=False)
    return [t for t in trials if t.state.is_finished() and (t.state != TrialState.FAIL or REASON in t.user_attrs)]


def settings_at(trial: FrozenTrial) -> dict[str, Any]:
    """The settings that were tried, by dotted key."""
    tried: dict[str, Any] = trial.user_attrs["settings"]
    return tried
