import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnn.config import GnnConfig, GraphConfig, SplitConfig
from gnn.errors import GnnError
from gnn.model.align import align
from gnn.model.bundle import Bundle
from gnn.model.training import train
from gnn.network.graph_network import TextFeatures
from gnn.network.joint import JointGraph
from gnn.network.message_graph import build_message_graph
from gnn.network.reading import how_to_read
from gnn.network.recommender import NetworkRecommender, make_network
from gnn.network.sequence_fit import SequenceTrainer
from gnn.network.sequence_network import SequenceNetwork
from gnn.network.sequence_scores import SequenceScores
from gnn.protocol.events import read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Given, Recommender, Work
from gnn.protocol.splits import split_events
from gnn.serving.deletions import deletions
from ingest.config_dict import from_dict
from ingest.progress import SilentProgress
from kg.snapshot import EdgeTable, Snapshot

Text = NDArray[np.float32]


def settings(*, epochs: int = 3, patience: int = 9, **changes: Any) -> GnnConfig:
    """The network of the tests: one thread, without dropout unless `changes` of the sequence say so."""
    sequence = {"dropout": 0.0, "id_dropout": 0.0, "lr": 0.01, "batch": 16, "length": 6, **changes}
    train = {"threads": 1, "device": "cpu", "epochs": epochs, "patience": patience}
    given = {"split": {"method": "column"}, "train": train, "eval": {"bootstrap": 50}}
    return from_dict(GnnConfig, {**given, "model": {"user": "sequence", "dim": 16, "sequence": sequence}}, "test")


def known(shop: Snapshot) -> Interactions:
    """What is known before valid, without product 7: it is nobody's."""
    history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    return history.where(history.items != 7)


def trainer_of(shop: Snapshot, text: Text | None, config: GnnConfig) -> SequenceTrainer:
    history = known(shop)
    graph = build_message_graph(shop, history, GraphConfig(), users=False)
    features = None if text is None else TextFeatures.of(text)
    network = make_network(graph, history, features, config, "sequence")
    assert isinstance(network, SequenceNetwork)
    with torch.no_grad():  # every weight far from its start, so that each of them matters
        noise = torch.Generator().manual_seed(5)
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape, generator=noise) * 0.3)
    return SequenceTrainer(network, graph, history, features, config)


def naive_items(network: SequenceNetwork, graph: JointGraph, text: Tensor | None) -> Tensor:
    """Base + one propagation over the knowledge graph alone, by dense matrices."""
    x = torch.zeros(graph.n_nodes, network.item_ids.shape[1])
    first, last = graph.n_users, graph.n_users + graph.n_items
    x[first:last] = network.item_ids
    x[last:] = network.other_ids
    if text is not None and network.text is not None:
        x[first:last] += network.text(text)
    scale = network.convs[0].scale
    assert isinstance(scale, Tensor)
    rows = graph.matrix(graph.whole().values).to_dense()
    weighed = torch.zeros(graph.n_nodes, graph.n_nodes).index_add(0, graph.target, rows * scale[graph.relation, None])
    degree = torch.zeros(graph.n_nodes).index_add(0, graph.target, rows.sum(1))
    norm = torch.where(degree > 0, degree.clamp(min=1) ** -0.5, 0.0)
    return (x + norm[:, None] * (weighed @ (norm[:, None] * x)))[first:last]


@pytest.mark.parametrize("with_text", [True, False])
def test_product_vectors_are_base_and_neighbours_by_the_dense_formula(
    shop: Snapshot, text: Text, with_text: bool
) -> None:
    trainer = trainer_of(shop, text if with_text else None, settings())
    want = naive_items(trainer.network, trainer.graph, torch.from_numpy(text) if with_text else None)
    torch.testing.assert_close(trainer.views().items, want, atol=1e-4, rtol=1e-4)


def test_a_product_without_id_stands_on_text_and_neighbours(shop: Snapshot, text: Text) -> None:
    trainer = trainer_of(shop, text, settings())
    kept = torch.ones(80)
    kept[[3, 9]] = 0
    found = trainer.network.items(trainer.graph, trainer.edges, trainer.text, kept)
    with torch.no_grad():
        trainer.network.item_ids[[3, 9]] = 0
    torch.testing.assert_close(
        found, trainer.network.items(trainer.graph, trainer.edges, trainer.text), atol=1e-5, rtol=1e-4
    )


