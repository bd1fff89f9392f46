"""The graph network as a recommender: trained on a history, carried to a longer one or to another graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.network.arrivals import settle_arrivals
from gnn.network.device import choose_precision
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import GraphNetwork, TextFeatures, Views
from gnn.network.joint import JointGraph
from gnn.network.message_graph import build_message_graph
from gnn.network.reading import SEQUENCE, SET, Reading, how_to_read, read_beside
from gnn.network.sampled import SampledSequenceTrainer, SampledTrainer
from gnn.network.scores import NetworkScores
from gnn.network.sequence_fit import SequenceTrainer
from gnn.network.sequence_network import SequenceNetwork, SequenceViews
from gnn.network.sequence_scores import SequenceScores
from gnn.network.signals import Signals
from gnn.network.size import fan_out
from gnn.network.transfer import transferred
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Given, Items, Start, Work
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

    @property
    def user(self) -> Reading:
        """How it reads users."""
        return SEQUENCE if self.facts["user"] == SEQUENCE else SET

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Train: to the best validated epoch with a judge, else for the epochs that an earlier fit settled on.

        Raises:
            GnnError: there is no graph, or the fit to go on from reads users or text otherwise.
        """
        epochs = self.facts.get("epochs")
        user = how_to_read(history, self.config)
        graph = self._graph(history, user)
        others = read_beside(history, user)
        signals = self._signals(history, None if work.start is None else work.start.part.facts)
        network = make_network(graph, history, self.text, self.config, user, len(others), signals)
        if work.start is not None:
            self._go_on_from(work.start, network, graph, user, others)
        trainer = self._trainer(network, graph, history)
        if work.start is not None:
            trainer.learn_from(some_users(work.start.changed, history, self.config.train.seed))
        judge = work.judge
        if judge is None:
            trainer.run(int(epochs or trainer.limits.epochs), work.progress)
        else:
            trainer.fit(lambda views: judge(self._scores(views, history, others)), work.progress, work.checkpoint)
        self.facts = {
            **trainer.state.facts(),
            "user": user,
            "behaviours": list(others),
            "neighbours": trainer.fan_out,
            "device": str(trainer.device),
            "precision": str(choose_precision(self.config.train, trainer.device)).split(".")[-1],
            "relations": list(graph.names),
            "labels": list(graph.offsets),
            "text_width": self._text_width,
            **({"signals": signals.specs} if signals is not None else {}),
        }
        if work.start is not None:
            self.facts |= {"changed_users": int(work.start.changed.sum())}
        settle_arrivals(network, trainer.graph, trainer.text, history, trainer.views().offset)
        network.cpu()
        self.weights = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self._adopt(network, graph, history)

    def _signals(self, history: Interactions, facts: Mapping[str, Any] | None) -> Signals | None:
        """What is read of the products beside their text: as `facts` of an earlier fit have it, else settled anew."""
        snapshot, targets = self._given().snapshot, self.config.graph.target_events
        if facts is None:
            chosen = self.config.model.signals
            return Signals.of(snapshot, history, chosen, targets) if chosen.use else None
        return Signals.again(snapshot, history, facts["signals"], targets) if "signals" in facts else None

    @property
    def _text_width(self) -> int:
        return self.text.distinct.shape[1] if self.text is not None else 0

    def _go_on_from(
        self, start: Start, network: Network, graph: JointGraph, user: Reading, others: tuple[str, ...]
    ) -> None:
        """Give the network the weights of an earlier fit; what that did not know starts at zero."""
        source = start.part
        if not isinstance(source, NetworkRecommender):
            raise TypeError(type(source))
        before, now = (source.facts["user"], source.facts["text_width"]), (user, self._text_width)
        if before != now:
            what = (
                f"the model before reads users as a {before[0]} and text of width {before[1]}, now {now[0]}, {now[1]}"
            )
            raise GnnError(what, "train --warm", "train without --warm")
        moved = transferred(source.weights, source.facts, start.ids, self._given().snapshot, graph, others)
        network.load_state_dict(moved)

    def _trainer(self, network: Network, graph: JointGraph, history: Interactions) -> NetworkTrainer | SequenceTrainer:
        c, drawn = self.config, fan_out(self.config.train, graph, self.config.model.dim, len(network.convs))
        if isinstance(network, SequenceNetwork):
            if drawn:
                return SampledSequenceTrainer(network, graph, history, self.text, c, drawn)
            return SequenceTrainer(network, graph, history, self.text, c)
        if drawn:
            return SampledTrainer(network, graph, history, self.text, c.train, drawn)
        return NetworkTrainer(network, graph, history, self.text, c.train)

    def _scores(self, views: Views | SequenceViews, history: Interactions, others: tuple[str, ...]) -> Scores:
        """The scores of a network's views.

        Raises:
            GnnError: training has diverged.
        """
        if not torch.isfinite(views.items).all() or not torch.isfinite(views.offset).all():
            key = "model.sequence.lr" if isinstance(views, SequenceViews) else "train.lr"
            raise GnnError("training diverged: vectors are no numbers any more", "train", f"set {key} lower")
        if isinstance(views, SequenceViews):
            return SequenceScores.of(views, history, self.config.model, others)
        return NetworkScores.of(views, history, others)

    def take_in(self, history: Interactions) -> None:
        """The same weights over the message graph of `history`."""
        given = self._given()
        self._carry(history, given, {label: table.ids for label, table in given.snapshot.nodes.items()}, self)

    def moved(self, given: Given, history: Interactions, ids: Mapping[str, IdMap]) -> NetworkRecommender:
        """The network propagated over another graph: new products by text, brand and category, new users by history.

        Raises:
            GnnError: the product vectors are missing or of another width.
        """
        width = int(self.facts["text_width"])
        found = 0 if given.vectors is None else given.vectors.shape[1]
        if width and found != width:
            what = f"the model was trained on product vectors of width {width}, found {found or 'none'}"
            remedy = "run shopgraph encode with the same encoder and the same kind of pictures, or train again"
            raise GnnError(what, "embeddings", remedy)
        there = NetworkRecommender(self.config, given if width else replace(given, vectors=None))
        there._carry(history, given, ids, self)
        return there

    def _carry(self, history: Interactions, given: Given, ids: Mapping[str, IdMap], source: NetworkRecommender) -> None:
        """Take the weights of `source`, trained on the graph of `ids`, over the message graph of `history`."""
        user, facts = source.user, source.facts
        graph = self._graph(history, user)
        others = read_beside(history, user) if user == SET else tuple(facts["behaviours"])
        signals = self._signals(history, facts)
        network = make_network(graph, history, self.text, self.config, user, len(others), signals)
        self.weights = transferred(source.weights, facts, ids, given.snapshot, graph, others)
        self.facts = {
            **facts,
            "relations": list(graph.names),
            "labels": list(graph.offsets),
            "behaviours": list(others),
        }
        network.load_state_dict(self.weights)
        self._adopt(network, graph, history)

    def _given(self) -> Given:
        if self.given is None:
            raise GnnError("the network has no graph", "train", "give it a snapshot")
        return self.given

    def _graph(self, history: Interactions, user: Reading) -> JointGraph:
        """The message graph; without the edges of users where those are read as sequences."""
        return build_message_graph(self._given().snapshot, history, self.config.graph, users=user == SET)

    def _adopt(self, network: Network, graph: JointGraph, history: Interactions) -> None:
        """Score by a trained network over a message graph."""
        network.eval()
        views: Views | SequenceViews
        if isinstance(network, SequenceNetwork):
            views = network.views(graph, self.text, torch.from_numpy(history.buyers.astype(np.float32)))
        else:
            views = network.whole(graph, self.text)
        self.inner = self._scores(views, history, tuple(self.facts["behaviours"]))
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


