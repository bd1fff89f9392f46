"""The running mean of the weights, against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gnn.network.averaging import RunningMean


class One(nn.Module):
    """A single weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([8.0]))


def step(network: One, optimizer: torch.optim.Optimizer) -> None:
    """The weight falls by one."""
    optimizer.zero_grad()
    network.weight.sum().backward()
    optimizer.step()


def test_the_mean_is_short_at_first_and_as_long_as_asked_in_the_end() -> None:
    network = One()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    mean = RunningMean(network, optimizer, 0.25)
    step(network, optimizer)  # keeps 2/11 of 8, takes 9/11 of 7
    assert mean.weights[0].item() == pytest.approx(8 * 2 / 11 + 7 * 9 / 11)
    step(network, optimizer)  # 3/12 is the decay itself
    second = (8 * 2 / 11 + 7 * 9 / 11) * 0.25 + 6 * 0.75
    assert mean.weights[0].item() == pytest.approx(second)
    step(network, optimizer)  # 4/13 would be more than the decay
    assert mean.weights[0].item() == pytest.approx(second * 0.25 + 5 * 0.75)
    assert mean.steps == 3


def test_the_network_has_the_mean_for_a_while_or_for_good() -> None:
    network = One()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    mean = RunningMean(network, optimizer, 0.9)
    step(network, optimizer)
    with mean.in_place():
        assert network.weight.item() == pytest.approx(8 * 2 / 11 + 7 * 9 / 11)
    assert network.weight.item() == 7.0
    with pytest.raises(RuntimeError), mean.in_place():
        raise RuntimeError("what is judged failed")
    assert network.weight.item() == 7.0
    mean.settle()
    assert network.weight.item() == pytest.approx(8 * 2 / 11 + 7 * 9 / 11)
    assert network.weight.requires_grad
