"""One trial: fits a recommender under some settings and reads validation, epoch by epoch where there are epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.trial import Trial, TrialState

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.measure.lists import ndcg_per_user
from gnn.model.catalogue import make
from gnn.model.parts import Workshop
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Judge, Recommender, Work

Late = Callable[[], bool]


class OutOfTime(Exception):  # noqa: N818 - no error: the search ends here
    """The time of the search was over in the middle of a fit."""


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        state: complete, pruned or failed.
        value: validation NDCG where complete.
        users: the same per user, shape (u,).
        epochs: validation value after each epoch.
        facts: what the fit settled.
        reason: why it failed; empty: it was interrupted.
        seconds: what it took.
    """

    state: TrialState
    value: float | None = None
    users: NDArray[np.float64] | None = None
    epochs: list[float] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0


class Watch:
    """A judge that reports every value to a trial, which may end the fit.

    Args:
        judge: reads validation.
        trial: what is reported to; None: the fit always goes to its end.
        late: whether the time of the search is over.
    """

    def __init__(self, judge: Judge, trial: Trial | None, late: Late) -> None:
        self.judge, self.trial, self.late = judge, trial, late
        self.values: list[float] = []

    def __call__(self, part: Recommender) -> float:
        """Quality of `part` on validation.

        Raises:
            optuna.TrialPruned: it is not worth going on.
            OutOfTime: there is no time to go on.
        """
        value = self.judge(part)
        self.values.append(value)
        if self.trial is not None:
            self.trial.report(value, len(self.values) - 1)
            if self.trial.should_prune():
                raise optuna.TrialPruned
            if self.late():
                raise OutOfTime
        return value


def run_trial(
    shop: Workshop, config: GnnConfig, model: str, history: Interactions, trial: Trial | None, late: Late
) -> Outcome:
    """Fit `model` under `config` and read validation.

    Args:
        shop: graph and tasks.
        config: the settings to try.
        model: a name of the catalogue.
        history: what is learned from: the train part alone.
        trial: where epochs are reported; None: never pruned and never stopped.
        late: whether the time of the search is over.
    """
    began = time.monotonic()
    shop = replace(shop, config=config)
    epochs: list[float] = []
    try:
        part = make(model, config, shop.given)
        task = shop.task_for(part)
        work = shop.work(model, part)
        if part.trained and work.judge is not None:  # other fits judge candidates of a setting, which is no curve
            watch = Watch(work.judge, trial, late)
            epochs, work = watch.values, Work(work.progress, watch, work.rough)
        part.fit(history, work)
        users = ndcg_per_user(task, part, max(config.eval.k), config.eval.block)
        outcome = Outcome(TrialState.COMPLETE, float(users.mean()), users, facts=part.facts)
        if not math.isfinite(float(users.mean())):
            outcome = Outcome(TrialState.FAIL, reason="the quality is not a number")
    except optuna.TrialPruned:
        outcome = Outcome(TrialState.PRUNED)
    except OutOfTime:
        outcome = Outcome(TrialState.FAIL)
    except GnnError as error:
        outcome = Outcome(TrialState.FAIL, reason=str(error))
    except (MemoryError, torch.OutOfMemoryError):
        outcome = Outcome(TrialState.FAIL, reason="there is not enough memory")
    return replace(outcome, epochs=epochs, seconds=time.monotonic() - began)
