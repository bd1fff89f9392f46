"""Time and memory of training our graph network beside RecBole's LightGCN and KGAT, to equal validation quality.

    python -m bench.training_speed [--peers recbole-lightgcn recbole-kgat] [--seed 0] [--minutes 15]
                                   [--set KEY=VALUE …] [--out FILE]

All learn from the same pairs of lastfm-kg on the same machine, one after another, with one thread, each in a process of
its own (RecBole in an environment of its own, made by the first run). Validation is RecBole's: NDCG@10 over the same
held-out pairs, every product ranked, those of training left out. Times are of the training epochs alone; validation,
loading and lists are not in them. Processor seconds hardly change on a busy machine, wall-clock seconds do. Memory is
the most that the process held, libraries included.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from bench.measure import machine, run, write_report
from bench.peers.neutral import ExportOptions, export
from bench.peers.run import Wish, run_peer
from bench.quality.datasets import DATA, prepare
from gnn.config import GnnConfig, TrainConfig
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import GraphNetwork, Views
from gnn.network.message_graph import build_message_graph
from gnn.network.recommender import make_network
from gnn.network.scores import NetworkScores
from gnn.protocol.events import Events
from gnn.protocol.interactions import Interactions
from ingest.config_dict import with_setting
from ingest.progress import SilentProgress
from kg.snapshot import Snapshot

NAME = "lastfm-kg"
FOLDER = Path(".cache") / "bench" / "training-speed"
PEERS = ("recbole-lightgcn", "recbole-kgat")
OURS = "graph network"
K = 10
SHARES = (0.95, 1.0)
"""Shares of a peer's best validation value at which times are compared."""


def pairs_of(folder: Path, part: str, snapshot: Snapshot) -> Interactions:
    """The pairs of an exported part in the rows of `snapshot`."""
    table = pd.read_csv(folder / f"{part}.csv", dtype=str, keep_default_na=False)
    users, products = snapshot.nodes["User"].ids, snapshot.nodes["Product"].ids
    rows = users.rows(table["user_id"].tolist()), products.rows(table["product_id"].tolist())
    order = table["position"].astype(np.int64).to_numpy()
    return Interactions.from_events(Events(*rows, order, False, None, len(users), len(products)))


def ndcg(scores: NDArray[np.float32], known: Interactions, wanted: Interactions) -> float:
    """Mean NDCG@10 of the users who have wanted products; scores (n_users, n_items) lose what is known."""
    scores = scores.copy()
    scores[known.users, known.items] = -np.inf
    asked = np.flatnonzero(np.diff(wanted.indptr))
    best = np.argsort(-scores[asked], axis=1, kind="stable")[:, :K]
    hits = wanted.has(asked[:, None] * wanted.n_items + best)
    gains = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(gains)[np.minimum(np.diff(wanted.indptr)[asked], K) - 1]
    return float(((hits * gains).sum(1) / ideal).mean())


class Timed(NetworkTrainer):
    """A training that notes what its epochs take, and stops as `train` does."""

    def curve(self, known: Interactions, wanted: Interactions) -> list[dict[str, float]]:
        """Epoch, validation value and seconds so far, after every epoch."""
        rows: list[dict[str, float]] = []
        spent = np.zeros(2)

        def validate(views: Views) -> float:
            value = ndcg(NetworkScores.of(views, known).scores(np.arange(known.n_users)), known, wanted)
            rows.append({"epoch": len(rows) + 1, "value": value, "seconds": spent[0], "processor_seconds": spent[1]})
            return value

        run_epoch = self.run_epoch

        def timed() -> float:
            before = time.perf_counter(), time.process_time()
            loss = run_epoch()
            spent[:] += time.perf_counter() - before[0], time.process_time() - before[1]
            return loss

        self.run_epoch = timed  # type: ignore[method-assign]
        self.fit(validate, SilentProgress())
        return rows


