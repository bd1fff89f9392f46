"""Plans are made ahead in order, and arrive whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn.network.feeding import ahead, sent


@dataclass(frozen=True)
class Inner:
    values: Tensor
    host: NDArray[np.int64]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    parts: tuple[Tensor, ...]
    share: float
    nothing: Tensor | None = None


def plans(many: int) -> Iterator[Outer]:
    for n in range(many):
        yield Outer(Inner(torch.full((3,), n), np.arange(n)), (torch.tensor([n, -n]),), n / 2)


def test_steps_arrive_in_order_and_whole(device: torch.device) -> None:
    found = list(ahead(plans(5), device))
    assert [int(p.inner.values[0]) for p in found] == [0, 1, 2, 3, 4]
    assert all(p.inner.values.device.type == p.parts[0].device.type == device.type for p in found)
    assert [p.parts[0].tolist() for p in found] == [[n, -n] for n in range(5)]
    assert [(p.share, len(p.inner.host), p.nothing) for p in found] == [(n / 2, n, None) for n in range(5)]
    assert list(ahead(plans(0), device)) == []


def test_a_fault_of_planning_is_that_of_the_step(device: torch.device) -> None:
    def broken() -> Iterator[Tensor]:
        yield torch.zeros(1)
        raise ValueError("no more")

    steps = ahead(broken(), device)
    assert next(steps).item() == 0
    with pytest.raises(ValueError, match="no more"):
        next(steps)


def test_only_a_gpu_is_fed_by_a_thread(device: torch.device) -> None:
    threads: list[str] = []

    def noted() -> Iterator[Tensor]:
        for n in range(3):
            threads.append(threading.current_thread().name)
            yield torch.tensor([n])

    taken = []
    for step in ahead(noted(), device):
        taken.append(len(threads))
        assert step.device.type == device.type
    assert {name.startswith("plan") for name in threads} == {device.type == "cuda"}
    if device.type == "cpu":
        assert taken == [1, 2, 3]  # nothing is made before it is asked for


def test_what_is_on_its_device_stays_there() -> None:
    value = torch.arange(4)
    assert sent(value, torch.device("cpu")) is value
