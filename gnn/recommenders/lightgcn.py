"""LightGCN (He et al. 2020): vectors of users and products, smoothed over the graph of who bought what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnn.config import TrainConfig
from gnn.models_config import LightGcnConfig
from gnn.network.device import choose_device, choose_precision
from gnn.network.feeding import sent
from gnn.network.layers import SparseProduct, tensor_of
from gnn.network.loop import Limits, TrainingLoop
from gnn.network.softmax import blocked_cross_entropy
from gnn.network.sparse import times
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Given, Items, Work
from gnn.protocol.relations import PRODUCT, USER
from gnn.recommenders.sampling import draw_columns, draw_unbought
from gnn.recommenders.vectors import inner_products, rows_taken
from kg.snapshot import IdMap


@dataclass(frozen=True)
class Bipartite:
    """Who bought what, each pair weighing 1 / sqrt(products of the user * buyers of the product).

    Attributes:
        to_users: CSR (n_users, n_items).
        to_items: its transpose.
    """

    to_users: Tensor
    to_items: Tensor

    @staticmethod
    def of(history: Interactions, device: torch.device) -> Bipartite:
        """The graph of `history`."""
        degree = np.diff(history.indptr)[history.users] * history.buyers[history.items]
        pairs = history.matrix((1 / np.sqrt(degree)).astype(np.float32))
        return Bipartite(tensor_of(pairs).to(device), tensor_of(sp.csr_matrix(pairs.T)).to(device))


class Vectors(nn.Module):
    """Base vectors of users and products, and their propagation.

    Args:
        users: shape (n_users, d).
        items: shape (n_items, d).
    """

    def __init__(self, users: Tensor, items: Tensor) -> None:
        super().__init__()
        self.users, self.items = nn.Parameter(users), nn.Parameter(items)

    def forward(self, graph: Bipartite, layers: int) -> tuple[list[Tensor], list[Tensor]]:
        """Vectors of users and of products after 0, 1, ..., `layers` propagations."""
        users: list[Tensor] = [self.users]
        items: list[Tensor] = [self.items]
        for _ in range(layers):
            at_users = SparseProduct.apply(graph.to_users, graph.to_items, items[-1])
            at_items = SparseProduct.apply(graph.to_items, graph.to_users, users[-1])
            users.append(at_users)
            items.append(at_items)
        return users, items

    def means(self, graph: Bipartite, layers: int) -> tuple[Tensor, Tensor]:
        """Mean over the layers: what scores are made of, shapes (n_users, d) and (n_items, d)."""
        users, items = self(graph, layers)
        return torch.stack(users).mean(0), torch.stack(items).mean(0)


def fresh_vectors(history: Interactions, dim: int, seed: int) -> Vectors:
    """Seeded base vectors (standard deviation 0.1); zero for who and what has no pair."""
    chance = torch.Generator().manual_seed(seed)
    users, items = (torch.randn(n, dim, generator=chance) * 0.1 for n in (history.n_users, history.n_items))
    users[torch.from_numpy(np.diff(history.indptr) == 0)] = 0.0
    items[torch.from_numpy(history.buyers == 0)] = 0.0
    return Vectors(users, items)


class LightGcnTrainer(TrainingLoop[Vectors]):
    """One training run.

    Args:
        history: the pairs to learn from.
        config: the model.
        train: seed, device, precision, time.
    """

    title = "LightGCN"
    network: Vectors

    def __init__(self, history: Interactions, config: LightGcnConfig, train: TrainConfig) -> None:
        limits = Limits(config.epochs, config.patience, train.max_seconds)
        network = fresh_vectors(history, config.dim, train.seed)
        super().__init__(network, limits, train.seed, choose_device(train))
        self.history, self.config = history, config
        self.precision = choose_precision(train, self.device)
        self.graph = Bipartite.of(history, self.device)
        self.warm = np.flatnonzero(history.buyers > 0)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.lr)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return math.ceil(len(self.history) / self.batch)

    @property
    def batch(self) -> int:
        """Pairs per step: larger where an epoch would take more than `config.steps` steps."""
        return max(self.config.batch, math.ceil(len(self.history) / self.config.steps))

    def run_epoch(self) -> float:
        """Every pair once; mean loss."""
        order = self.rng.permutation(len(self.history))
        total = torch.zeros((), device=self.device)
        for start in range(0, len(order), self.batch):
            pairs = order[start : start + self.batch]
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss(self.history.users[pairs], self.history.items[pairs])
            torch.autograd.backward(loss)
            self.optimizer.step()
            total += loss.detach()
        return total.item() / max(1, self.steps)

    def loss(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> Tensor:
        """Loss of the pairs (`users`, `items`), shape (n,) each, plus penalty / n times the squares of base vectors."""
        smooth_users, smooth_items = self.network.means(self.graph, self.config.layers)
        u, i = self._on(users), self._on(items)
        asking = smooth_users[u]
        if self.config.loss == "bpr":
            j = self._on(draw_unbought(self.history, users, self.warm, self.rng))
            loss = bpr_loss((asking * smooth_items[i]).sum(1), (asking * smooth_items[j]).sum(1))
            base = [self.network.users[u], self.network.items[i], self.network.items[j]]
        else:
            share = self.history.buyers[self.warm] / len(self.history)
            answers = np.searchsorted(self.warm, items)
            columns = draw_columns(answers, share, self.config.negatives, self.rng)
            at = self._on(self.warm[columns.rows])
            offset = self._on(columns.offset)
            targets = self._on(columns.targets)
            loss = blocked_cross_entropy(asking, smooth_items[at], targets, offset, self.precision)
            base = [self.network.users[u], self.network.items[i]]
        return loss + self.config.penalty / len(users) * torch.stack([b.square().sum() for b in base]).sum()

    def _on(self, array: NDArray[Any]) -> Tensor:
        return sent(torch.from_numpy(array), self.device)

    def views(self) -> Vectors:
        """The base vectors."""
        return self.network


def bpr_loss(right: Tensor, wrong: Tensor) -> Tensor:
    """Mean of -log sigmoid(right - wrong) (Rendle et al. 2009), scores of shape (n,)."""
    return -nn.functional.logsigmoid(right - wrong).mean()


class LightGCN(Fitted):
    """Score = user · product, both the mean over layers of their propagated vectors.

    Users of the history fitted have a base vector of their own. Any other history is folded in: its user has the base
    vector zero, so that its vector is (1 / sqrt(n)) times the sum of what its n products send, which is what a user
    of the graph with that base vector and these products gets. Products without a pair score lowest.

    Args:
        config: the model.
        train: seed, device, precision, time.
    """

    name = "lightgcn"
    trained = True
    from_pairs = True

    def __init__(self, config: LightGcnConfig | None = None, train: TrainConfig | None = None) -> None:
        self.config, self.train = config or LightGcnConfig(), train or TrainConfig()

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Train: to the best validated epoch with a judge, else for the epochs that an earlier fit settled on."""
        trainer = LightGcnTrainer(history, self.config, self.train)
        judge = work.judge
        if judge is None:
            trainer.run(int(self.settled("epochs", self.config.epochs)), work.progress)
        else:
            trainer.fit(lambda vectors: judge(self._adopt(vectors, history)), work.progress, work.checkpoint)
        self.facts = trainer.state.facts() | {"device": str(trainer.device)}
        self._adopt(trainer.network, history)

    def take_in(self, history: Interactions) -> None:
        """The same base vectors, propagated over `history`."""
        self._adopt(self.base, history)

    def _adopt(self, base: Vectors, history: Interactions) -> LightGCN:
        """Propagate `base` over `history`."""
        self.history, self.base = history, Vectors(base.users.detach().cpu(), base.items.detach().cpu())
        device = base.users.device
        with torch.no_grad():
            users, items = base(Bipartite.of(history, device), self.config.layers)
            self.users = torch.stack(users).mean(0).cpu().numpy()
            self.items = torch.stack(items).mean(0).cpu().numpy()
            sent = torch.stack([torch.zeros_like(items[0]), *items[:-1]]).sum(0) / len(items)
        self.known = history.buyers > 0
        self.place = np.where(self.known, np.arange(history.n_items), -1)
        scale = self.known / np.sqrt(np.maximum(history.buyers, 1))
        self.sent: NDArray[np.float32] = sent.cpu().numpy() * scale.astype(np.float32)[:, None]
        return self

    def user_vectors(self, histories: Interactions) -> NDArray[np.float32]:
        """Folded-in vectors, zero without known products, shape (histories.n_users, d)."""
        counted = np.bincount(histories.users, self.known[histories.items], histories.n_users)
        scale = (1 / np.sqrt(np.maximum(counted, 1))).astype(np.float32)
        return np.asarray(times(histories.matrix(), self.sent) * scale[:, None], dtype=np.float32)

    def scores(self, users: NDArray[np.int64], items: Items = None) -> NDArray[np.float32]:
        """Scores by the users' own vectors, shape (len(users), len(items))."""
        return inner_products(self.users[users], self.items, self.place, items)

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Scores by folded-in vectors, shape (histories.n_users, len(items))."""
        return inner_products(self.user_vectors(histories), self.items, self.place, items)

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """Score by the whole sum of what is sent minus score by the sum without pair j. Shape (m,)."""
        if not self.known[item]:
            return super().losses(user, item)
        sent = self.sent[user.items] @ self.items[item]
        counted = self.known[user.items]
        left = np.maximum(counted.sum() - counted, 1)
        whole = sent.sum() / np.sqrt(np.maximum(counted.sum(), 1))
        return np.asarray(whole - (sent.sum() - sent) / np.sqrt(left), dtype=np.float32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The base vectors: propagation is done again."""
        return {"users": self.base.users.detach().numpy(), "items": self.base.items.detach().numpy()}

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take the base vectors of `state`."""
        self.facts = dict(facts)
        users, items = (torch.from_numpy(np.array(state[name], np.float32)) for name in ("users", "items"))
        self._adopt(Vectors(users, items), history)

    def moved(self, given: Given, history: Interactions, ids: Mapping[str, IdMap]) -> LightGCN:
        """The base vectors of known users and products over another graph; new ones live on what propagates."""
        there = LightGCN(self.config, self.train)
        rows = {label: ids[label].rows(given.snapshot.nodes[label].ids.ids) for label in (USER, PRODUCT)}
        state = self.state()
        moved = {"users": rows_taken(state["users"], rows[USER]), "items": rows_taken(state["items"], rows[PRODUCT])}
        there.restore(history, moved, self.facts)
        return there
