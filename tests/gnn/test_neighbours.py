"""Sampled neighbourhoods: whom they may hold, what they stand for, and that training on them is the same training."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gnn.config import GnnConfig, GraphConfig, ModelConfig, SequenceConfig, SplitConfig, TrainConfig
from gnn.errors import GnnError
from gnn.network.blocks import received_in_blocks
from gnn.network.feeding import sent
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import TextFeatures
from gnn.network.joint import JointGraph, JointProduct
from gnn.network.message_graph import build_message_graph
from gnn.network.neighbour_loader import NeighbourLinkLoader, NeighbourNodeLoader, NeighbourSampler, as_data
from gnn.network.neighbours import Neighbours
from gnn.network.recommender import NetworkRecommender, make_network
from gnn.network.sampled import SampledSequenceTrainer, SampledTrainer
from gnn.network.sampled_graph import SampledGraph
from gnn.network.sequence_fit import SequenceTrainer
from gnn.network.size import fan_out, step_bytes
from gnn.network.team import Team
from gnn.protocol.events import UNKNOWN, read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Given
from gnn.protocol.splits import split_events
from ingest.config_dict import from_dict
from kg.snapshot import Snapshot

EVERY = 10_000
"""A fan-out that leaves no edge out."""


@pytest.fixture(scope="module")
def history(shop: Snapshot) -> Interactions:
    return split_events(read_events(shop, ()), SplitConfig("column")).history("valid")


@pytest.fixture(scope="module")
def graph(shop: Snapshot, history: Interactions) -> JointGraph:
    return build_message_graph(shop, history, GraphConfig())


def edges_of(graph: JointGraph) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Source, target and relation of every edge."""
    many = np.diff(graph.indptr.numpy())
    return graph.sources.numpy(), np.repeat(graph.target.numpy(), many), np.repeat(graph.relation.numpy(), many)


def test_few_edges_are_all_taken_and_many_stand_for_all(graph: JointGraph) -> None:
    source, target, relation = edges_of(graph)
    seeds = np.arange(graph.n_nodes)
    sample = Neighbours(graph, 3).sample(seeds, 1, key=1)
    draw = sample.draws[0]
    drawn = np.repeat(draw.target, np.diff(draw.indptr))
    for node in range(graph.n_nodes):
        for kind in np.unique(relation[target == node]):
            own = np.flatnonzero((target == node) & (relation == kind))
            here = (drawn == node) & (relation[draw.edges] == kind)
            assert set(draw.edges[here]) <= set(own)
            assert here.sum() == min(3, len(own))
            assert draw.weight[here].sum() == pytest.approx(len(own), rel=1e-5)
            if len(own) <= 3:
                assert sorted(draw.edges[here]) == own.tolist()
    np.testing.assert_array_equal(sample.nodes[draw.sources], source[draw.edges])


def test_seeds_come_first_and_nodes_once(graph: JointGraph) -> None:
    seeds = np.array([70, 3, 100])
    sample = Neighbours(graph, 2).sample(seeds, 3, key=5)
    assert sample.nodes[:3].tolist() == [70, 3, 100]
    assert len(np.unique(sample.nodes)) == len(sample.nodes) == sample.sizes[-1]
    assert list(sample.sizes) == sorted(sample.sizes)
    _, target, _ = edges_of(graph)
    for hop, draw in enumerate(sample.draws):
        assert draw.sources.max() < sample.sizes[hop + 1]
        ends = np.repeat(draw.target, np.diff(draw.indptr))
        assert ends.max() < sample.sizes[hop]
        np.testing.assert_array_equal(sample.nodes[ends], target[draw.edges])


def test_a_node_draws_the_same_whoever_asks_and_anew_in_every_hop(graph: JointGraph) -> None:
    neighbours = Neighbours(graph, 4)

    def drawn(seeds: list[int], hop: int, key: int = 9) -> list[int]:
        draw = neighbours.sample(np.array(seeds), hop + 1, key).draws[hop]
        first = np.repeat(draw.target, np.diff(draw.indptr)) == 0
        return draw.edges[first].tolist()

    assert drawn([5, 61, 90], 0) == drawn([5, 20], 0)
    assert drawn([5, 61, 90], 1) == drawn([5], 1)
    assert drawn([5], 0) != drawn([5], 1)
    assert drawn([5], 0) != drawn([5], 0, key=10)


