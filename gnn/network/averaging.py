"""The running mean of a network's weights over its steps: what is validated, kept and scored by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class RunningMean:
    """Exponential moving average of the weights (Polyak and Juditsky 1992), updated after every step.

    After n steps the mean keeps `min(decay, (1 + n) / (10 + n))` of itself, so that a short training is averaged over
    its last tenth or so, a long one over the last `1 / (1 - decay)` steps.

    Args:
        network: whose weights, before the first step.
        optimizer: makes the steps.
        decay: share of the mean that a step keeps in the end, above 0 and below 1.

    Attributes:
        steps: steps so far.
        weights: the mean of each parameter, in the order of `network.parameters()`.
    """

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer, decay: float) -> None:
        self.network, self.decay, self.steps = network, decay, 0
        self.weights = [p.detach().clone() for p in network.parameters()]
        optimizer.register_step_post_hook(self._update)

    def _update(self, *_: Any) -> None:
        self.steps += 1
        kept = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mean, value in zip(self.weights, self._current(), strict=True):
            mean.lerp_(value, 1 - kept)

    def _current(self) -> list[Tensor]:
        return [p.detach() for p in self.network.parameters()]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the mean for its weights meanwhile."""
        trained = [p.clone() for p in self._current()]
        self.settle()
        try:
            yield
        finally:
            for here, value in zip(self._current(), trained, strict=True):
                here.copy_(value)

    def settle(self) -> None:
        """Give the network the mean for its weights."""
        for here, mean in zip(self._current(), self.weights, strict=True):
            here.copy_(mean)
