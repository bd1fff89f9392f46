"""SASRec (Kang and McAuley 2018): causal self-attention over the user's products in order predicts the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnn.config import TrainConfig
from gnn.errors import GnnError
from gnn.models_config import SasRecConfig
from gnn.network.attention import AttentionTower, Layout
from gnn.network.device import choose_device, choose_precision
from gnn.network.feeding import fused_on
from gnn.network.loop import Limits
from gnn.network.sequence_loop import SequenceLoop
from gnn.network.sequences import Sequences, Stretches
from gnn.network.softmax import blocked_cross_entropy
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Given, Items, Work
from gnn.protocol.relations import PRODUCT
from gnn.recommenders.sampling import draw_columns, draw_unbought
from gnn.recommenders.vectors import inner_products
from kg.snapshot import IdMap


class SasRecNetwork(nn.Module):
    """The tower over free product vectors, which are also what its states are asked for.

    Args:
        n_items: products known.
        config: the model.
    """

    def __init__(self, n_items: int, config: SasRecConfig) -> None:
        super().__init__()
        self.items = nn.Parameter(torch.randn(n_items, config.dim) * 0.02)
        self.tower = AttentionTower(config.dim, config.layers, config.heads, config.length, config.dropout)

    def forward(self, layout: Layout) -> Tensor:
        """State after each event, shape (t, dim)."""
        states: Tensor = self.tower(layout, self.items)
        return states


@dataclass(frozen=True)
class Question:
    """What a step asks.

    Attributes:
        layout: the events that are read.
        answers: the product after each event, as a column of the softmax that is asked, shape (t,).
        others: of a sampled softmax its columns' products and offsets; of `bce` a wrong product per event.
    """

    layout: Layout
    answers: Tensor
    others: tuple[Tensor, ...]


class SasRecTrainer(SequenceLoop[SasRecNetwork, Question]):
    """One training run.

    Args:
        network: what is trained, changed in place.
        history: the pairs to learn from.
        place: row in the network of each product, -1: it has none, shape (n_items,).
        config: the model.
        train: seed, device, precision, time.
    """

    title = "SASRec"
    network: SasRecNetwork

    def __init__(
        self,
        network: SasRecNetwork,
        history: Interactions,
        place: NDArray[np.int64],
        config: SasRecConfig,
        train: TrainConfig,
    ) -> None:
        limits = Limits(config.epochs, config.patience, train.max_seconds)
        device = choose_device(train)
        sequences = Sequences.of(history, place)
        super().__init__(network, sequences, config.length, config.batch, limits, train.seed, device)
        self.config, self.precision = config, choose_precision(train, self.device)
        self.loss_name = chosen_loss(config, len(network.items), train)
        self.known = history.renamed(place, len(network.items))[0]
        counts = np.bincount(self.sequences.rows, minlength=len(network.items))
        self.share = counts / max(1, counts.sum())
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.lr, betas=(0.9, 0.98), fused=fused_on(device)
        )

    def plan(self, events: Sequences, begin: NDArray[np.int64], lengths: NDArray[np.int64]) -> Question:
        """The events after the stretches' events, and what else the loss asks for."""
        given = Stretches.cut(events, begin, lengths)
        answers = Stretches.cut(events, begin + 1, lengths).rows
        others: tuple[NDArray[Any], ...] = ()
        if self.loss_name == "sampled":
            columns = draw_columns(answers, self.share, self.config.negatives, self.rng)
            answers, others = columns.targets, (columns.rows, columns.offset)
        elif self.loss_name == "bce":
            users = np.searchsorted(self.sequences.indptr, begin, side="right") - 1
            others = (draw_unbought(self.known, users[given.stretch], np.arange(len(self.network.items)), self.rng),)
        return Question(Layout.of(given, self.device), torch.from_numpy(answers), tuple(map(torch.from_numpy, others)))

    def loss(self, plan: Question) -> Tensor:
        """Mean over all events of the plan of the loss of predicting the event after it."""
        states, items = self.network(plan.layout), self.network.items
        if self.loss_name == "full":
            return blocked_cross_entropy(states, items, plan.answers, precision=self.precision)
        if self.loss_name == "sampled":
            rows, offset = plan.others
            return blocked_cross_entropy(states, items[rows], plan.answers, offset, self.precision)
        right, other = ((states * items[at]).sum(1) for at in (plan.answers, plan.others[0]))
        return -(nn.functional.logsigmoid(right) + nn.functional.logsigmoid(-other)).mean()

    def views(self) -> SasRecNetwork:
        """The network without dropout."""
        return self.network.eval()