def test_sampled_propagation_is_right_on_average(graph: JointGraph, history: Interactions) -> None:
    network = make_network(graph, history, None, replace(GnnConfig(), model=ModelConfig(dim=4)))
    seeds = np.array([0, 7, 60, 75, 139, 145])
    sampled = SampledGraph.of(graph, 3)
    with torch.no_grad():
        for conv in network.convs:
            conv.scale.uniform_(0.5, 1.5)
        x = torch.cat([network.user_ids, network.item_ids, network.other_ids])
        want = torch.stack([x, *network.propagate(graph, graph.whole(), x)]).sum(0)[seeds]
        found = []
        for key in range(600):
            sample = sampled.neighbours.sample(seeds, 3, key)
            near = sampled.around(sample, sampled.degree[sample.nodes])
            torch.testing.assert_close(near.base(network, None, network.user_ids), x[sample.nodes], rtol=0, atol=0)
            found.append(near.propagated(network, x[sample.nodes]))
    draws = torch.stack(found)
    error = draws.std(0) / len(draws) ** 0.5
    assert float(draws.std(0).mean()) > 0.01
    assert float(((draws.mean(0) - want).abs() / error.clamp(min=1e-6)).max()) < 4.5


def test_what_is_left_out_is_never_drawn_and_the_rest_weighs_as_before(
    graph: JointGraph, history: Interactions
) -> None:
    sampled = SampledGraph.of(graph, 3)
    pairs = np.arange(0, len(history), 3)
    out = sampled.edges_of[pairs].ravel()
    source, target, _ = edges_of(graph)
    ends = {(int(u), int(graph.n_users + i)) for u, i in zip(history.users[pairs], history.items[pairs], strict=True)}
    assert set(zip(source[out].tolist(), target[out].tolist(), strict=True)) == ends | {(b, a) for a, b in ends}
    seeds = np.arange(graph.n_nodes)
    with_all = sampled.neighbours.sample(seeds, 2, 4).draws[1]
    without = sampled.neighbours.sample(seeds, 2, 4, out).draws[1]
    kept = ~np.isin(with_all.edges, out)
    assert 0 < kept.sum() < len(kept)
    np.testing.assert_array_equal(without.edges, with_all.edges[kept])
    np.testing.assert_array_equal(without.weight, with_all.weight[kept])
    again = sampled.neighbours.sample(seeds, 2, 4).draws[1]
    np.testing.assert_array_equal(again.edges, with_all.edges)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 12), st.integers(1, 6))
def test_no_edge_is_as_late_as_its_seed(graph: JointGraph, key: int, moment: int, fan_out: int) -> None:
    rng = np.random.default_rng(key)
    at = rng.integers(0, 12, len(graph.sources))
    at[rng.random(len(at)) < 0.2] = UNKNOWN
    seeds = np.array([3, 3, 64, 140])
    until = np.array([moment, 6, 12, moment])
    sample = Neighbours(graph, fan_out, at).sample(seeds, 2, key, until=until)
    assert sample.tree is not None
    source, target, relation = edges_of(graph)
    for draw in sample.draws:
        ends = np.repeat(draw.target, np.diff(draw.indptr))
        late = until[sample.tree[ends]]
        assert (at[draw.edges] < late).all()
        np.testing.assert_array_equal(sample.nodes[draw.sources], source[draw.edges])
        np.testing.assert_array_equal(sample.tree[draw.sources], sample.tree[ends])
    first = sample.draws[0]
    ends = np.repeat(first.target, np.diff(first.indptr))
    for n, seed in enumerate(seeds):
        there = (target == seed) & (at < until[n])
        assert first.weight[ends == n].sum() == pytest.approx(there.sum(), rel=1e-5)
        most = sum(min(fan_out, int((there & (relation == kind)).sum())) for kind in range(relation.max() + 1))
        assert (ends == n).sum() == most