def test_the_loss_is_the_softmax_over_every_warm_product_at_every_event(shop: Snapshot, text: Text) -> None:
    trainer = trainer_of(shop, text, settings())
    history, network = known(shop), trainer.network
    log, warm = history.timeline, np.flatnonzero(history.buyers > 0)
    assert len(warm) < 80
    items, offset = naive_items(network, trainer.graph, torch.from_numpy(text)), network.bias + 0
    offset = offset + network.popularity * torch.log1p(torch.from_numpy(history.buyers))
    losses = []
    for user in (4, 31):
        events = history.items[log.pairs[log.indptr[user] : log.indptr[user + 1]]]
        for end in range(1, len(events)):
            last = len(events) - 1
            after = last - (last - end) // 6 * 6  # windows of six, counted from the end
            read = events[max(0, after - 6) : end]
            state = _state(network, items, read.tolist(), after - end)
            logits = items[warm] @ state + offset[warm]
            target = int(np.searchsorted(warm, events[end]))
            losses.append(nn.functional.cross_entropy(logits[None], torch.tensor([target])))
    users = np.searchsorted(trainer.sequences.indptr, trainer.begin, side="right") - 1
    at = np.flatnonzero(np.isin(users, [4, 31]))
    at = at[np.argsort(trainer.lengths[at], kind="stable")]
    network.eval()
    found = trainer.loss(trainer.plan(trainer.sequences, trainer.begin[at], trainer.lengths[at]))
    assert found.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-4)
    want = torch.autograd.grad(torch.stack(losses).mean(), [network.bias, network.popularity, network.item_ids])
    got = torch.autograd.grad(found, [network.bias, network.popularity, network.item_ids])
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def _state(network: SequenceNetwork, items: Tensor, events: list[int], after: int = 0) -> Tensor:
    """The state after the last of `events`, by torch's own attention; so many more are in their stretch `after` it."""
    tower, dim = network.tower, items.shape[1]
    x = items[events] * math.sqrt(dim) + tower.positions[after : after + len(events)].flip(0)
    for block in tower.blocks:
        layer: Any = block
        attention = nn.MultiheadAttention(dim, layer.heads, batch_first=True)
        for name, value in (
            ("in_proj_weight", layer.asked.weight),
            ("in_proj_bias", layer.asked.bias),
            ("out_proj.weight", layer.mixed.weight),
            ("out_proj.bias", layer.mixed.bias),
        ):
            holder, _, key = name.rpartition(".")
            (attention.get_submodule(holder) if holder else attention)._parameters[key] = value
        seen = layer.before(x)
        future = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
        latest = torch.zeros_like(x)
        for here in range(len(x)):
            for back in range(min(here, 2) + 1):  # three events are convolved
                latest[here] = latest[here] + seen[here - back] * layer.latest[back]
        x = x + attention(seen, seen, seen, attn_mask=future, need_weights=False)[0] + latest
        x = x + layer.outer(torch.relu(layer.inner(layer.after(x))))
    state: Tensor = tower.final(x)[-1]
    return state


def test_scores_are_state_times_product_and_offset(shop: Snapshot, text: Text) -> None:
    config = settings()
    trainer = trainer_of(shop, text, config)
    history = known(shop)
    scores = SequenceScores.of(trainer.views(), history, config.model, ())
    log = history.timeline
    for user in (0, 17):
        events = history.items[log.pairs[log.indptr[user] : log.indptr[user + 1]]].tolist()
        want = trainer.views().items @ _state(trainer.network, trainer.views().items, events[-6:])
        want = want + torch.from_numpy(scores.offset)
        np.testing.assert_allclose(scores.scores(np.array([user]))[0], want.detach().numpy(), atol=1e-4)
    nobody = history.take(np.array([0])).where(np.zeros(int(history.indptr[1]), np.bool_))
    np.testing.assert_allclose(scores.scores_for(nobody)[0], scores.offset, rtol=1e-6)
    some = np.array([2, 7, 40])
    np.testing.assert_allclose(scores.scores_for(history, some), scores.scores_for(history)[:, some], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(scores.items, axis=1), 1, rtol=1e-5)


def test_the_weights_of_another_version_are_refused(shop: Snapshot, text: Text) -> None:
    config = settings()
    scores = SequenceScores.of(trainer_of(shop, text, config).views(), known(shop), config.model, ())
    older = {name: value for name, value in scores.state().items() if not name.endswith(".latest")}
    again = SequenceScores()
    again.config = config.model
    with pytest.raises(GnnError, match="another version"):
        again.restore(known(shop), older, {"behaviours": []})


