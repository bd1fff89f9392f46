"""The graph network where a user is read event by event: attention over product vectors that the graph has shaped."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnn.config import ModelConfig
from gnn.errors import GnnError
from gnn.network.attention import AttentionTower
from gnn.network.graph_network import ItemTower, TextFeatures
from gnn.network.joint import JointGraph, Weighed
from gnn.network.propagation import plus

START = 0.02
"""Deviation of id vectors and text vectors at the start: attention multiplies its input by sqrt(d)."""


@dataclass(frozen=True)
class SequenceViews:
    """What scoring needs beside the attention tower.

    Attributes:
        items: product vectors, shape (n_items, d).
        offset: item bias + factor * log(1 + buyers), shape (n_items,).
        tower: reads a user's events.
    """

    items: Tensor
    offset: Tensor
    tower: AttentionTower


class SequenceNetwork(ItemTower):
    """Score(u, i) = state after u's latest events · z_i + bias_i + c * log(1 + buyers_i).

    A product's vector z is its base (id, text) plus what reaches it over brands, categories and entities; edges of
    users carry no message, so that a product's vector tells nothing of who bought it beside what its id has learned.
    The state is that of causal self-attention over the z of the user's events (SASRec, Kang and McAuley 2018), other
    behaviours (view, cart, ...) among them, each with a vector of its own added.

    Args:
        n_items: products.
        n_others: brands, categories and entities.
        relations: relations of the message graph, both directions counted.
        text_width: width of the text vectors, 0 without.
        config: widths and starting values.
        others: behaviours beside the target events that are read.

    Raises:
        GnnError: the heads do not divide the width.
    """

    def __init__(
        self, n_items: int, n_others: int, relations: int, text_width: int, config: ModelConfig, others: int = 0
    ) -> None:
        c = config.sequence
        if config.dim % c.heads:
            what = f"{c.heads} heads do not divide the width {config.dim}"
            raise GnnError(what, "model.sequence.heads", "make model.dim a multiple of it")
        super().__init__(n_items, n_others, relations, text_width, config, c.layers, START)
        if self.text is not None:
            norm = nn.LayerNorm(config.dim)
            nn.init.constant_(norm.weight, START)
            self.text = nn.Sequential(self.text, norm)
        self.tower = AttentionTower(config.dim, c.blocks, c.heads, c.length, c.dropout, others, c.convolution)
        self.popularity = nn.Parameter(torch.zeros(()))

    def items(self, graph: JointGraph, edges: Weighed, text: TextFeatures | None, kept: Tensor | None = None) -> Tensor:
        """Product vectors, shape (n_items, d).

        Args:
            graph: the graph without the edges of users.
            edges: what its edges weigh: they are all there.
            text: text vectors, None without.
            kept: 1 where a product keeps its id vector, else 0, shape (n_items,); None: all do.
        """
        first, last = graph.n_users, graph.n_users + graph.n_items
        x = self.base(graph.n_users, text, kept)
        total = x.clone()
        for after in self.propagate(graph, edges, x):
            total = plus(total, after)
        return total[first:last]

    def offset(self, buyers: Tensor) -> Tensor:
        """What every user's score of a product has, shape (n_items,), by its `buyers` (n_items,)."""
        return self.bias + self.popularity * torch.log1p(buyers)

    @torch.no_grad()
    def views(self, graph: JointGraph, text: TextFeatures | None, buyers: Tensor) -> SequenceViews:
        """What scoring needs, without chance or gradient."""
        items = self.items(graph, graph.whole(), text)
        return SequenceViews(items, self.promised(self.offset(buyers), items), self.tower)