def test_node_loader_gives_batches_with_seeds_first(graph: JointGraph) -> None:
    data = as_data(graph)
    loader = NeighbourNodeLoader(data, NeighbourSampler(graph, 3, 2), input_nodes=torch.arange(60), batch_size=16)
    seen = []
    for batch in loader:
        seen += batch.n_id[: batch.batch_size].tolist()
        torch.testing.assert_close(batch.n_id[batch.edge_index], data.edge_index[:, batch.e_id])
        torch.testing.assert_close(batch.edge_type, data.edge_type[batch.e_id])
        assert len(batch.weight) == batch.edge_index.shape[1] == sum(batch.num_sampled_edges)
        assert sum(batch.num_sampled_nodes) == len(batch.n_id)
    assert seen == list(range(60))


@pytest.mark.parametrize("timed", [False, True])
def test_link_loader_draws_no_seed_link_in_either_direction(
    graph: JointGraph, history: Interactions, timed: bool
) -> None:
    at = np.full(len(graph.sources), UNKNOWN)
    at[graph.moved.numpy()] = history.first[graph.pairs.numpy()]
    links = torch.from_numpy(np.stack([history.users, graph.n_users + history.items]))
    more = {"edge_label_time": torch.from_numpy(history.last)} if timed else {}
    loader = NeighbourLinkLoader(
        as_data(graph),
        NeighbourSampler(graph, 4, 2, at if timed else None),
        edge_label_index=links,
        batch_size=32,
        **more,
    )
    for n, batch in enumerate(loader):
        asked = links[:, n * 32 : n * 32 + 32]
        torch.testing.assert_close(batch.n_id[batch.edge_label_index], asked)
        ends = {tuple(pair) for pair in asked.T.tolist()}
        there = {tuple(pair) for pair in batch.n_id[batch.edge_index].T.tolist()}
        assert there
        assert not there & (ends | {(b, a) for a, b in ends})
        if timed:
            tree = batch.batch[batch.edge_index[1]] % len(asked.T)
            assert (at[batch.e_id] < batch.edge_label_time[tree].numpy()).all()


def test_negatives_are_refused(graph: JointGraph) -> None:
    loader = NeighbourLinkLoader(
        as_data(graph), NeighbourSampler(graph, 4, 1), edge_label_index=torch.zeros(2, 1, dtype=torch.int64),
        neg_sampling="binary",
    )  # fmt: skip
    with pytest.raises(GnnError, match="draws no negatives"):
        next(iter(loader))


