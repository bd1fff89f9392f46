"""The graph network: item vectors from id, text and neighbourhood; users as sets of what they had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gnn.config import ModelConfig
from gnn.errors import GnnError
from gnn.network.joint import JointGraph, Weighed
from gnn.network.layers import SparseProduct, tensor_of
from gnn.network.propagation import RelationalConv, plus


@dataclass(frozen=True)
class TextFeatures:
    """Text vectors of the products, equal ones kept once.

    Attributes:
        distinct: float32, shape (t, width).
        spread: CSR (n_items x t), one 1 per product.
        back: its transpose.
    """

    distinct: Tensor
    spread: Tensor
    back: Tensor

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> TextFeatures:
        """Find equal rows of `vectors` (n_items, width).

        Raises:
            GnnError: one is no number.
        """
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        if not np.isfinite(rows).all():
            many = int(np.count_nonzero(~np.isfinite(rows).all(1)))
            what = f"the text vectors of {many:,} products are no numbers"
            raise GnnError(what, "embeddings", "run shopgraph encode again, or set graph.use_text = false")
        view = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
        _, first, where = np.unique(view, return_index=True, return_inverse=True)
        n = len(rows)
        one = sp.csr_matrix((np.ones(n, np.float32), (np.arange(n), where)), shape=(n, len(first)))
        return cls(torch.from_numpy(rows[first]), tensor_of(one), tensor_of(one.T.tocsr()))

    def to(self, device: torch.device) -> TextFeatures:
        """The features on `device`."""
        return replace(
            self,
            distinct=self.distinct.to(device),
            spread=self.spread.to(device),
            back=self.back.to(device),
        )


@dataclass(frozen=True)
class Views:
    """What scoring needs of one forward pass.

    Attributes:
        users: unit user vectors, shape (n_users, d); zero without history.
        items: unit item vectors, shape (n_items, d).
        messages: what each item adds to the vectors of those who had it by each behaviour, before these are scaled to
            length one, shape (behaviours, n_items, d).
        offset: item bias + sum over the behaviours of factor * log(1 + users who had it), shape (n_items,).
        temperature: factor of the cosine, shape ().
        repeat: what the score of a product gains that the user knows by another behaviour, and that times the log of
            how often, shape (behaviours - 1, 2).
    """

    users: Tensor
    items: Tensor
    messages: Tensor
    offset: Tensor
    temperature: Tensor
    repeat: Tensor


class ItemTower(nn.Module):
    """Vectors of products, brands, categories and entities: id, for products text too, and their neighbourhood.

    Base vectors: products id vector + MLP(text) + what `read_signals` adds, other nodes an id vector, users none here.

    Args:
        n_items: products.
        n_others: brands, categories and entities.
        relations: relations of the message graph, both directions counted.
        text_width: width of the text vectors, 0 without.
        config: widths.
        layers: propagations.
        deviation: of the id vectors at the start.
    """

    def __init__(
        self,
        n_items: int,
        n_others: int,
        relations: int,
        text_width: int,
        config: ModelConfig,
        layers: int,
        deviation: float,
    ) -> None:
        super().__init__()
        self.signal_values: Tensor
        self.item_ids = nn.Parameter(torch.randn(n_items, config.dim) * deviation)
        self.other_ids = nn.Parameter(torch.randn(n_others, config.dim) * deviation)
        self.text: nn.Module | None = None
        if text_width:
            self.text = nn.Sequential(
                nn.Linear(text_width, config.text_hidden), nn.GELU(), nn.Linear(config.text_hidden, config.dim)
            )
        self.signals: nn.Linear | None = None
        self.convs = nn.ModuleList(RelationalConv(relations) for _ in range(layers))
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.arrival: Tensor
        self.register_buffer("arrival", torch.zeros(config.dim + 1))

    def read_signals(self, values: Tensor) -> None:
        """Add a linear map of features, shape (n_items, width), to the products' base; it begins at zero."""
        self.signals = nn.Linear(values.shape[1], self.item_ids.shape[1], bias=False)
        nn.init.zeros_(self.signals.weight)
        self.register_buffer("signal_values", values, persistent=False)

    def base(self, n_users: int, text: TextFeatures | None, kept: Tensor | None = None) -> Tensor:
        """Vectors before any message, shape (n_nodes, d); zero for users.

        Args:
            n_users: users.
            text: text vectors, None without.
            kept: 1 where a product keeps its id vector, else 0, shape (n_items,); None: all do.
        """
        items: Tensor = self.item_ids if kept is None else self.item_ids * kept.unsqueeze(1)
        if self.text is not None and text is not None:
            encoded = self.text(text.distinct)
            spread: Tensor = SparseProduct.apply(text.spread, text.back, encoded)
            items = items + spread
        if self.signals is not None:
            items = items + self.signals(self.signal_values)
        return torch.cat([items.new_zeros(n_users, items.shape[1]), items, self.other_ids])

    def promised(self, offset: Tensor, items: Tensor) -> Tensor:
        """`offset` (n_items,), but of a product that nobody had when this was trained at least what `arrival` promises.

        Such a product has no id vector (it is zero throughout) and no bias; once it has users, their number may say
        more than was promised.

        Args:
            offset: what every user's score of a product has, by what is known of it.
            items: product vectors, shape (n_items, d).
        """
        promise = items @ self.arrival[:-1] + self.arrival[-1]
        return torch.where(self.item_ids.any(1), offset, torch.maximum(offset, promise))

    def propagate(self, graph: JointGraph, edges: Weighed, x: Tensor) -> Iterator[Tensor]:
        """What each propagation over `graph` makes of the one before it, the first of `x`; shape (n_nodes, d) each."""
        for conv in self.convs:
            x = conv(x, graph, edges)
            yield x