def some_users(changed: NDArray[np.bool_], history: Interactions, seed: int) -> NDArray[np.bool_]:
    """Who changed, and a draw of as many others with a history, so that what was learned of those is not forgotten."""
    others = np.flatnonzero(~changed & (np.diff(history.indptr) > 0))
    many = min(len(others), int(changed.sum()))
    chosen = changed.copy()
    chosen[np.random.default_rng(seed).choice(others, many, replace=False)] = True
    return chosen


def make_network(
    graph: JointGraph,
    history: Interactions,
    text: TextFeatures | None,
    config: GnnConfig,
    user: Reading = SET,
    others: int = 0,
    signals: Signals | None = None,
) -> Network:
    """A network with seeded weights; products and users without events start without an id vector.

    Args:
        graph: what it propagates over.
        history: the pairs to learn from.
        text: text vectors or None.
        config: shape and seed.
        user: how it reads users.
        others: behaviours that it reads beside the target events.
        signals: what it reads of the products beside their text.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        nodes = graph.n_nodes - graph.n_users - graph.n_items
        width = text.distinct.shape[1] if text is not None else 0
        sizes = (graph.n_items, nodes, len(graph.names), width)
        if user == SEQUENCE:
            network: Network = SequenceNetwork(*sizes, config.model, others)
        else:
            network = GraphNetwork(graph.n_users, *sizes, config.model, others)
    if signals is not None:
        with torch.random.fork_rng(devices=[]):
            network.read_signals(signals.values)
    with torch.no_grad():
        network.item_ids[torch.from_numpy(history.buyers == 0)] = 0.0
        if isinstance(network, GraphNetwork) and len(network.user_ids):
            network.user_ids[torch.from_numpy(np.diff(history.indptr) == 0)] = 0.0
    return network