def test_deletions_are_the_scores_lost(shop: Snapshot, text: Text) -> None:
    config = settings()
    scores = SequenceScores.of(trainer_of(shop, text, config).views(), known(shop), config.model, ())
    user, items = known(shop).take(np.array([11])), np.array([70, 3, 3, 21])
    found = deletions(scores, items)(user, np.array([2, 0, 3]))
    for pair in range(len(user)):
        less = user.where(np.arange(len(user)) != pair)
        fall = scores.scores_for(user)[0] - scores.scores_for(less)[0]
        np.testing.assert_allclose(found[pair], fall[[3, 70, 21]], atol=1e-4)
        assert scores.losses(user, 70)[pair] == pytest.approx(fall[70], abs=1e-4)


def fitted(shop: Snapshot, text: Text | None, config: GnnConfig, work: Work | None = None) -> NetworkRecommender:
    model = NetworkRecommender(config, Given(shop, text))
    model.fit(known(shop), work or Work())
    return model


def judge(part: Recommender) -> float:
    return float(part.scores(np.array([2]))[0, 3])  # any deterministic figure


def test_a_resumed_run_ends_where_an_unbroken_one_does(shop: Snapshot, text: Text, tmp_path: Path) -> None:
    file = tmp_path / "network.pt"
    changes: Mapping[str, Any] = {"dropout": 0.3, "id_dropout": 0.3}
    whole = fitted(shop, text, settings(epochs=5, **changes), Work(judge=judge))
    fitted(shop, text, settings(epochs=2, **changes), Work(judge=judge, checkpoint=file))
    torch.manual_seed(99)  # what chance did elsewhere does not matter
    resumed = fitted(shop, text, settings(epochs=5, **changes), Work(judge=judge, checkpoint=file))
    assert resumed.facts == whole.facts
    assert all(np.array_equal(value, resumed.state()[name]) for name, value in whole.state().items())
    again = NetworkRecommender(settings(epochs=30, **changes), Given(shop, text))
    again.facts = whole.facts  # the epochs that validation settled
    again.fit(known(shop))
    assert all(np.array_equal(value, again.state()[name]) for name, value in whole.state().items())


def test_every_weight_learns(shop: Snapshot, text: Text, device: torch.device) -> None:
    config = settings(dropout=0.2, id_dropout=0.2)
    trainer = trainer_of(shop, text, replace(config, train=replace(config.train, device=device.type)))
    before = {name: value.detach().clone() for name, value in trainer.network.named_parameters()}
    losses = [trainer.run_epoch() for _ in range(6)]
    assert losses[-1] < losses[0]
    now = trainer.network.named_parameters()
    same = [n for n, v in now if v.numel() and torch.equal(v.cpu(), before[n].cpu())]
    assert same == []


def test_sampled_columns_learn_too(shop: Snapshot) -> None:
    config = settings(full_softmax=20, epochs=4)
    trainer = trainer_of(shop, None, replace(config, train=replace(config.train, negatives=30)))
    losses = [trainer.run_epoch() for _ in range(6)]
    assert losses[-1] < losses[0]


def test_a_cold_product_of_the_brand_that_a_user_likes_stands_above_others(build_shop: Callable[..., Snapshot]) -> None:
    larger = build_shop(products=88)  # of the last eight, two fit each taste's four brands and nobody has bought them
    smaller = build_shop(products=80)
    bought = smaller.edges[("User", "PURCHASED", "Product")]
    shop = Snapshot(larger.nodes, {**larger.edges, ("User", "PURCHASED", "Product"): bought})
    model = fitted(shop, None, settings(epochs=12, id_dropout=0.3))
    assert model.facts["user"] == "sequence"
    assert not known(shop).buyers[80:].any()
    scores = model.scores(np.arange(60), np.arange(80, 88))
    same = (np.arange(80, 88) % 2)[None] == (np.arange(60) % 2)[:, None]
    right = [row[fits].mean() > row[~fits].mean() for row, fits in zip(scores, same, strict=True)]
    assert np.mean(right) > 0.9