class GraphNetwork(ItemTower):
    """Score(u, i) = temperature * cos(u, i) + bias_i + sum_b c_b * log(1 + users of i by b) + repeat(u, i).

    A user is the sum of messages from the products of their behaviours b (the target events and others: view, cart,
    ...), in no order: a user's neighbours are all products, so that the user's direction is that of a plain sum of
    the products' `messages`, for any history. A user's free vector travels to the products only and is no part of
    that sum: it tells products apart by who bought them, and a user without one is scored like any other. The repeat
    term is zero for a product that the user does not know by another behaviour.

    Args:
        n_users: users; their vectors take part where `config.user_vectors`.
        n_items: products.
        n_others: brands, categories and entities.
        relations: relations of the message graph, both directions counted.
        text_width: width of the text vectors, 0 without.
        config: widths and starting values.
        others: behaviours of the message graph beside the target events.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        n_others: int,
        relations: int,
        text_width: int,
        config: ModelConfig,
        others: int = 0,
    ) -> None:
        super().__init__(n_items, n_others, relations, text_width, config, config.layers, 0.1)
        self.user_ids = nn.Parameter(torch.randn(n_users if config.user_vectors else 0, config.dim) * 0.1)
        self.log_temperature = nn.Parameter(torch.tensor(config.temperature).log())
        self.popularity = nn.Parameter(torch.tensor([config.popularity] + [0.0] * others))
        self.repeat = nn.Parameter(torch.zeros(others, 2), requires_grad=config.repeats)

    def forward(
        self,
        graph: JointGraph,
        edges: Weighed,
        text: TextFeatures | None,
        dropout: Tensor | None = None,
        user_dropout: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> Views:
        """Propagate over `graph`.

        Args:
            graph: the joint graph.
            edges: what its edges weigh.
            text: text vectors, None without.
            dropout: factors of the base vectors of products and others, shape (n_nodes - n_users, d).
            user_dropout: factors of the users' vectors, shape (n_users, 1).
            kept: 1 where a product keeps its id vector, else 0, shape (n_items,); None: all do.
        """
        first, last = graph.n_users, graph.n_users + graph.n_items
        x = self.base(graph.n_users, text, kept)
        if dropout is not None:
            x = torch.cat([x[:first], x[first:] * dropout])
        if len(self.user_ids):
            x = torch.cat([self.user_ids if user_dropout is None else self.user_ids * user_dropout, x[first:]])
        behaviours = len(self.popularity)
        total, before, sent = x.clone(), x, x.new_zeros(behaviours, graph.n_items, x.shape[1])
        for scale, after in zip(self.convs.parameters(), self.propagate(graph, edges, x), strict=True):
            sent = plus(sent, scale[: 2 * behaviours : 2].view(-1, 1, 1) * before[first:last])
            total, before = plus(total, after), after
        return Views(
            functional.normalize(total[:first] - x[:first], dim=1),
            functional.normalize(total[first:last], dim=1),
            sent * edges.norm[first:last].unsqueeze(1),
            self.bias + (self.popularity.unsqueeze(1) * torch.log1p(edges.had)).sum(0),
            self.log_temperature.exp(),
            self.repeat,
        )

    def items(self, graph: JointGraph, edges: Weighed, text: TextFeatures | None, kept: Tensor | None = None) -> Tensor:
        """Unit item vectors, shape (n_items, d); arguments as of `forward`."""
        views: Views = self(graph, edges, text, kept=kept)
        return views.items

    @torch.no_grad()
    def whole(self, graph: JointGraph, text: TextFeatures | None) -> Views:
        """Views over every pair of `graph`, without chance or gradient."""
        views: Views = self(graph, graph.whole(), text)
        return replace(views, offset=self.promised(views.offset, views.items))