def trained(folder: Path, seed: int, settings: list[str]) -> dict[str, Any]:
    """Our network on the exported pairs, in this process; `settings` differ from the shipped ones."""
    torch.set_num_threads(1)
    snapshot = prepare(DATA[NAME]).snapshot
    known, wanted = (pairs_of(folder, part, snapshot) for part in ("train", "valid"))
    config = replace(GnnConfig(), train=TrainConfig(seed=seed, device="cpu"))
    for text in settings:
        key, _, value = text.partition("=")
        config = with_setting(config, key, value, "--set")
    graph = build_message_graph(snapshot, known, config.graph)
    network = make_network(graph, known, None, config)
    if not isinstance(network, GraphNetwork):
        raise TypeError(type(network))
    curve = Timed(network, graph, known, None, config.train).curve(known, wanted)
    return {"curve": curve, "parameters": sum(p.numel() for p in network.parameters())}


def row(name: str, curve: list[dict[str, float]], peak_mib: float) -> dict[str, Any]:
    """What a training took in all."""
    last, best = curve[-1], max(curve, key=lambda one: one["value"])
    return {
        "model": name,
        "epochs": int(last["epoch"]),
        "seconds_per_epoch": last["seconds"] / last["epoch"],
        "processor_seconds_per_epoch": last["processor_seconds"] / last["epoch"],
        "best": best["value"],
        "best_epoch": int(best["epoch"]),
        "processor_seconds_to_best": best["processor_seconds"],
        "seconds_to_best": best["seconds"],
        "peak_mib": round(peak_mib),
    }


def reached(curve: list[dict[str, float]], value: float) -> dict[str, float] | None:
    """The first validation that is as good as `value`."""
    return next((one for one in curve if one["value"] >= value), None)


def against(name: str, theirs: list[dict[str, float]], ours: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Seconds of both to shares of the peer's best value."""
    best = max(one["value"] for one in theirs)
    rows = []
    for share in SHARES:
        peer, own = reached(theirs, share * best), reached(ours, share * best)
        found: dict[str, Any] = {"peer": name, "share_of_its_best": share, "value": share * best}
        for key in ("processor_seconds", "seconds"):
            found[f"peer_{key}"] = peer[key] if peer else None
            found[f"our_{key}"] = own[key] if own else None
            found[f"{key}_ratio"] = peer[key] / own[key] if peer and own else None
        rows.append(found)
    return rows


def compared(names: list[str], seed: int, minutes: float, settings: list[str]) -> dict[str, Any]:
    """Ours, then the peers."""
    folder = FOLDER.resolve()
    options = ExportOptions()
    contract = prepare(DATA[NAME]).folder / "contract"
    print("exported:", export(contract, folder / "export", folder / "truth.csv", options), flush=True)
    words = [sys.executable, "-m", "bench.training_speed", "--worker", str(folder / "export"), "--seed", str(seed)]
    words += [word for text in settings for word in ("--set", text)]
    done = run(words, {"OMP_NUM_THREADS": "1"})
    ours = json.loads(done.stdout)
    curves = {OURS: ours["curve"]}
    rows = [row(OURS, ours["curve"], done.peak_mib)]
    versions: dict[str, Any] = {}
    for name in names:
        found = run_peer(name, folder, Wish(seed, minutes, threads=1), asdict(options))
        curves[name], versions = found["curve"], found["versions"]
        rows.append(row(name, found["curve"], found["peak_mib"]) | {"ended": found["ended"]})
    pairs = [line for name in names for line in against(name, curves[name], curves[OURS])]
    said = {"machine": machine(), "data": NAME, "seed": seed, "settings": settings, "peer_versions": versions}
    return said | {"models": rows, "equal_quality": pairs, "curves": curves}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=15.0, help="of processor time that a peer may train")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of our network")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(trained(arguments.worker, arguments.seed, arguments.set)))
        return
    report = compared(arguments.peers, arguments.seed, arguments.minutes, arguments.set)
    for key in ("models", "equal_quality"):
        print(f"\n{pd.DataFrame(report[key]).round(4).to_string(index=False)}", flush=True)
    if arguments.out:
        write_report(report, arguments.out)


if __name__ == "__main__":
    main()
