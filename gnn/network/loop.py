"""The loop of everything that is trained by gradient: epochs, early stop, best weights, checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from gnn.errors import GnnError
from gnn.network.averaging import RunningMean
from gnn.network.team import ALONE, Team, handed_out
from ingest.progress import Progress

View = TypeVar("View")


@dataclass(frozen=True)
class Limits:
    """When training ends.

    Attributes:
        epochs: most epochs.
        patience: epochs without a better validation value before training stops.
        max_seconds: training stops after the epoch in which this time is over; 0: never.
        patience_steps: optimiser steps that those epochs have at least.
    """

    epochs: int
    patience: int
    max_seconds: float = 0.0
    patience_steps: int = 0


@dataclass
class FitState:
    """Everything that changes during training: what a checkpoint holds.

    Attributes:
        epoch: epochs done.
        best_epoch: epochs after which validation was best.
        best: the best validation value.
        weights: the weights then.
        losses: mean loss per epoch.
        validation: validation value per epoch.
    """

    epoch: int = 0
    best_epoch: int = 0
    best: float = -math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """What a fitted recommender says of its training; JSON-able."""
        return {
            "epochs": self.best_epoch or self.epoch,
            "epochs_run": self.epoch,
            "losses": list(self.losses),
            "validation": list(self.validation),
        }


class TrainingLoop(Generic[View]):
    """One training run; a subclass says what an epoch is, and what validation is shown after it.

    Attributes:
        title: what is trained, for progress.
        shared: whether a step takes this process's share of a batch, so that several can train together.
        fan_out: neighbours that a step draws per node and relation, 0: messages go over the whole graph.
        averaging: decay of the mean of the weights that is judged and kept; 0: the weights themselves are.
        optimizer: set by the subclass.
        mean: that mean, None without one.
        team: the processes that take part, set when training begins.

    Args:
        network: what is trained, changed in place.
        limits: when training ends.
        seed: of `rng` (draws on the host) and `noise` (draws on the device), the only sources of chance.
        device: where it computes.
    """

    title = "network"
    shared = False
    fan_out = 0
    averaging = 0.0
    optimizer: torch.optim.Optimizer

    def __init__(self, network: nn.Module, limits: Limits, seed: int, device: torch.device) -> None:
        self.network, self.limits, self.device = network.to(device), limits, device
        self.rng = np.random.default_rng(seed)
        self.noise = torch.Generator(device).manual_seed(seed)
        self.state = FitState()
        self.team: Team = ALONE
        self.mean: RunningMean | None = None

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch; 0: there is nothing to learn from."""
        raise NotImplementedError

    def run_epoch(self) -> float:
        """One pass over what there is to learn from; mean loss."""
        raise NotImplementedError

    def views(self) -> View:
        """What validation judges, without chance or gradient."""
        raise NotImplementedError

    def fit(self, validate: Callable[[View], float], progress: Progress, checkpoint: Path | None = None) -> FitState:
        """Train until validation has not improved for as long as the limits say; the best weights are put back.

        Args:
            validate: quality of the views, larger is better.
            progress: shows loss and quality per epoch.
            checkpoint: file to save to after every epoch and to go on from if it is there.
        """
        began = time.monotonic()
        self._average()
        if checkpoint is not None and checkpoint.exists():
            self.restore(checkpoint)
        self.team = handed_out(self) if self.shared else ALONE
        with progress.station(f"train the {self.title}", self.limits.epochs, "epochs") as station:
            station.advance(self.state.epoch)
            while self.team.told(self._goes_on(began)):
                loss = self._epoch()
                with self.mean.in_place() if self.mean else nullcontext():
                    quality = self._judged(validate)
                    self._record(loss, quality)
                station.advance()
                station.note(f"loss {loss:.4f}, validation NDCG {quality:.4f}, best {self.state.best:.4f}")
                if checkpoint is not None:
                    self.save(checkpoint)
        if self.state.weights:
            self.network.load_state_dict(self.state.weights)
        return self.state

    def run(self, epochs: int, progress: Progress) -> None:
        """Train for `epochs` epochs; nothing is validated."""
        self._average()
        self.team = handed_out(self) if self.shared else ALONE
        end = self.state.epoch + epochs
        with progress.station(f"train the {self.title} again", epochs, "epochs") as station:
            while self.team.told(self.state.epoch < end):
                loss = self._epoch()
                self.state.epoch += 1
                self.state.losses.append(loss)
                station.advance()
                station.note(f"loss {loss:.4f}")
        if self.mean:
            self.mean.settle()

    def follow(self, team: Team) -> None:
        """Take part in the leader's `fit` or `run` until that is over."""
        self.team = team
        while team.told(None):
            self.run_epoch()
            self.state.epoch += 1

    def _average(self) -> None:
        """Average from now on, where that is asked for."""
        if self.averaging:
            self.mean = RunningMean(self.network, self.optimizer, self.averaging)

    def _epoch(self) -> float:
        try:
            return self.run_epoch()
        except BaseException:
            self.team.leave()  # the others wait for this process within a step
            raise

    def _judged(self, validate: Callable[[View], float]) -> float:
        try:
            return validate(self.views())
        except BaseException:
            with suppress(GnnError):  # those who follow must not wait for another epoch
                self.team.told(False)
            raise

    def _goes_on(self, began: float) -> bool:
        s, c = self.state, self.limits
        late = c.max_seconds > 0 and time.monotonic() - began > c.max_seconds
        waited = s.epoch - s.best_epoch
        tired = waited >= c.patience and waited * self.steps >= c.patience_steps
        return self.steps > 0 and s.epoch < c.epochs and not tired and not late

    def _record(self, loss: float, quality: float) -> None:
        s = self.state
        s.epoch += 1
        s.losses.append(loss)
        s.validation.append(quality)
        if quality > s.best:
            s.best, s.best_epoch = quality, s.epoch
            s.weights = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def save(self, path: Path) -> None:
        """Write all that training needs to go on, whole or not at all."""
        scratch = path.with_suffix(".part")
        mean = {"steps": self.mean.steps, "weights": self.mean.weights} if self.mean else {}
        torch.save(
            {
                "mean": mean,
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "rng": self.rng.bit_generator.state,
                "noise": self.noise.get_state(),
                "state": vars(self.state),
            },
            scratch,
        )
        scratch.replace(path)

    def restore(self, path: Path) -> None:
        """Go on from a file written by `save`."""
        saved = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.rng.bit_generator.state = saved["rng"]
        self.noise.set_state(saved["noise"].cpu())
        self.state = FitState(**saved["state"])
        if self.mean:
            self.mean.steps, self.mean.weights = saved["mean"]["steps"], saved["mean"]["weights"]
