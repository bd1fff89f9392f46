"""How large a graph one GPU trains on with messages over all of it: copies of Complete Journey side by side."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from bench.measure import MIB
from bench.quality.cells import Cell
from bench.quality.datasets import DATA, prepare
from bench.quality.protocols import PROTOCOLS
from gnn.model.parts import open_workshop
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import GraphNetwork, TextFeatures
from gnn.network.joint import JointGraph
from gnn.network.layers import csr
from gnn.network.message_graph import build_message_graph
from gnn.protocol.recommender import Given
from ingest.progress import SilentProgress
from shopgraph.cli.console import table

COPIES = (1, 10, 20, 40, 60, 80, 100, 120)
HEADS = ("copies", "nodes", "edges", "s/step", "GPU GiB", "bytes/edge", "")


class Copies:
    """`many` copies of a joint graph in one, each label's nodes copy by copy.

    Args:
        graph: the graph, on the device where the copies are to be.
        many: copies.
    """

    def __init__(self, graph: JointGraph, many: int) -> None:
        self.graph, self.many = graph, many
        device = graph.sources.device
        self.nodes = torch.tensor([*graph.offsets.values(), graph.n_nodes], device=device)
        self.rows = graph.spread[self.nodes]
        self.edges = graph.indptr[self.rows]

    def number(self, at: Tensor, bounds: Tensor, copy: Tensor) -> Tensor:
        """What the `at`-th thing is called in its copy, where things of a label stand between its `bounds`."""
        label = torch.searchsorted(bounds, at, right=True) - 1
        size = bounds.diff()[label]
        return self.many * bounds[label] + copy * size + at - bounds[label]

    def repeated(self, bounds: Tensor) -> tuple[Tensor, Tensor]:
        """Things copied label by label: which thing each is a copy of, and in which copy it is."""
        here, copies = bounds.device, torch.arange(self.many, device=bounds.device)
        parts = list(pairwise(bounds.tolist()))
        at = torch.cat([torch.arange(a, b, device=here).repeat(self.many) for a, b in parts])
        return at, torch.cat([copies.repeat_interleave(b - a) for a, b in parts])

    def joined(self) -> JointGraph:
        """The copies as one joint graph."""
        g, many = self.graph, self.many
        row, row_copy = self.repeated(self.rows)
        edge, edge_copy = self.repeated(self.edges)
        node, _ = self.repeated(self.nodes)
        pair = torch.full_like(g.sources, -1).index_copy(0, g.moved, g.pairs)[edge]
        bases = torch.tensor(g.bases, device=row.device)
        moved = (pair >= 0).nonzero()[:, 0]
        pairs = self.number(pair[moved], bases, edge_copy[moved])
        target, relation = self.number(g.target[row], self.nodes, row_copy), g.relation[row]
        counted = ((relation < 2 * g.behaviours) & (relation % 2 == 1)).nonzero()[:, 0]
        items, users = g.n_items * many, g.n_users * many
        at = relation[counted] // 2 * items + target[counted] - users
        out_of = g.back_indptr.diff()  # edges by source: each node's stand together
        back, back_copy = self.repeated(g.back_indptr[self.nodes])
        return replace(
            g,
            offsets={label: first * many for label, first in g.offsets.items()},
            n_nodes=g.n_nodes * many,
            n_users=users,
            n_items=items,
            bases=tuple(base * many for base in g.bases),
            indptr=_indptr(g.indptr.diff()[row]),
            sources=self.number(g.sources[edge], self.nodes, edge_copy),
            target=target,
            relation=relation,
            spread=_indptr(g.spread.diff()[node]),
            moved=moved,
            pairs=pairs,
            counted=counted,
            counted_at=at,
            back_indptr=_indptr(out_of[node]),
            back_rows=self.number(g.back_rows[back], self.rows, back_copy),
            back=self.number(g.back[back], self.edges, back_copy),
        )


def _indptr(counts: Tensor) -> Tensor:
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def text_copies(text: TextFeatures, many: int, device: torch.device) -> TextFeatures:
    """As many texts per copy as `text` has, all with random vectors."""
    n, t = text.spread.shape
    copy = torch.arange(many, device=device).repeat_interleave(n)
    which = text.spread.col_indices().to(device).repeat(many) + copy * t
    order, one = which.argsort(stable=True), torch.ones(n * many, device=device)
    counts = torch.bincount(which, minlength=t * many)
    spread = csr(torch.arange(n * many + 1, device=device), which, one, (n * many, t * many))
    back = csr(_indptr(counts), order, one, (t * many, n * many))
    return TextFeatures(torch.randn(t * many, text.distinct.shape[1], device=device), spread, back)


def largest(out: Console) -> list[dict[str, Any]]:
    """Train a few steps on more and more copies, until a step does not fit."""
    protocol = PROTOCOLS["complete-journey"]
    data = prepare(DATA[protocol.data], SilentProgress())
    config = Cell(protocol, "network", 0, data, "").config
    config = replace(config, train=replace(config.train, device="cuda"))
    _, split = open_workshop(Given(data.snapshot, data.vectors), config, SilentProgress())
    history = split.history("valid")
    if data.vectors is None:
        raise TypeError("Complete Journey has texts")
    text = TextFeatures.of(data.vectors)
    graph = build_message_graph(data.snapshot, history, config.graph)
    rows: list[dict[str, Any]] = []
    for many in COPIES:
        try:
            rows.append(_steps(graph, many, history, text, config))
        except torch.cuda.OutOfMemoryError:
            rows.append({"copies": many, "failed": "out of memory"})
            break
        finally:
            torch.cuda.empty_cache()
    shown = [
        (f"{r['copies']}", *[""] * 5, r["failed"])
        if "failed" in r
        else (f"{r['copies']}", f"{r['nodes']:,}", f"{r['edges']:,}", f"{r['seconds']:.3f}", f"{r['gib']:.1f}",
              f"{r['gib'] * 2**30 / r['edges']:.0f}", "")
        for r in rows
    ]  # fmt: skip
    out.print(table("copies of Complete Journey in one graph", HEADS, shown, right=HEADS[:-1]))
    return rows


def _steps(graph: JointGraph, many: int, history: Any, text: TextFeatures, config: Any) -> dict[str, Any]:
    """Three steps that ask users of the first copy; messages go over all copies."""
    device = torch.device("cuda")
    torch.cuda.reset_peak_memory_stats()
    whole = Copies(graph.to(device), many).joined()
    sizes = (whole.n_users, whole.n_items, whole.n_nodes - whole.n_users - whole.n_items, len(whole.names))
    network = GraphNetwork(*sizes, text.distinct.shape[1], config.model, whole.behaviours - 1)
    trainer = NetworkTrainer(network, whole, history, text_copies(text, many, device), config.train)
    network.train()
    seconds = []
    for n, step in enumerate(trainer.steps_of_epoch()):
        began = time.perf_counter()
        trainer.step(step)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
        if n == 3:
            break
    gib = torch.cuda.max_memory_allocated() / MIB / 1024
    facts = {"copies": many, "nodes": whole.n_nodes, "edges": len(whole.sources)}
    return facts | {"seconds": min(seconds[1:] or seconds), "gib": gib}
