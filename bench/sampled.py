"""Memory and time of training on sampled neighbourhoods beside messages over the whole graph.

    python -m bench.sampled [--scale 10] [--neighbours 10] [--steps 20] [--limit-gib 12] [--only full|sampled]
                            [--out FILE]

The graph is a made-up shop with the shape of Complete Journey (`bench.data.synthetic_shop`), `--scale` times as large;
it is made once, as arrays, and its message graph is built of them by the code that `train` uses: store and text encoder
are not part of what is measured. Text vectors are random, one per distinct title. Products meet users at random there,
so that this measures time and memory alone: quality is compared on real data (docs/scale.md).

Each way has a process of its own, one thread, which may not allocate more than `--limit-gib`. It builds the graph,
takes `--steps` steps (0: an epoch) and computes the vectors of all nodes once, as validation does. An epoch's time is
that of a step times the steps of an epoch.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from bench.data import synthetic_shop
from bench.measure import machine, run, write_report
from gnn.config import GnnConfig, GraphConfig, TrainConfig
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import GraphNetwork, TextFeatures
from gnn.network.layers import tensor_of
from gnn.network.message_graph import build_message_graph
from gnn.network.recommender import make_network
from gnn.network.sampled import SampledTrainer
from gnn.network.size import step_bytes
from gnn.protocol.events import Events
from gnn.protocol.interactions import Interactions
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot

CACHE = Path(".cache") / "bench" / "sampled"
TEXT_WIDTH = 384
GIB = 2**30
OUT_OF_MEMORY = ("MemoryError", "can't allocate memory", "bad_alloc", "Cannot allocate memory")


def made(scale: float) -> Path:
    """The shop as arrays: lines, and brand, category and title of each product; made once."""
    file = CACHE / f"shop-{scale:g}.npz"
    if file.exists():
        return file
    real, rng = synthetic_shop.shape(), np.random.default_rng(0)
    table = synthetic_shop.product_table(real, scale, rng)
    lines = synthetic_shop.lines_of(real, scale, rng)
    brand, path, title = (table[name].combine_chunks().dictionary_encode() for name in ("brand", "category", "title"))
    paths = sorted({part for text in path.dictionary.to_pylist() for part in _levels(text)})
    row = {text: n for n, text in enumerate(paths)}
    children = [text for text in paths if " > " in text]
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        file,
        user=lines.user,
        product=lines.product,
        order=lines.basket,
        sizes=np.array([len(np.unique(lines.user)), len(table), len(brand.dictionary), len(paths)]),
        brand=brand.indices.to_numpy(),
        category=np.array([row[text] for text in path.dictionary.to_pylist()])[path.indices.to_numpy()],
        title=title.indices.to_numpy(),
        child=np.array([row[text] for text in children]),
        parent=np.array([row[text.rpartition(" > ")[0]] for text in children]),
    )
    return file


def _levels(path: str) -> list[str]:
    words = path.split(" > ")
    return [" > ".join(words[: n + 1]) for n in range(len(words))]


def shop(file: Path) -> tuple[Snapshot, Interactions, TextFeatures]:
    """Graph, history and text of the arrays in `file`."""
    with np.load(file) as found:
        arrays = {name: found[name].astype(np.int64) for name in found.files}
    users, products, brands, categories = arrays["sizes"].tolist()
    labels = {"User": users, "Product": products, "Brand": brands, "Category": categories}
    nodes = {label: _nodes(many) for label, many in labels.items()}
    every = np.arange(products)
    edges = {
        ("Product", "MADE_BY", "Brand"): _edges(every, arrays["brand"]),
        ("Product", "IN_CATEGORY", "Category"): _edges(every, arrays["category"]),
        ("Category", "CHILD_OF", "Category"): _edges(arrays["child"], arrays["parent"]),
    }
    events = Events(arrays["user"], arrays["product"], arrays["order"], False, None, users, products)
    titles, where = np.unique(arrays["title"], return_inverse=True)
    vectors = np.random.default_rng(0).standard_normal((len(titles), TEXT_WIDTH), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    one = sp.csr_matrix((np.ones(products, np.float32), (every, where)), (products, len(titles)))
    text = TextFeatures(torch.from_numpy(vectors), tensor_of(one), tensor_of(one.T.tocsr()))
    return Snapshot(nodes, edges), Interactions.from_events(events), text


def _nodes(many: int) -> NodeTable:
    return NodeTable(IdMap.of([f"{n:08d}" for n in range(many)]), _no_columns(many))


def _edges(src: NDArray[np.int64], dst: NDArray[np.int64]) -> EdgeTable:
    return EdgeTable(src, dst, _no_columns(len(src)))


def _no_columns(many: int) -> pa.Table:
    return pa.table({"_": pa.nulls(many)}).drop_columns(["_"])


def peak() -> float:
    """Most resident memory of this process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB


