from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray

from gnn.config import GnnConfig, GraphConfig, ModelConfig, SplitConfig, TrainConfig
from gnn.errors import GnnError
from gnn.network.arrivals import told_of
from gnn.network.device import choose_device, choose_precision, cpu_threads
from gnn.network.feeding import sent
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import TextFeatures, Views
from gnn.network.message_graph import build_message_graph
from gnn.network.objective import Batches, softmax_loss
from gnn.network.recommender import NetworkRecommender, make_network
from gnn.network.scores import NetworkScores
from gnn.protocol.events import read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Given
from gnn.protocol.splits import split_events
from ingest.config_dict import from_dict
from ingest.progress import SilentProgress
from kg.snapshot import IdMap, NodeTable, Snapshot

Make = Callable[[Mapping[int, Sequence[int]], int, int], Interactions]


def trainer_of(
    shop: Snapshot, text: NDArray[np.float32] | None = None, history: Interactions | None = None, **settings: object
) -> NetworkTrainer:
    config = replace(GnnConfig(), train=replace(TrainConfig(device="cpu", threads=1), **settings))
    if history is None:
        history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    graph = build_message_graph(shop, history, GraphConfig())
    features = None if text is None else TextFeatures.of(text)
    return NetworkTrainer(make_network(graph, history, features, config), graph, history, features, config.train)


def test_a_batch_asks_for_a_share_and_knows_the_rest(interactions: Make) -> None:
    history = interactions({0: [0, 1, 2, 3, 4, 5], 1: [2, 3], 2: [7], 3: [1, 9]}, 4, 10)
    config = TrainConfig(holdout=0.5, batch=2, product_dropout=0)
    batches = Batches(history, config, np.random.default_rng(0))
    assert len(batches) == 2  # user 2 has nothing to build a vector from
    batch = batches.plan(np.array([0, 1]))
    asked = {(int(r), int(batch.columns[t])) for r, t in zip(batch.rows, batch.targets, strict=True)}
    known = {(int(r), int(batch.columns[t])) for r, t in zip(batch.known_rows, batch.known, strict=True)}
    assert asked | known == {(0, i) for i in range(6)} | {(1, 2), (1, 3)}
    assert not asked & known
    assert len([1 for r, _ in asked if r == 0]) == 3
    assert len([1 for r, _ in asked if r == 1]) == 1
    held = {(int(history.users[p]), int(history.items[p])) for p in batch.hidden}
    assert held == asked
    seen = sorted(int(u) for users in batches for u in batches.plan(users).users)
    assert seen == [0, 1, 3]


def test_products_that_stand_as_new_carry_no_message(interactions: Make) -> None:
    history = interactions({u: [u % 10, (u + 3) % 10, (u + 5) % 10] for u in range(30)}, 30, 10)
    side = interactions({u: [(u + 1) % 10, u % 10] for u in range(30)}, 30, 10)
    history = replace(history, side={"view": side})
    told = np.arange(10) != 4
    batches = Batches(history, TrainConfig(product_dropout=0.5), np.random.default_rng(0), told)
    items, drawn = [*history.items, *side.items], []
    for _ in range(40):
        batch = batches.plan(np.arange(10))
        hidden, silent, new = (set(part.tolist()) for part in (batch.hidden, batch.silent, batch.new))
        assert not hidden & silent
        assert silent == {n for n, item in enumerate(items) if item in new} - hidden
        assert 4 not in new  # nothing tells of it
        drawn.append(len(new))
    assert 3 < np.mean(drawn) < 6
    none = Batches(history, TrainConfig(product_dropout=0), np.random.default_rng(0)).plan(np.arange(10))
    assert len(none.new) == len(none.silent) == 0