@pytest.mark.parametrize("most", [1000, 20])
@pytest.mark.parametrize("looked", [False, True])
def test_with_every_neighbour_a_step_is_that_of_the_whole_graph(
    shop: Snapshot, text: NDArray[np.float32], history: Interactions, most: int, looked: bool, device: torch.device
) -> None:
    if looked:  # users have viewed what they and the next user bought, the one before they did or after
        view = replace(history, first=history.first[::-1].copy(), last=history.last[::-1].copy())
        more = history.take(np.roll(np.arange(60), 1))
        history = replace(history, side={"view": view, "cart": more})
    graph = build_message_graph(shop, history, GraphConfig())
    config = TrainConfig(device=device.type, edge_dropout=0, dropout=0, user_dropout=0, full_softmax=most,
                         negatives=30)  # fmt: skip
    features = TextFeatures.of(text)
    losses, gradients = [], []
    for most_drawn in (0, EVERY):
        network = make_network(graph, history, features, GnnConfig(), others=len(history.side))
        given = (network, graph, history, features, config)
        trainer = SampledTrainer(*given, most_drawn) if most_drawn else NetworkTrainer(*given)
        for team in (Team(), Team(1, 3)):
            trainer.team, trainer.batches.rng = team, np.random.default_rng(0)
            loss = trainer.loss(sent(trainer.plan(np.arange(0, 40, 2)), device))
            network.zero_grad()
            loss.backward()
            losses.append(loss.item())
            gradients.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
    assert losses[2:] == pytest.approx(losses[:2], rel=1e-5)
    for n in (0, 1):
        assert gradients[n].keys() == gradients[n + 2].keys()
        for name, value in gradients[n].items():
            torch.testing.assert_close(gradients[n + 2][name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_with_every_neighbour_sequences_are_learned_alike(
    shop: Snapshot, text: NDArray[np.float32], history: Interactions, device: torch.device
) -> None:
    graph = build_message_graph(shop, history, GraphConfig(), users=False)
    sequence = SequenceConfig(dropout=0.0, batch=20, full_softmax=10)
    train = TrainConfig(device=device.type, negatives=20)
    config = replace(GnnConfig(), train=train, model=ModelConfig(sequence=sequence))
    features, found = TextFeatures.of(text), []
    for most_drawn in (0, EVERY):
        network = make_network(graph, history, features, config, "sequence")
        given = (network, graph, history, features, config)
        trainer = SampledSequenceTrainer(*given, most_drawn) if most_drawn else SequenceTrainer(*given)
        trainer.rng = np.random.default_rng(3)
        loss = trainer.loss(sent(trainer.plan(trainer.sequences, trainer.begin[:20], trainer.lengths[:20]), device))
        loss.backward()
        found.append((loss.item(), network.item_ids.grad.clone(), network.convs[0].scale.grad.clone()))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(found[1][2], found[0][2], rtol=1e-3, atol=1e-6)


def test_sampled_training_learns_and_repeats(shop: Snapshot, graph: JointGraph, history: Interactions) -> None:
    def run(seed: int) -> list[float]:
        config = replace(GnnConfig(), train=TrainConfig(device="cpu", batch=16, seed=seed))
        trainer = SampledTrainer(make_network(graph, history, None, config), graph, history, None, config.train, 2)
        return [trainer.run_epoch() for _ in range(8)]

    losses = run(0)
    assert losses == run(0)
    assert losses != run(1)
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("most", [1, 7, 10_000])
def test_blocks_give_what_the_whole_product_gives(graph: JointGraph, most: int) -> None:
    g = torch.Generator().manual_seed(1)
    x = torch.randn(graph.n_nodes, 5, generator=g)
    values = torch.rand(len(graph.sources), generator=g)
    scale = torch.rand(len(graph.names), generator=g)
    want = JointProduct.apply(graph, values, scale, x)
    assert torch.equal(received_in_blocks(graph, values, scale, x, most), want)


def test_a_graph_without_knowledge_can_be_sampled(interactions: Callable[..., Interactions], shop: Snapshot) -> None:
    history = interactions({u: [u, u + 1, u + 2] for u in range(60)}, 60, 80)
    config = GraphConfig(use_brands=False, use_categories=False, use_related=False)
    graph = build_message_graph(shop, history, config)
    train = TrainConfig(device="cpu")
    network = make_network(graph, history, None, replace(GnnConfig(), train=train))
    assert np.isfinite(SampledTrainer(network, graph, history, None, train, 1).run_epoch())


def test_auto_draws_where_the_whole_graph_is_too_large(graph: JointGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, nodes = len(graph.target), graph.n_nodes
    assert step_bytes(graph, 8, 2) == 4 * 8 * (4 * rows + 10 * nodes)
    for memory, want in ((2 * step_bytes(graph, 8, 2), 0), (2 * step_bytes(graph, 8, 2) - 2, 10)):
        monkeypatch.setattr("gnn.network.size.machine_memory", lambda memory=memory: memory)
        assert fan_out(TrainConfig(), graph, 8, 2) == want
        assert fan_out(TrainConfig(neighbours=0), graph, 8, 2) == 0
        assert fan_out(TrainConfig(neighbours=3), graph, 8, 2) == 3
    with pytest.raises(GnnError, match="-1 neighbours cannot be drawn"):
        fan_out(TrainConfig(neighbours=-1), graph, 8, 2)


@pytest.mark.parametrize("user", ["set", "sequence"])
def test_the_setting_decides_and_the_model_says_so(shop: Snapshot, history: Interactions, user: str) -> None:
    values = {"model": {"user": user}, "train": {"neighbours": 4, "epochs": 1, "threads": 1}}
    network = NetworkRecommender(from_dict(GnnConfig, values, "test"), Given(shop))
    network.fit(history)
    assert network.facts["neighbours"] == 4
    assert np.isfinite(network.scores(np.arange(60))).all()
    plain = NetworkRecommender(from_dict(GnnConfig, {"train": {"epochs": 1, "threads": 1}}, "test"), Given(shop))
    plain.fit(history)
    assert plain.facts["neighbours"] == 0
