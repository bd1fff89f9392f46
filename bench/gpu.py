"""Training and encoding on a GPU beside the CPU of the same machine: epochs, texts, memory, the largest graph.

    python -m bench.gpu [--data NAME ...] [--ways WAY ...] [--epochs 4] [--threads N] [--largest]
                        [--encode [--model NAME]] [--out FILE]

Per data set the graph network is trained for some epochs in each way, from the same start and on the same pairs: on
the CPU, and on the GPU in fp32, in bf16, in bf16 with every step planned only when the last has been given away (no
thread), and in bf16 with the network's dense part compiled. The first epoch warms up and is not counted. Validation is
not in the times. `--largest` trains on copies of Complete Journey's message graph side by side, more and more of them,
until a step does not fit any more. `--encode` counts texts a second beside sentence-transformers on the same GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import torch
from rich.console import Console

import gnn.network.fit
import gnn.network.sequence_loop
from bench.gpu_encoding import encoding
from bench.gpu_largest import largest
from bench.measure import MIB, machine, write_report
from bench.quality.cells import Cell
from bench.quality.datasets import DATA, Prepared, prepare
from bench.quality.protocols import PROTOCOLS
from gnn.config import GnnConfig
from gnn.model.parts import open_workshop
from gnn.network.attention import Block
from gnn.network.feeding import sent
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import TextFeatures
from gnn.network.message_graph import build_message_graph
from gnn.network.objective import softmax_loss
from gnn.network.reading import SET, how_to_read, read_beside
from gnn.network.recommender import make_network
from gnn.network.sequence_fit import SequenceTrainer
from gnn.protocol.recommender import Given
from ingest.progress import SilentProgress
from shopgraph.cli.console import PIPE_WIDTH, table

NAMES = ("lastfm-kg", "beauty-loo", "tmall", "complete-journey")
Trainer = NetworkTrainer | SequenceTrainer


@contextmanager
def unfed() -> Iterator[None]:
    """No thread plans ahead."""

    def one_by_one(steps: Any, device: torch.device) -> Iterator[Any]:
        return (sent(step, device) for step in steps)

    with mock.patch.object(gnn.network.fit, "ahead", one_by_one), mock.patch.object(
        gnn.network.sequence_loop, "ahead", one_by_one
    ):  # fmt: skip
        yield


@contextmanager
def compiled() -> Iterator[None]:
    """The loss of the set network, or the dense layers of the sequence network, compiled."""
    loss = torch.compile(softmax_loss, dynamic=True)
    with mock.patch.object(gnn.network.fit, "softmax_loss", loss), mock.patch.object(
        Block, "forward", torch.compile(Block.forward, dynamic=True)
    ):  # fmt: skip
        yield


SIDES: dict[str, tuple[str, str, Callable[[], Any]]] = {
    "CPU fp32": ("cpu", "fp32", nullcontext),
    "GPU fp32": ("cuda", "fp32", nullcontext),
    "GPU bf16": ("cuda", "bf16", nullcontext),
    "GPU bf16, not planned ahead": ("cuda", "bf16", unfed),
    "GPU bf16, compiled": ("cuda", "bf16", compiled),
}


def trainer_of(data: Prepared, config: GnnConfig) -> Trainer:
    """What trains the network on the pairs before validation, as `train` has it."""
    _, split = open_workshop(Given(data.snapshot, data.vectors), config, SilentProgress())
    history = split.history("valid")
    text = TextFeatures.of(data.vectors) if data.vectors is not None and config.graph.use_text else None
    reading = how_to_read(history, config)
    graph = build_message_graph(data.snapshot, history, config.graph, users=reading == SET)
    network = make_network(graph, history, text, config, reading, len(read_beside(history, reading)))
    if reading == SET:
        return NetworkTrainer(network, graph, history, text, config.train)
    return SequenceTrainer(network, graph, history, text, config)


def epochs_of(trainer: Trainer, epochs: int) -> dict[str, Any]:
    """Seconds of each epoch after the first, the last epoch's loss, memory."""
    on_gpu = trainer.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds, loss = [], 0.0
    for _ in range(epochs + 1):
        began = time.perf_counter()
        loss = trainer.run_epoch()  # ends with the loss on the host: the device is done
        trainer.state.epoch += 1
        seconds.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() / MIB if on_gpu else None
    return {"first": seconds[0], "seconds": seconds[1:], "steps": trainer.steps, "loss": loss, "gpu_mib": peak}


def training(name: str, epochs: int, sides: list[str]) -> dict[str, dict[str, Any]]:
    """Every way to train on one data set."""
    protocol = PROTOCOLS[name]
    data = prepare(DATA[protocol.data], SilentProgress())
    config = Cell(protocol, "network", 0, data, "").config
    found = {}
    for side in sides:
        device, precision, way = SIDES[side]
        train = replace(config.train, device=device, precision=precision)
        with way():
            trainer = trainer_of(data, replace(config, train=train))
            try:
                found[side] = epochs_of(trainer, 1 if device == "cpu" else epochs)
            except Exception as error:  # one way that fails must not hide the others
                found[side] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(f"{name}, {side}: {found[side]}", file=sys.stderr, flush=True)
        del trainer
    return found


def training_rows(name: str, found: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """A row per way; faster is beside the CPU."""
    base = median(found["CPU fp32"]["seconds"]) if "CPU fp32" in found else float("nan")
    rows = []
    for side, one in found.items():
        if "failed" in one:
            rows.append((name, side, *[""] * 6, one["failed"]))
            continue
        seconds = median(one["seconds"])
        gpu = f"{one['gpu_mib']:,.0f}" if one["gpu_mib"] else ""
        rows.append((name, side, f"{1000 * seconds / one['steps']:.1f}", f"{1 / seconds:.2f}", f"{base / seconds:.1f}",
                     f"{one['first']:.1f}", gpu, f"{one['loss']:.4f}", ""))  # fmt: skip
    return rows


HEADS = ("data", "way", "ms/step", "epochs/s", "x CPU", "first epoch, s", "GPU MiB", "loss", "")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", choices=NAMES, default=list(NAMES), metavar="NAME",
                        help=f"protocols: {', '.join(NAMES)}; none: nothing is trained")  # fmt: skip
    parser.add_argument("--ways", nargs="+", choices=SIDES, default=list(SIDES), metavar="WAY",
                        help=f"ways: {', '.join(SIDES)}")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=4, help="epochs counted on the GPU; one on the CPU")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU")
    parser.add_argument("--largest", action="store_true", help="how many Complete Journeys fit")
    parser.add_argument("--encode", action="store_true", help="texts a second")
    parser.add_argument("--model", default=None, help="folder of the language model to encode with")
    parser.add_argument("--out", type=Path, default=Path("bench/results/gpu.json"))
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here")
    torch.set_num_threads(args.threads)
    out = Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH)
    report: dict[str, Any] = {"machine": machine(), "threads": args.threads, "training": {}}
    for name in args.data:
        report["training"][name] = found = training(name, args.epochs, args.ways)
        out.print(table(f"network on {name}", HEADS, training_rows(name, found), right=HEADS[2:-1]))
        write_report(report, args.out)
    if args.largest:
        report["largest"] = largest(out)
        write_report(report, args.out)
    if args.encode:
        report["encoding"] = encoding(out, args.model)
        write_report(report, args.out)


if __name__ == "__main__":
    main()