def chosen_loss(config: SasRecConfig, n_items: int, train: TrainConfig) -> str:
    """The loss of `config`, `sampled` in place of `full` beyond `train.full_softmax` products."""
    return "sampled" if config.loss == "full" and n_items > train.full_softmax else config.loss


class SasRec(Fitted):
    """Score = state after the user's latest events · product, so that any history can be read without training.

    Products without a training event have no vector: they are skipped in a history and score lowest. A history
    without any known product says nothing: all its scores are zero.

    Args:
        config: the model.
        train: seed, device, precision, time.

    Raises:
        GnnError: the heads do not divide the width.
    """

    name = "sasrec"
    trained = True
    from_pairs = True
    asks = "next-purchase"

    def __init__(self, config: SasRecConfig | None = None, train: TrainConfig | None = None) -> None:
        self.config, self.train = config or SasRecConfig(), train or TrainConfig()
        if self.config.dim % self.config.heads:
            what = f"{self.config.heads} heads do not divide the width {self.config.dim}"
            raise GnnError(what, "models.sasrec.heads", "make models.sasrec.dim a multiple of it")

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Train: to the best validated epoch with a judge, else for the epochs that an earlier fit settled on."""
        products = np.flatnonzero(history.buyers > 0)
        self.history, self.place = history, np.full(history.n_items, -1)
        self.place[products] = np.arange(len(products))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.train.seed)
            network = SasRecNetwork(len(products), self.config)
        trainer = SasRecTrainer(network, history, self.place, self.config, self.train)
        self.network, judge = trainer.network, work.judge
        if judge is None:
            trainer.run(int(self.settled("epochs", self.config.epochs)), work.progress)
        else:
            trainer.fit(lambda _: judge(self), work.progress, work.checkpoint)
        self.facts = trainer.state.facts() | {"device": str(trainer.device), "loss": trainer.loss_name}
        if trainer.loss_name != self.config.loss:
            products_of = f"{len(products):,} products are more than train.full_softmax"
            self.facts = {**self.facts, "note": f"sampled softmax: {products_of}"}
        self.network = trainer.views().cpu()

    def take_in(self, history: Interactions) -> None:
        """The same weights; `history` is what its users are read from."""
        self.history = history

    def user_states(self, histories: Interactions) -> NDArray[np.float32]:
        """State after each user's latest events, zero without a known product, shape (histories.n_users, d)."""
        network = self.network
        return network.tower.last_states(Sequences.of(histories, self.place), network.items, self.config.length)

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, len(items))."""
        vectors = self.network.items.detach().cpu().numpy()
        return inner_products(self.user_states(histories), vectors, self.place, items)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Row of each product in the network, and the weights."""
        weights = {name: value.detach().cpu().numpy() for name, value in self.network.state_dict().items()}
        return {"place": self.place, **weights}

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take the weights of `state`."""
        self.history, self.facts = history, dict(facts)
        self.place = np.asarray(state["place"], dtype=np.int64)
        self.network = SasRecNetwork(len(state["items"]), self.config).eval()
        self.network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items() if k != "place"})

    def moved(self, given: Given, history: Interactions, ids: Mapping[str, IdMap]) -> SasRec:
        """The same weights with the products in the rows of another graph; those that are new there score lowest."""
        there = SasRec(self.config, self.train)
        rows = ids[PRODUCT].rows(given.snapshot.nodes[PRODUCT].ids.ids)
        there.restore(history, self.state(), self.facts)
        there.place = np.where(rows >= 0, self.place[rows], -1)
        return there