def measured(file: Path, neighbours: int, steps: int) -> dict[str, Any]:
    """One way of training, in this process."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    snapshot, history, text = shop(file)
    graph = build_message_graph(snapshot, history, GraphConfig())
    facts: dict[str, Any] = {"pairs": len(history), "nodes": graph.n_nodes, "edges": len(graph.sources)}
    facts["estimated_step_gib"] = step_bytes(graph, GnnConfig().model.dim, GnnConfig().model.layers) / GIB
    facts |= {"build_seconds": time.perf_counter() - began, "build_gib": peak()}
    train = TrainConfig(device="cpu")
    network = make_network(graph, history, text, replace(GnnConfig(), train=train))
    if not isinstance(network, GraphNetwork):
        raise TypeError(type(network))
    if neighbours:
        trainer: NetworkTrainer = SampledTrainer(network, graph, history, text, train, neighbours)
    else:
        trainer = NetworkTrainer(network, graph, history, text, train)
    network.train()
    seconds, losses = [], []
    for n, batch in enumerate(trainer.steps_of_epoch()):
        if steps and n == steps:
            break
        before = time.perf_counter(), time.process_time()
        losses.append(trainer.step(batch).item())
        seconds.append([time.perf_counter() - before[0], time.process_time() - before[1]])
        print(f"step {n + 1}: {seconds[-1][0]:.2f} s, {peak():.2f} GiB", file=sys.stderr, flush=True)
    wall, processor = np.median(seconds[1:] or seconds, axis=0).tolist()
    facts |= {"steps": len(seconds), "steps_per_epoch": trainer.steps, "step_seconds": wall, "step_gib": peak()}
    facts |= {"epoch_seconds": wall * trainer.steps, "epoch_processor_seconds": processor * trainer.steps}
    facts |= {"first_loss": losses[0], "last_loss": losses[-1]}
    before = time.perf_counter()
    trainer.views()
    return facts | {"views_seconds": time.perf_counter() - before, "peak_gib": peak()}


def compared(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both ways, each in a process of its own."""
    began = time.perf_counter()
    file = made(arguments.scale)
    print(f"shop of {arguments.scale:g} times Complete Journey: {file}, {time.perf_counter() - began:.0f} s")
    report: dict[str, Any] = {"machine": machine(), "scale": arguments.scale, "limit_gib": arguments.limit_gib}
    for name, neighbours in (("sampled", arguments.neighbours), ("full", 0)):
        if arguments.only and name != arguments.only:
            continue
        words = [sys.executable, "-m", "bench.sampled", "--worker", str(file), "--steps", str(arguments.steps)]
        words += ["--neighbours", str(neighbours), "--limit-gib", str(arguments.limit_gib)]
        try:
            done = run(words, {"OMP_NUM_THREADS": "1"})
            report[name] = json.loads(done.stdout) | {"neighbours": neighbours}
            print(_line(name, report[name]), flush=True)
        except RuntimeError as error:
            if not any(word in str(error) for word in OUT_OF_MEMORY):
                raise
            report[name] = {"failed": str(error)[-300:], "neighbours": neighbours}
            print(f"{name}: needs more than {arguments.limit_gib:g} GiB", flush=True)
    return report


def _line(name: str, facts: dict[str, Any]) -> str:
    return (
        f"{name}: {facts['nodes']:,} nodes, {facts['edges']:,} edges; graph built in {facts['build_seconds']:.0f} s "
        f"({facts['build_gib']:.1f} GiB at most); a step {facts['step_seconds']:.2f} s, an epoch of "
        f"{facts['steps_per_epoch']} steps {facts['epoch_seconds']:.0f} s; all vectors {facts['views_seconds']:.0f} s; "
        f"at most {facts['peak_gib']:.1f} GiB"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=10.0)
    parser.add_argument("--neighbours", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20, help="0: a whole epoch")
    parser.add_argument("--limit-gib", type=float, default=12.0)
    parser.add_argument("--only", choices=("full", "sampled"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        most = int(arguments.limit_gib * GIB)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        print(json.dumps(measured(arguments.worker, arguments.neighbours, arguments.steps)))
        return
    report = compared(arguments)
    if arguments.out:
        write_report(report, arguments.out)


if __name__ == "__main__":
    main()