def test_a_product_that_stands_as_new_is_one_that_nobody_has_had(shop: Snapshot, text: NDArray[np.float32]) -> None:
    """All vectors are those over a graph without its purchases, and it has no id; it keeps what counting says of it."""
    trainer = trainer_of(shop, text, dropout=0, edge_dropout=0, user_dropout=0)
    batch, new = trainer.plan(np.arange(12)).batch, torch.tensor([3, 9, 40])
    history, network = trainer.batches.history, trainer.network
    theirs = np.flatnonzero(np.isin(history.items, new.numpy()))
    silent = torch.from_numpy(np.setdiff1d(theirs, batch.hidden.numpy()))
    left = np.ones(len(history), np.bool_)
    left[batch.hidden.numpy()] = False
    with torch.no_grad():
        network.bias.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
        plain = trainer.forward(replace(batch, new=new[:0], silent=silent[:0]))
        found = trainer.forward(replace(batch, new=new, silent=silent))
        left[silent.numpy()] = False
        network.item_ids[new] = 0.0
        graph = build_message_graph(shop, history.where(left), GraphConfig())
        want = network(graph, graph.whole(), trainer.text)
    torch.testing.assert_close(found.items, want.items, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.users, want.users, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.offset, plain.offset, rtol=0, atol=0)
    assert not torch.allclose(found.items, plain.items)


def test_what_tells_of_a_product_beside_its_users(shop: Snapshot, text: NDArray[np.float32]) -> None:
    history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    none = GraphConfig(use_brands=False, use_categories=False, use_related=False)
    bare, whole = build_message_graph(shop, history, none), build_message_graph(shop, history, GraphConfig())
    assert not told_of(bare, None).any()
    assert told_of(whole, None).all()
    some = text.copy()
    some[::2] = 0
    assert told_of(bare, TextFeatures.of(some)).nonzero()[0].tolist() == list(range(1, 80, 2))


def test_products_without_buyers_learn_no_id(shop: Snapshot, text: NDArray[np.float32]) -> None:
    history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    trainer = trainer_of(shop, text, history.where(history.items != 7))
    trainer.run_epoch()
    assert not trainer.network.item_ids[7].any()
    assert trainer.network.item_ids[8].any()


def test_the_loss_is_the_softmax_over_what_is_not_known(interactions: Make) -> None:
    history = interactions({0: [0, 1, 2, 3], 1: [2, 3, 4]}, 2, 6)
    batch = Batches(history, TrainConfig(holdout=0.5), np.random.default_rng(1)).plan(np.array([0, 1]))
    g = torch.Generator().manual_seed(0)
    views = Views(torch.randn(2, 3, generator=g), torch.randn(6, 3, generator=g), torch.zeros(1, 6, 3),
                  torch.randn(6, generator=g), torch.tensor(2.0), torch.zeros(0, 2))  # fmt: skip
    logits = 2 * views.users @ views.items.T + views.offset
    terms = []
    for u in (0, 1):
        known = {int(batch.columns[c]) for r, c in zip(batch.known_rows, batch.known, strict=True) if r == u}
        asked = [int(batch.columns[c]) for r, c in zip(batch.rows, batch.targets, strict=True) if r == u]
        open_items = [i for i in range(5) if i not in known]  # product 5 has no buyer: no column
        terms += [float(logits[u, open_items].logsumexp(0) - logits[u, i]) for i in asked]
    assert len(terms) == 4  # two of user 0's four products, two of user 1's three
    assert softmax_loss(views, batch, torch.float32).item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_sampled_columns_estimate_the_full_softmax(interactions: Make) -> None:
    rng = np.random.default_rng(0)
    history = interactions({u: rng.choice(400, 6, replace=False).tolist() for u in range(300)}, 300, 400)
    full = Batches(history, TrainConfig(full_softmax=1000), np.random.default_rng(5)).plan(np.arange(40))
    g = torch.Generator().manual_seed(0)
    views = Views(torch.randn(300, 3, generator=g), torch.randn(400, 3, generator=g), torch.zeros(1),
                  torch.randn(400, generator=g), torch.tensor(1.0), torch.zeros(0, 2))  # fmt: skip
    sampled = TrainConfig(full_softmax=10, negatives=150)
    batch = Batches(history, sampled, np.random.default_rng(5)).plan(np.arange(40))
    found = softmax_loss(views, batch, torch.float32).item()
    want = softmax_loss(views, full, torch.float32).item()
    assert found == pytest.approx(want, rel=0.05)
    every = TrainConfig(full_softmax=10, negatives=400)
    batch = Batches(history, every, np.random.default_rng(5)).plan(np.arange(40))
    assert softmax_loss(views, batch, torch.float32).item() == pytest.approx(want, rel=1e-5)


