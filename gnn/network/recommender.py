"""The graph network as a recommender: trained on a history, carried to a longer one or to another graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.network.device import choose_precision
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import GraphNetwork, TextFeatures, Views
from gnn.network.joint import JointGraph
from gnn.network.message_graph import PRODUCT, USER, build_message_graph
from gnn.network.reading import SEQUENCE, SET, Reading, how_to_read
from gnn.network.sampled import SampledSequenceTrainer, SampledTrainer
from gnn.network.scores import NetworkScores
from gnn.network.sequence_fit import SequenceTrainer
from gnn.network.sequence_network import SequenceNetwork, SequenceViews
from gnn.network.sequence_scores import SequenceScores
from gnn.network.size import fan_out
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Given, Items, Work
from kg.snapshot import IdMap

WEIGHT = "weight."
"""Prefix of the network's parameters among the arrays of the fitted state."""

Network = GraphNetwork | SequenceNetwork
Scores = NetworkScores | SequenceScores


class NetworkRecommender(Fitted):
    """Trains the graph network; scores come from its vectors over the message graph of the history known.

    Users are read as sets (`GraphNetwork`) or as sequences (`SequenceNetwork`), as `config.model.user` says.

    Args:
        config: message graph, model, training.
        given: graph and text vectors; None: the vectors of a saved state are all that is needed.

    Attributes:
        inner: the scores of the trained network.
    """

    name = "network"
    trained = True
    inner: Scores

    def __init__(self, config: GnnConfig, given: Given | None = None) -> None:
        self.config, self.given = config, given
        vectors = given.vectors if given is not None and config.graph.use_text else None
        self.text = TextFeatures.of(vectors) if vectors is not None else None
        self.weights: dict[str, torch.Tensor] = {}

    @property
    def items(self) -> NDArray[np.float32]:
        """Unit vectors of the products, shape (n_items, d)."""
        return self.inner.items

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Train: to the best validated epoch with a judge, else for the epochs that an earlier fit settled on.

        Raises:
            GnnError: there is no graph.
        """
        if self.given is None:
            raise GnnError("the network has no graph to train on", "train", "give it a snapshot")
        user = how_to_read(self.given.snapshot, history, self.config)
        graph = self._graph(history, user)
        network = make_network(graph, history, self.text, self.config, user)
        trainer = self._trainer(network, graph, history)
        judge = work.judge
        if judge is None:
            trainer.run(int(self.settled("epochs", trainer.limits.epochs)), work.progress)
        else:
            trainer.fit(lambda views: judge(self._scores(views, history)), work.progress, work.checkpoint)
        state = trainer.state
        self.facts = {
            **state.facts(),
            "user": user,
            "neighbours": trainer.fan_out,
            "device": str(trainer.device),
            "precision": str(choose_precision(self.config.train, trainer.device)).split(".")[-1],
            "relations": list(graph.graph.names),
            "labels": list(graph.graph.offsets),
            "text_width": self.text.distinct.shape[1] if self.text is not None else 0,
        }
        network.cpu()
        self.weights = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self._adopt(network, graph, history)

    def _trainer(self, network: Network, graph: JointGraph, history: Interactions) -> NetworkTrainer | SequenceTrainer:
        c, drawn = self.config, fan_out(self.config.train, graph, self.config.model.dim, len(network.convs))
        if isinstance(network, SequenceNetwork):
            if drawn:
                return SampledSequenceTrainer(network, graph, history, self.text, c, drawn)
            return SequenceTrainer(network, graph, history, self.text, c)
        if drawn:
            return SampledTrainer(network, graph, history, self.text, c.train, drawn)
        return NetworkTrainer(network, graph, history, self.text, c.train)

    def _scores(self, views: Views | SequenceViews, history: Interactions) -> Scores:
        """The scores of a network's views.

        Raises:
            GnnError: training has diverged.
        """
        if not torch.isfinite(views.items).all() or not torch.isfinite(views.offset).all():
            key = "model.sequence.lr" if isinstance(views, SequenceViews) else "train.lr"
            raise GnnError("training diverged: vectors are no numbers any more", "train", f"set {key} lower")
        if isinstance(views, SequenceViews):
            return SequenceScores.of(views, history, self.config.model)
        return NetworkScores.of(views, history)

    def take_in(self, history: Interactions) -> None:
        """The same weights over the message graph of `history`."""
        graph = self._graph(history, self.user)
        network = make_network(graph, history, self.text, self.config, self.user)
        network.load_state_dict(self.weights)
        self._adopt(network, graph, history)

    @property
    def user(self) -> Reading:
        """How it reads users."""
        return SEQUENCE if self.facts["user"] == SEQUENCE else SET

    def _graph(self, history: Interactions, user: Reading) -> JointGraph:
        """The message graph; without the edges of users where those are read as sequences."""
        if self.given is None:
            raise GnnError("the network has no graph", "train", "give it a snapshot")
        carried = history if user == SET else history.where(np.zeros(len(history), np.bool_))
        return JointGraph.of(build_message_graph(self.given.snapshot, carried, self.config.graph))

    def _adopt(self, network: Network, graph: JointGraph, history: Interactions) -> None:
        """Score by a trained network over a message graph."""
        network.eval()
        if isinstance(network, SequenceNetwork):
            buyers = torch.from_numpy(history.buyers.astype(np.float32))
            self.inner = self._scores(network.views(graph, self.text, buyers), history)
        else:
            self.inner = self._scores(network.whole(graph, self.text), history)
        self.history = history

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, len(items))."""
        return self.inner.scores_for(histories, items)

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """Score with the whole history minus score without pair j. Shape (m,)."""
        return self.inner.losses(user, item)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The vectors, by which a fresh process scores without graph and text, and the weights."""
        return self.inner.state() | {WEIGHT + name: value.numpy() for name, value in self.weights.items()}

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take vectors and weights of `state`."""
        self.history, self.facts = history, dict(facts)
        if self.user == SEQUENCE:
            self.inner = SequenceScores()
            self.inner.config = self.config.model
        else:
            self.inner = NetworkScores()
        self.inner.restore(history, state, facts)
        found = {k.removeprefix(WEIGHT): v for k, v in state.items() if k.startswith(WEIGHT)}
        self.weights = {name: torch.from_numpy(np.array(value)) for name, value in found.items()}

    def moved(self, given: Given, history: Interactions, ids: Mapping[str, IdMap]) -> NetworkRecommender:
        """The network propagated over another graph: new products by text, brand and category, new users by history.

        Raises:
            GnnError: the text vectors are missing or of another width.
        """
        width = int(self.facts["text_width"])
        found = 0 if given.vectors is None else given.vectors.shape[1]
        if width and found != width:
            what = f"the model was trained on text vectors of width {width}, found {found or 'none'}"
            raise GnnError(what, "embeddings", "run shopgraph encode with the same encoder, or train again")
        there = NetworkRecommender(self.config, given if width else Given(given.snapshot))
        graph = there._graph(history, self.user)
        network = make_network(graph, history, there.text, self.config, self.user)
        there.weights = self._weights_for(graph, given, ids)
        there.facts = {**self.facts, "relations": list(graph.graph.names), "labels": list(graph.graph.offsets)}
        network.load_state_dict(there.weights)
        there._adopt(network, graph, history)
        return there

    def _weights_for(self, graph: JointGraph, given: Given, ids: Mapping[str, IdMap]) -> dict[str, torch.Tensor]:
        """The weights, node by node and relation by relation; zero for what this network does not know."""
        labels: Sequence[str] = self.facts["labels"]
        nodes, offsets = given.snapshot.nodes, graph.graph.offsets
        rows = {name: ids[name].rows(nodes[name].ids.ids) for name in offsets if name in labels}
        weights = dict(self.weights)
        for name in ("item_ids", "bias"):
            weights[name] = _taken(weights[name], rows[PRODUCT])
        if len(weights.get("user_ids", ())):
            weights["user_ids"] = _taken(weights["user_ids"], rows[USER])
        begin, parts = 0, {}
        for label in labels:
            if label not in (USER, PRODUCT):
                parts[label] = self.weights["other_ids"][begin : begin + len(ids[label])]
                begin += len(ids[label])
        dim = self.weights["other_ids"].shape[1]
        blocks = [
            _taken(parts[label], rows[label]) if label in parts else torch.zeros(len(nodes[label]), dim)
            for label in offsets
            if label not in (USER, PRODUCT)
        ]
        weights["other_ids"] = torch.cat([torch.zeros(0, dim), *blocks])
        known = list(self.facts["relations"])
        place = np.asarray([known.index(n) if n in known else -1 for n in graph.graph.names], dtype=np.int64)
        for name, value in self.weights.items():
            if name.endswith(".scale"):
                weights[name] = _taken(value, place)
        return weights


def make_network(
    graph: JointGraph, history: Interactions, text: TextFeatures | None, config: GnnConfig, user: Reading = SET
) -> Network:
    """A network with seeded weights that reads users as `user` says; products without events start without an id."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        others = graph.n_nodes - graph.n_users - graph.n_items
        width = text.distinct.shape[1] if text is not None else 0
        sizes = (graph.n_items, others, len(graph.graph.relations), width)
        if user == SEQUENCE:
            network: Network = SequenceNetwork(*sizes, config.model)
        else:
            network = GraphNetwork(graph.n_users, *sizes, config.model)
    with torch.no_grad():
        network.item_ids[torch.from_numpy(history.buyers == 0)] = 0.0
        if isinstance(network, GraphNetwork) and len(network.user_ids):
            network.user_ids[torch.from_numpy(np.diff(history.indptr) == 0)] = 0.0
    return network


def _taken(values: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
    """`values[rows]`, zero where the row is -1."""
    at = torch.from_numpy(rows)
    if not len(values):
        return values.new_zeros(len(rows), *values.shape[1:])
    known = (at >= 0).view(-1, *[1] * (values.dim() - 1))
    return torch.where(known, values[at.clamp(min=0)], values.new_zeros(()))
