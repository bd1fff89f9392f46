"""Plans are made ahead in order, and arrive whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn.config import GnnConfig, GraphConfig, SplitConfig, TrainConfig
from gnn.network.feeding import ahead, sent
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import TextFeatures
from gnn.network.message_graph import build_message_graph
from gnn.network.reading import Reading
from gnn.network.recommender import make_network
from gnn.network.sampled import SampledSequenceTrainer, SampledTrainer
from gnn.network.sequence_fit import SequenceTrainer
from gnn.protocol.events import read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.splits import split_events
from kg.snapshot import Snapshot


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


@pytest.fixture(scope="module")
def history(shop: Snapshot) -> Interactions:
    return split_events(read_events(shop, ()), SplitConfig("column")).history("valid")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("neighbours", [0, 5])
@pytest.mark.parametrize("reading", ["set", "sequence"])
def test_the_host_waits_for_nothing_within_a_step(
    shop: Snapshot, text: NDArray[np.float32], history: Interactions, reading: Reading, neighbours: int
) -> None:
    config = replace(GnnConfig(), train=TrainConfig(device="cuda"))
    graph = build_message_graph(shop, history, GraphConfig(), users=reading == "set")
    features = TextFeatures.of(text)
    network: Any = make_network(graph, history, features, config, reading)
    given = (network, graph, history, features)
    trainer: Any
    if reading == "set":
        plain = (*given, config.train)
        trainer = SampledTrainer(*plain, neighbours) if neighbours else NetworkTrainer(*plain)
        plan = trainer.plan(np.arange(20))
    else:
        trainer = SampledSequenceTrainer(*given, config, neighbours) if neighbours else SequenceTrainer(*given, config)
        plan = trainer.plan(trainer.sequences, trainer.begin[:20], trainer.lengths[:20])

    def step() -> None:
        here = sent(plan, trainer.device)
        trainer.optimizer.zero_grad(set_to_none=True)
        trainer.loss(here).backward()
        trainer.optimizer.step()

    step()  # the first allocates and chooses kernels
    torch.cuda.synchronize()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode(before)