def test_one_batch_can_be_learned_by_heart(shop: Snapshot, text: NDArray[np.float32], device: torch.device) -> None:
    trainer = trainer_of(shop, text, dropout=0, edge_dropout=0, weight_decay=0, lr=0.05, device=device.type)
    step = sent(trainer.plan(np.arange(12)), device)
    losses = [trainer.step(step).item() for _ in range(120)]
    few = float(np.log(3))  # three products asked of each user: no softmax gives each of them more than a third
    assert losses[0] > 3.5
    assert losses[-1] < few + 0.15


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_in_either_precision_changes_every_weight(shop: Snapshot, precision: str, device: torch.device) -> None:
    trainer = trainer_of(shop, None, precision=precision, device=device.type)
    before = {k: v.detach().clone() for k, v in trainer.network.named_parameters()}
    loss = trainer.step(sent(trainer.plan(np.arange(30)), device))
    assert loss.isfinite()
    assert loss.dtype == torch.float32
    assert loss.device.type == device.type
    for name, value in trainer.network.named_parameters():
        assert value.isfinite().all()
        assert not value.numel() or not torch.equal(value, before[name]), name


def test_bf16_and_fp32_give_nearly_the_same_loss(shop: Snapshot) -> None:
    one, two = (trainer_of(shop, None, precision=p) for p in ("fp32", "bf16"))
    step = one.plan(np.arange(20))
    assert one.step(step).item() == pytest.approx(two.step(step).item(), rel=2e-2)


def test_two_runs_are_equal_to_the_bit_and_seeds_differ(shop: Snapshot, text: NDArray[np.float32]) -> None:
    def run(seed: int) -> list[torch.Tensor]:
        with cpu_threads(1):
            trainer = trainer_of(shop, text, seed=seed, batch=16)
            losses = [trainer.run_epoch() for _ in range(2)]
            return [torch.tensor(losses), *trainer.network.state_dict().values()]

    one, two, other = run(0), run(0), run(1)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0], other[0])


def test_a_resumed_run_ends_where_an_unbroken_one_does(shop: Snapshot, tmp_path: Path) -> None:
    def validate(views: Views) -> float:
        return float(views.items.detach()[:, 0].sum())  # any deterministic figure

    whole = trainer_of(shop, batch=16, epochs=4, patience=9)
    whole.fit(validate, SilentProgress())
    file = tmp_path / "checkpoint.pt"
    trainer_of(shop, batch=16, epochs=2, patience=9).fit(validate, SilentProgress(), file)
    resumed = trainer_of(shop, batch=16, epochs=4, patience=9)
    state = resumed.fit(validate, SilentProgress(), file)
    assert state.losses == whole.state.losses
    for a, b in zip(whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("steps", "epochs"), [(0, 4), (8, 4), (9, 5), (13, 6), (99, 6)])
def test_training_stops_when_validation_does_not_improve(shop: Snapshot, steps: int, epochs: int) -> None:
    """Two epochs of patience, of four steps each: 60 users, 16 per step."""
    values = iter([0.1, 0.3, 0.2, 0.25, 0.2, 0.1, 0.9])
    trainer = trainer_of(shop, batch=16, epochs=6, patience=2, patience_steps=steps)
    assert trainer.steps == 4
    state = trainer.fit(lambda _: next(values), SilentProgress())
    assert (state.epoch, state.best_epoch, state.best) == (epochs, 2, 0.3)
    torch.testing.assert_close(trainer.network.state_dict()["bias"], state.weights["bias"])