def test_it_moves_to_a_larger_graph(
    shop: Snapshot, text: Text, build_shop: Callable[..., Snapshot], tmp_path: Path
) -> None:
    train(shop, text, settings(), tmp_path / "eval", SilentProgress(), model="network")
    bundle = Bundle.load(tmp_path / "eval")
    part = bundle.parts["network"]
    longer = np.concatenate([text, text[:4]])
    there = align(bundle, build_shop(products=84), longer, bundle.history.renamed(np.arange(80), 84)[0])["network"]
    assert isinstance(part, NetworkRecommender)
    assert isinstance(there, NetworkRecommender)
    # a brand or category with more products sends each of them less: near, not equal
    assert np.corrcoef(there.items[:80].ravel(), part.items.ravel())[0, 1] > 0.95
    assert (np.linalg.norm(there.items[80:], axis=1) > 0.99).all()
    same = align(bundle, shop, text, bundle.history.where(np.ones(len(bundle.history), np.bool_)))["network"]
    np.testing.assert_allclose(same.scores(np.arange(60)), part.scores(np.arange(60)), atol=1e-5)


@pytest.mark.parametrize("user", ["set", "sequence"])
def test_either_reading_comes_back_from_a_bundle(user: str, shop: Snapshot, text: Text, tmp_path: Path) -> None:
    config = settings()
    config = replace(config, model=replace(config.model, user=user), train=replace(config.train, epochs=2))
    facts = train(shop, text, config, tmp_path / "eval", SilentProgress(), model="network")
    assert facts["parts"]["network"]["user"] == user
    part = Bundle.load(tmp_path / "eval").parts["network"]
    assert part.facts["user"] == user
    again = NetworkRecommender(config, Given(shop, text))
    again.facts = part.facts
    again.restore(part.history, part.state(), part.facts)
    again.take_in(part.history)
    np.testing.assert_allclose(again.scores(np.arange(60)), part.scores(np.arange(60)), atol=1e-5)


def without_time(shop: Snapshot, **columns: Any) -> Snapshot:
    key = ("User", "PURCHASED", "Product")
    table = shop.edges[key]
    bare = table.columns.drop_columns(["at"])
    for name, values in columns.items():
        bare = bare.append_column(name, values)
    return Snapshot(shop.nodes, {**shop.edges, key: EdgeTable(table.src, table.dst, bare)})


def test_users_are_read_as_sequences_where_events_are_few_and_have_an_order(shop: Snapshot) -> None:
    count = len(shop.edges[("User", "PURCHASED", "Product")])
    timed, numbered, bare = (
        split_events(read_events(snapshot, ()), SplitConfig("column")).history("valid")
        for snapshot in (shop, without_time(shop, sequence=[list(range(count))]), without_time(shop))
    )
    auto: Mapping[str, Any] = {"user": "auto"}
    nine, ten = (settings(length=n) for n in (9, 10))  # ten is as many as everybody has
    nine, ten = (replace(c, model=replace(c.model, **auto)) for c in (nine, ten))
    assert how_to_read(timed, ten) == "sequence"
    assert how_to_read(numbered, ten) == "sequence"
    assert how_to_read(bare, ten) == "set"
    assert how_to_read(timed, nine) == "set"
    wanted: Mapping[str, Any] = {"user": "sequence"}
    assert how_to_read(bare, replace(ten, model=replace(ten.model, **wanted))) == "sequence"


def test_heads_must_divide_the_width(shop: Snapshot) -> None:
    with pytest.raises(GnnError, match="3 heads do not divide the width 16"):
        fitted(shop, None, settings(heads=3))


def test_a_pattern_of_sequence_is_learned(graph: Callable[[Sequence[tuple[str, str, float | None]]], Snapshot]) -> None:
    rng = np.random.default_rng(1)
    rows = [
        (f"u{user:03d}", f"p{(start + n) % 20:02d}", float(n))
        for user, (start, length) in enumerate(zip(rng.integers(0, 20, 120), rng.integers(3, 8, 120), strict=True))
        for n in range(length)
    ]
    config = replace(settings(epochs=30, length=8), split=SplitConfig("leave-one-out"))
    snapshot = graph(rows)
    history = Interactions.from_events(read_events(snapshot, ()))
    model = NetworkRecommender(config, Given(snapshot))
    model.fit(history)
    last = history.timeline.pairs[history.timeline.indptr[1:] - 1]
    assert (model.scores(np.arange(120)).argmax(1) == (history.items[last] + 1) % 20).mean() >= 0.95
