"""Two processes on this machine train together; they end where one process does."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gnn.config import GnnConfig, GraphConfig, ModelConfig, SequenceConfig, SplitConfig, TrainConfig
from gnn.errors import GnnError
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import TextFeatures, Views
from gnn.network.loop import TrainingLoop
from gnn.network.message_graph import build_message_graph
from gnn.network.objective import Batches, softmax_loss
from gnn.network.recommender import make_network
from gnn.network.sampled import SampledTrainer
from gnn.network.sequence_fit import SequenceTrainer
from gnn.network.team import Team, handed_out, joined
from gnn.protocol.events import read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.splits import split_events
from ingest.progress import SilentProgress
from kg.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 300
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
TRAIN = """
import sys, torch
from gnn.network.team import follow, joined
from ingest.progress import SilentProgress
with joined() as team:
    if team.rank:
        follow(team)
    else:
        out = []
        for trainer in torch.load(sys.argv[1], weights_only=False):
            trainer.run(2, SilentProgress())
            state = trainer.fit(lambda views: float(views.items.sum()), SilentProgress())
            out.append({"losses": state.losses, "last": trainer.state.validation, **trainer.network.state_dict()})
        torch.save(out, sys.argv[2])
"""
ONE_FAILS = """
import sys, torch
from gnn.network.fit import NetworkTrainer
from gnn.network.team import follow, joined
from ingest.progress import SilentProgress
losses = []
def loss(trainer, step):
    losses.append(whole_loss(trainer, step))
    if trainer.team.rank == int(sys.argv[2]) and len(losses) == 3:
        raise MemoryError("this one is out of memory")
    return losses[-1]
whole_loss, NetworkTrainer.loss = NetworkTrainer.loss, loss
with joined() as team:
    if team.rank:
        follow(team)
    else:
        torch.load(sys.argv[1], weights_only=False)[0].run(2, SilentProgress())
"""


def trainers(shop: Snapshot, text: NDArray[np.float32]) -> list[TrainingLoop[object]]:
    """Both readings, batches that two do not divide, products drawn for the softmax, neighbours drawn."""
    settings = {"device": "cpu", "threads": 1, "batch": 7, "epochs": 4}
    sequence = SequenceConfig(dropout=0.0, batch=9, full_softmax=10)
    history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    features = TextFeatures.of(text)
    out: list[TrainingLoop[object]] = []
    drawn = {"full_softmax": 20, "negatives": 25}
    plain = {**drawn, "dropout": 0.0, "user_dropout": 0.0}
    for more, fan_out in (({}, 0), (drawn, 0), (plain, 3)):
        config = replace(GnnConfig(), train=replace(TrainConfig(), **settings, **more))
        graph = build_message_graph(shop, history, GraphConfig())
        network = make_network(graph, history, features, config)
        if fan_out:
            out.append(SampledTrainer(network, graph, history, features, config.train, fan_out))
        else:
            out.append(NetworkTrainer(network, graph, history, features, config.train))
    config = replace(
        GnnConfig(), train=replace(TrainConfig(), **settings, negatives=30), model=ModelConfig(sequence=sequence)
    )
    graph = build_message_graph(shop, history, GraphConfig(), users=False)
    network = make_network(graph, history, features, config, "sequence")
    out.append(SequenceTrainer(network, graph, history, features, config))
    return out


def torchrun(script: str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Two processes that find each other over a free port of loopback."""
    file = folder / "script.py"
    file.write_text(script)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    words += ["--nproc-per-node", "2", str(file), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": LOOPBACK}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=MOST_SECONDS, check=False
    )


def test_two_processes_learn_what_one_does(shop: Snapshot, text: NDArray[np.float32], tmp_path: Path) -> None:
    torch.save(trainers(shop, text), tmp_path / "trainers.pt")
    done = torchrun(TRAIN, tmp_path, tmp_path / "trainers.pt", tmp_path / "out.pt")
    assert done.returncode == 0, done.stderr[-2000:]
    found = torch.load(tmp_path / "out.pt")
    for trainer, got in zip(trainers(shop, text), found, strict=True):
        start = {name: value.detach().clone() for name, value in trainer.network.named_parameters()}
        trainer.run(2, SilentProgress())
        state = trainer.fit(lambda views: float(views.items.sum()), SilentProgress())  # type: ignore[attr-defined]
        np.testing.assert_allclose(got["losses"], state.losses, rtol=1e-4)
        np.testing.assert_allclose(got["last"], state.validation, rtol=1e-2, atol=1e-2)
        for name, value in trainer.network.named_parameters():
            if not value.numel():
                continue
            moved = float((value.detach() - start[name]).norm())
            assert moved > 0, name
            assert float((got[name] - value.detach()).norm()) < 0.01 * moved, name


@pytest.mark.parametrize("which", [0, 1])
def test_when_one_process_ends_the_other_does_too(
    shop: Snapshot, text: NDArray[np.float32], tmp_path: Path, which: int
) -> None:
    torch.save(trainers(shop, text)[:1], tmp_path / "trainers.pt")
    began = time.monotonic()
    done = torchrun(ONE_FAILS, tmp_path, tmp_path / "trainers.pt", which)
    assert done.returncode != 0
    assert "this one is out of memory" in done.stderr
    assert time.monotonic() - began < MOST_SECONDS / 2


@pytest.mark.parametrize("most", [1000, 20])
def test_shares_of_a_batch_add_up_to_the_whole(interactions: Callable[..., Interactions], most: int) -> None:
    rng = np.random.default_rng(0)
    history = interactions({u: rng.choice(60, 8, replace=False).tolist() for u in range(11)}, 11, 60)
    looked = interactions({u: rng.choice(60, 5, replace=False).tolist() for u in range(11)}, 11, 60)
    history = replace(history, side={"cart": looked, "view": history})
    batch = Batches(history, TrainConfig(full_softmax=most, negatives=15), np.random.default_rng(5)).plan(np.arange(11))
    g = torch.Generator().manual_seed(0)
    views = Views(torch.randn(11, 3, generator=g), torch.randn(60, 3, generator=g), torch.zeros(1),
                  torch.randn(60, generator=g), torch.tensor(1.0), torch.randn(2, 2, generator=g))  # fmt: skip
    parts = [batch.part(Team(rank, 3)) for rank in range(3)]
    assert sorted(int(u) for part in parts for u in part.users) == list(range(11))
    whole = softmax_loss(views, batch, torch.float32).item()
    shares = [softmax_loss(views, part, torch.float32).item() * len(part.rows) / len(batch.rows) for part in parts]
    assert sum(shares) == pytest.approx(whole, rel=1e-5)
    nobody = batch.part(Team(11, 12))
    assert softmax_loss(views, nobody, torch.float32).item() == 0


def test_alone_nothing_is_handed_out(shop: Snapshot, text: NDArray[np.float32]) -> None:
    with joined() as team:
        assert team == Team(0, 1)
        assert handed_out(trainers(shop, text)[0]) == Team(0, 1)
        assert team.told("word") == "word"


def test_a_team_refuses_a_gpu(monkeypatch: pytest.MonkeyPatch, shop: Snapshot, text: NDArray[np.float32]) -> None:
    trainer = trainers(shop, text)[0]
    trainer.device = torch.device("cuda")
    monkeypatch.setattr("gnn.network.team.present", lambda: Team(0, 2))
    with pytest.raises(GnnError, match="on CPUs only"):
        handed_out(trainer)