def test_scores_of_histories_are_those_of_the_forward_pass(shop: Snapshot, text: NDArray[np.float32]) -> None:
    trainer = trainer_of(shop, text)
    trainer.run_epoch()
    views, history = trainer.views(), trainer.batches.history
    scores = NetworkScores.of(views, history)
    np.testing.assert_allclose(scores.user_vectors(history), views.users.numpy(), atol=1e-5)
    want = views.temperature * views.users @ views.items.T + views.offset
    np.testing.assert_allclose(scores.scores(np.arange(60)), want.numpy(), atol=1e-4)
    user = history.take(np.array([7]))
    falls = scores.losses(user, 11)
    for n in range(len(user)):
        less = user.where(np.arange(len(user)) != n)
        assert falls[n] == pytest.approx(scores.scores_for(user)[0, 11] - scores.scores_for(less)[0, 11], abs=1e-4)


def test_a_user_without_history_gets_the_offset(shop: Snapshot, interactions: Make) -> None:
    trainer = trainer_of(shop)
    scores = NetworkScores.of(trainer.views(), trainer.batches.history)
    np.testing.assert_allclose(scores.scores_for(interactions({}, 1, 80))[0], scores.offset, rtol=1e-6)


def test_checkerboard_returns_the_withheld_product(interactions: Make) -> None:
    held = [(u + 6) % 20 for u in range(20)]
    history = interactions({u: [i for i in range(u % 2, 20, 2) if i != held[u]] for u in range(20)}, 20, 20)
    ids = IdMap.of([f"{n:02d}" for n in range(20)])
    empty = NodeTable(ids, pa.table({"_": pa.nulls(20)}).drop_columns(["_"]))
    shop = Snapshot({"User": empty, "Product": empty}, {})
    trainer = trainer_of(shop, None, history, batch=20, lr=0.02)
    for _ in range(60):
        trainer.run_epoch()
        trainer.state.epoch += 1
    scores = NetworkScores.of(trainer.views(), history).scores(np.arange(20))
    scores[history.users, history.items] = -np.inf
    assert scores.argmax(1).tolist() == held


def test_equal_texts_are_kept_once() -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], np.float32)
    features = TextFeatures.of(vectors)
    assert features.distinct.shape == (2, 2)
    np.testing.assert_array_equal((features.spread.to_dense() @ features.distinct).numpy(), vectors)
    np.testing.assert_array_equal(features.back.to_dense().numpy(), features.spread.to_dense().numpy().T)


def test_devices_and_precisions() -> None:
    assert choose_device(TrainConfig(device="cpu")) == torch.device("cpu")
    assert choose_precision(TrainConfig(), torch.device("cuda")) == torch.bfloat16
    assert choose_precision(TrainConfig(), torch.device("cpu")) == torch.float32
    assert choose_precision(TrainConfig(precision="bf16"), torch.device("cpu")) == torch.bfloat16
    if not torch.cuda.is_available():
        with pytest.raises(GnnError, match="no CUDA device"):
            choose_device(TrainConfig(device="cuda"))


def test_model_width_is_a_setting(shop: Snapshot) -> None:
    history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    graph = build_message_graph(shop, history, GraphConfig())
    config = replace(GnnConfig(), model=ModelConfig(dim=10, layers=3))
    views = make_network(graph, history, None, config).whole(graph, None)
    assert views.users.shape == (60, 10)
    assert views.items.shape == (80, 10)


def test_text_is_left_out_where_the_settings_say_so(shop: Snapshot, text: NDArray[np.float32]) -> None:
    config = from_dict(GnnConfig, {"graph": {"use_text": False}}, "test")
    assert NetworkRecommender(config, Given(shop, text)).text is None
    assert NetworkRecommender(GnnConfig(), Given(shop, text)).text is not None
