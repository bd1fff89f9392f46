"""What a step over the whole graph would hold in memory, and whether its neighbourhoods are drawn instead."""

from __future__ import annotations

import torch

from gnn.config import TrainConfig
from gnn.errors import GnnError
from gnn.network.device import choose_device
from gnn.network.joint import JointGraph
from ingest.memory import machine_memory

FAN_OUT = 10
"""Neighbours per relation that `auto` draws where the whole graph is too large."""


def step_bytes(graph: JointGraph, dim: int, layers: int) -> int:
    """Memory of a step over the whole graph, beside graph, weights and optimiser.

    Each propagation keeps the sums of its rows (what a node receives over a relation) and its output until gradients
    have passed; two more of the former and eight of the latter come and go.

    Args:
        graph: the joint graph.
        dim: width of the vectors.
        layers: propagations.
    """
    return 4 * dim * ((layers + 2) * len(graph.target) + (layers + 8) * graph.n_nodes)


def memory_of(device: torch.device) -> int:
    """Bytes that the device has, or the machine for the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return machine_memory()


def fan_out(config: TrainConfig, graph: JointGraph, dim: int, layers: int) -> int:
    """Neighbours that a step draws per node and relation, 0: it sends messages over the whole graph.

    `auto` draws where a step over the whole graph would take more than half of the memory where training computes.

    Raises:
        GnnError: the setting is negative.
    """
    if config.neighbours != "auto":
        if config.neighbours < 0:
            what = f"{config.neighbours} neighbours cannot be drawn"
            raise GnnError(what, "train.neighbours", "set it to a number above 0, to 0 for the whole graph, or to auto")
        return config.neighbours
    return FAN_OUT if step_bytes(graph, dim, layers) > memory_of(choose_device(config)) / 2 else 0
