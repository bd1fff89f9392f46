"""Our neighbour sampling behind PyG's loaders, which need no compiled library with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.sampler import BaseSampler, EdgeSamplerInput, NodeSamplerInput, SamplerOutput

from gnn.errors import GnnError
from gnn.network.joint import JointGraph
from gnn.network.neighbours import Ints, Neighbours, Sample


def as_data(graph: JointGraph) -> Data:
    """The joint graph as PyG's Data: `edge_index` (2, e) from source to target, `edge_type` (e,) its relation."""
    many = graph.indptr.diff()
    target, relation = (t.repeat_interleave(many) for t in (graph.target, graph.relation))
    return Data(edge_index=torch.stack([graph.sources, target]), edge_type=relation, num_nodes=graph.n_nodes)


class NeighbourSampler(BaseSampler):  # type: ignore[misc]
    """Draws neighbourhoods for `NodeLoader` and `LinkLoader`.

    Seeds come first in `n_id`, then the nodes of each hop. Edges stand hop by hop; unlike those of PyG's own sampler,
    the edges of a hop lead to all nodes of the hops before it, drawn anew. Where seeds have a time, each has a
    neighbourhood of its own (`batch`), of edges that are older or have none. Of seed links neither direction is
    drawn, over whatever relation.

    Args:
        graph: the joint graph.
        fan_out: most edges per node and relation, one for all or one each.
        hops: how deep.
        at: moment of each edge, int64, shape (e,); None: nothing is timed.
        seed: of what is drawn.
    """

    def __init__(
        self, graph: JointGraph, fan_out: int | list[int], hops: int, at: Ints | None = None, seed: int = 0
    ) -> None:
        self.neighbours, self.hops = Neighbours(graph, fan_out, at), hops
        self.rng = np.random.default_rng(seed)
        many = np.diff(self.neighbours.indptr)
        keys = self.neighbours.sources * graph.n_nodes + np.repeat(self.neighbours.target, many)
        self.by_key = np.argsort(keys, kind="stable")
        self.keys = keys[self.by_key]

    def sample_from_nodes(self, index: NodeSamplerInput, **_: Any) -> SamplerOutput:
        """The neighbourhood of the nodes of `index`."""
        sample = self._sample(index.node.numpy(), None, index.time)
        return _output(sample, (index.input_id, index.time))

    def sample_from_edges(self, index: EdgeSamplerInput, neg_sampling: Any = None) -> SamplerOutput:
        """The neighbourhood of the ends of the links of `index`, none of which is drawn.

        Raises:
            GnnError: negatives are asked for.
        """
        if neg_sampling is not None:
            what = "this sampler draws no negatives: a random product may be one that the user has"
            raise GnnError(what, "neg_sampling", "leave it out, and score against products that nobody left out")
        ends = torch.stack([index.row, index.col])
        own = self._between(ends.numpy())
        if index.time is None:
            seeds, place = np.unique(ends.numpy(), return_inverse=True)
            times, where = None, torch.from_numpy(place.reshape(2, -1))
        else:
            seeds, times = ends.numpy().ravel(), index.time.repeat(2)
            where = torch.arange(len(seeds)).view(2, -1)
        sample = self._sample(seeds, own, times)
        return _output(sample, (index.input_id, where, index.label, index.time))

    def _sample(self, seeds: Ints, without: Ints | None, times: Tensor | None) -> Sample:
        key = int(self.rng.integers(2**62))
        until = None if times is None else times.numpy().astype(np.int64)
        return self.neighbours.sample(seeds, self.hops, key, without, until)

    def _between(self, ends: Ints) -> Ints:
        """Positions of all edges between the ends (2, l) of each link, in both directions."""
        n = self.neighbours.n_nodes
        asked = np.concatenate([ends[0] * n + ends[1], ends[1] * n + ends[0]])
        low, high = (np.searchsorted(self.keys, asked, side) for side in ("left", "right"))
        many = high - low
        at = np.repeat(low - (np.cumsum(many) - many), many) + np.arange(int(many.sum()))
        return self.by_key[at]


class _Weighed:
    """Adds what each drawn edge stands for to a loader's batches."""

    def filter_fn(self, out: SamplerOutput) -> Data:
        """As the loader's own, with `weight` (float32, one per edge)."""
        data = super().filter_fn(out)  # type: ignore[misc]
        data.weight = out.weight
        return data


class NeighbourNodeLoader(_Weighed, NodeLoader):  # type: ignore[misc]
    """PyG's `NodeLoader` whose batches have `weight`: edges of a row that each drawn one stands for."""


class NeighbourLinkLoader(_Weighed, LinkLoader):  # type: ignore[misc]
    """PyG's `LinkLoader`, likewise."""


def _output(sample: Sample, metadata: tuple[Any, ...]) -> SamplerOutput:
    parts = sample.draws
    col = [np.repeat(draw.target, np.diff(draw.indptr)) for draw in parts]
    row, edge, weight = (np.concatenate([getattr(d, n) for d in parts]) for n in ("sources", "edges", "weight"))
    out = SamplerOutput(
        *(torch.from_numpy(a) for a in (sample.nodes, row, np.concatenate(col), edge)),
        batch=None if sample.tree is None else torch.from_numpy(sample.tree),
        num_sampled_nodes=np.diff(sample.sizes, prepend=0).tolist(),
        num_sampled_edges=[len(draw.edges) for draw in parts],
        metadata=metadata,
    )
    out.weight = torch.from_numpy(weight)
    return out
