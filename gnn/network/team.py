"""Several processes that train one network together: the leader decides, everyone takes a share of every batch."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn

from gnn.errors import GnnError

WAIT = timedelta(days=2)
"""The others wait this long while the leader counts, validates and writes; a process that ends is noticed at once."""


@dataclass(frozen=True)
class Team:
    """One process among those that train together.

    Attributes:
        rank: its number; the leader is 0: it alone reads the settings, validates, writes and speaks.
        size: processes.
    """

    rank: int = 0
    size: int = 1

    def share(self, n: int) -> slice:
        """Which of `n` rows are this process's: every `size`-th, so that sorted rows are dealt out evenly."""
        return slice(self.rank, n, self.size)

    def told(self, value: Any) -> Any:
        """What the leader's `value` is, at every process.

        Raises:
            GnnError: another process has ended.
        """
        if self.size == 1:
            return value
        box = [value]
        with self._others():
            dist.broadcast_object_list(box, 0)
        return box[0]

    def add_up(self, network: nn.Module) -> None:
        """Give every parameter the sum of its gradients over the processes.

        Raises:
            GnnError: another process has ended.
        """
        if self.size == 1:
            return
        learned = [p for p in network.parameters() if p.requires_grad]
        touched = torch.tensor([p.grad is not None for p in learned], dtype=torch.int32)
        with self._others():
            dist.all_reduce(touched, dist.ReduceOp.MAX)
            for parameter, somewhere in zip(learned, touched.tolist(), strict=True):
                if somewhere:
                    if parameter.grad is None:
                        parameter.grad = torch.zeros_like(parameter)
                    dist.all_reduce(parameter.grad)

    def total(self, value: float) -> float:
        """The sum of `value` over the processes.

        Raises:
            GnnError: another process has ended.
        """
        if self.size == 1:
            return value
        box = torch.tensor(value, dtype=torch.float64)
        with self._others():
            dist.all_reduce(box)
        return float(box)

    def leave(self) -> None:
        """End the connection, so that the others do not wait for what this process will not do."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    @contextmanager
    def _others(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            what = "another process of this training has ended"
            raise GnnError(what, f"process {self.rank} of {self.size}", "see what it said, then start again") from error


ALONE = Team()


class Shared(Protocol):
    """What can be trained by a team."""

    device: torch.device

    def follow(self, team: Team) -> None:
        """Take part until the leader says that it is over."""


@contextmanager
def joined() -> Iterator[Team]:
    """The team that `torchrun` has started; alone where it has not. When the leader leaves, those who follow do too.

    Yields:
        This process; one that is not the leader has nothing to do but `follow`.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield ALONE
        return
    dist.init_process_group("gloo", timeout=WAIT)
    team = present()
    try:
        yield team
    finally:
        if team.rank == 0 and dist.is_initialized():
            with suppress(GnnError):  # one that has ended needs no telling
                team.told(None)
        team.leave()


def present() -> Team:
    """The team that this process is in just now."""
    if dist.is_available() and dist.is_initialized():
        return Team(dist.get_rank(), dist.get_world_size())
    return ALONE


def handed_out(trainer: Shared) -> Team:
    """Give every process a copy of the leader's `trainer`, which `follow` takes part in; the team.

    Raises:
        GnnError: it computes on a GPU.
    """
    team = present()
    if team.size > 1:
        if trainer.device.type != "cpu":
            what = "several processes train together on CPUs only"
            raise GnnError(what, f"train.device, {trainer.device}", "set train.device=cpu, or start one process")
        copy = io.BytesIO()
        torch.save(trainer, copy)
        team.told(copy.getvalue())
    return team


def follow(team: Team) -> None:
    """Take part in every training that the leader begins, until it leaves.

    Raises:
        GnnError: another process has ended.
    """
    while (copy := team.told(None)) is not None:
        # from a process of the same training, over the connection that torchrun made
        trainer: Shared = torch.load(io.BytesIO(copy), weights_only=False)
        del copy
        trainer.follow(team)
