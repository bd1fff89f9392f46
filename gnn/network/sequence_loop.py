"""The training loop of everything that reads users' events in order: each event is predicted from those before it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnn.network.feeding import ahead
from gnn.network.loop import Limits, TrainingLoop, View
from gnn.network.sequences import Sequences

Plan = TypeVar("Plan")


class SequenceLoop(TrainingLoop[View], Generic[View, Plan]):
    """One training run over stretches of timelines; a subclass says what the loss of some stretches is.

    Args:
        network: what is trained, changed in place.
        sequences: users' events in order.
        length: events of a stretch.
        batch: stretches per step.
        limits: when training ends.
        seed: of all chance.
        device: where it computes.
    """

    def __init__(
        self,
        network: nn.Module,
        sequences: Sequences,
        length: int,
        batch: int,
        limits: Limits,
        seed: int,
        device: torch.device,
    ) -> None:
        super().__init__(network, limits, seed, device)
        self.sequences = sequences
        self.begin, self.lengths = self.sequences.windows(length)
        self.asked = self.sequences.asked(self.begin, self.lengths)
        self.batch = batch

    def learn_from(self, users: NDArray[np.bool_]) -> None:
        """Take stretches of these users alone, shape (n_users,)."""
        kept = users[np.searchsorted(self.sequences.indptr, self.begin, side="right") - 1]
        self.begin, self.lengths, self.asked = self.begin[kept], self.lengths[kept], self.asked[kept]

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return math.ceil(len(self.begin) / self.batch)

    def plan(self, events: Sequences, begin: NDArray[np.int64], lengths: NDArray[np.int64]) -> Plan:
        """What a step needs of some stretches, on the host: all chance but dropout's is used up here.

        Args:
            events: users' events, baskets shuffled.
            begin: first event of each stretch, shape (s,).
            lengths: events of each, ascending, shape (s,).
        """
        raise NotImplementedError

    def loss(self, plan: Plan) -> Tensor:
        """Mean over the events of the plan's stretches of the loss of predicting the target event after it."""
        raise NotImplementedError

    def run_epoch(self) -> float:
        """Every event but each user's first is predicted once; mean loss per step."""
        self.network.train()
        events = self.sequences.shuffled(self.rng)
        order = self.rng.permutation(len(self.begin))
        total = torch.zeros((), device=self.device)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(self.rng.integers(2**62)) + self.team.rank)  # of dropout
            for plan, weight in ahead(self._plans(events, order), self.device):
                self.optimizer.zero_grad(set_to_none=True)
                loss = self.loss(plan) * weight
                torch.autograd.backward(loss)
                self.team.add_up(self.network)
                self.optimizer.step()
                total += loss.detach()
        return self.team.total(total.item()) / max(1, self.steps)

    def _plans(self, events: Sequences, order: NDArray[np.int64]) -> Iterator[tuple[Plan, float]]:
        """The steps of an epoch: this process's share of each batch, and its part of the mean over all events asked."""
        for start in range(0, len(order), self.batch):
            at = order[start : start + self.batch]
            at = at[np.argsort(self.lengths[at], kind="stable")]
            mine = at[self.team.share(len(at))]
            weight = self.asked[mine].sum() / self.asked[at].sum()
            # without any, one that weighs nothing: every process draws as often as the others
            asked = mine if len(mine) else at[:1]
            yield self.plan(events, self.begin[asked], self.lengths[asked]), float(weight)
