from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.nn import LightGCN as PygLightGCN

from gnn.config import GnnConfig, TrainConfig
from gnn.model.align import align
from gnn.model.bundle import Bundle
from gnn.model.training import train
from gnn.models_config import LightGcnConfig
from gnn.network.device import cpu_threads
from gnn.network.softmax import blocked_cross_entropy
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Recommender, Work
from gnn.recommenders.lightgcn import Bipartite, LightGCN, LightGcnTrainer, Vectors, bpr_loss, fresh_vectors
from gnn.recommenders.sampling import draw_columns, draw_unbought
from ingest.progress import SilentProgress
from kg.snapshot import Snapshot

Make = Callable[[Mapping[int, Sequence[int]], int, int], Interactions]
CPU = torch.device("cpu")
BPR = LightGcnConfig(dim=8, loss="bpr", lr=0.02, penalty=1e-4, batch=40, epochs=3)
SOFTMAX = replace(BPR, loss="softmax", negatives=10)


def random_history(make: Make, users: int = 14, items: int = 20, seed: int = 0) -> Interactions:
    """Every user has something but the last; nobody has the last product."""
    taken = np.random.default_rng(seed).random((users, items)) < 0.3
    taken[:, 0], taken[-1], taken[:, -1] = True, False, False
    return make({u: np.flatnonzero(taken[u]).tolist() for u in range(users)}, users, items)


def fitted(history: Interactions, config: LightGcnConfig = BPR, seed: int = 0) -> LightGCN:
    model = LightGCN(config, TrainConfig(seed=seed, device="cpu"))
    model.fit(history)
    return model


def pyg_of(base: Vectors, history: Interactions, layers: int) -> tuple[PygLightGCN, torch.Tensor]:
    """PyG's model with the same base vectors, and its edges in both directions."""
    n = history.n_users + history.n_items
    model = PygLightGCN(n, base.users.shape[1], layers)
    model.embedding.weight.data = torch.cat([base.users, base.items]).detach()
    pairs = torch.from_numpy(np.stack([history.users, history.items + history.n_users]))
    return model, torch.cat([pairs, pairs.flip(0)], 1)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_vectors_and_scores_are_those_of_pyg(layers: int, interactions: Make) -> None:
    history = random_history(interactions)
    model = fitted(history, replace(BPR, layers=layers))
    pyg, edges = pyg_of(model.base, history, layers)
    want = pyg.get_embedding(edges).detach().numpy()
    np.testing.assert_allclose(np.concatenate([model.users, model.items]), want, atol=1e-6)
    pairs = torch.tensor([[0, 3, 5], [2 + 14, 7 + 14, 11 + 14]])
    scores = model.scores(np.array([0, 3, 5]))
    np.testing.assert_allclose(scores[[0, 1, 2], [2, 7, 11]], pyg(edges, pairs).detach().numpy(), atol=1e-6)


def test_the_bpr_loss_and_its_gradient_are_those_of_pyg(interactions: Make) -> None:
    history = random_history(interactions)
    trainer = LightGcnTrainer(history, replace(BPR, penalty=0.05), TrainConfig(device="cpu"))
    users, items = history.users[::3], history.items[::3]
    ours = trainer.loss(users, items)
    again = np.random.default_rng(TrainConfig().seed)
    wrong = draw_unbought(history, users, trainer.warm, again)
    pyg, edges = pyg_of(trainer.network, history, 3)
    u, i, j = (torch.from_numpy(a) for a in (users, items + 14, wrong + 14))
    right, other = pyg(edges, torch.stack([u, i])), pyg(edges, torch.stack([u, j]))
    theirs = pyg.recommendation_loss(right, other, torch.cat([u, i, j]), lambda_reg=0.05)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    torch.autograd.backward(ours)
    torch.autograd.backward(theirs)
    mine = torch.cat([p.grad for p in (trainer.network.users, trainer.network.items) if p.grad is not None])
    torch.testing.assert_close(mine, pyg.embedding.weight.grad, atol=1e-6, rtol=1e-5)


def test_bpr_of_known_differences() -> None:
    right, wrong = torch.tensor([np.log(3.0), 0.0]), torch.zeros(2)
    assert bpr_loss(right, wrong).item() == pytest.approx((np.log(4 / 3) + np.log(2)) / 2)


def test_the_softmax_with_all_products_is_cross_entropy(interactions: Make) -> None:
    history = random_history(interactions)
    trainer = LightGcnTrainer(history, replace(SOFTMAX, negatives=99, penalty=0.0), TrainConfig(device="cpu"))
    users, items = trainer.network.means(trainer.graph, 3)
    logits = users[torch.from_numpy(history.users)] @ items[:-1].T  # the last product has no buyer
    want = torch.nn.functional.cross_entropy(logits, torch.from_numpy(history.items))
    assert trainer.loss(history.users, history.items).item() == pytest.approx(want.item(), rel=1e-5)


def test_blocked_cross_entropy_has_the_loss_and_gradients_of_torch() -> None:
    chance = torch.Generator().manual_seed(1)
    x = torch.randn(11, 6, generator=chance, requires_grad=True)
    w = torch.randn(30, 6, generator=chance, requires_grad=True)
    targets, offset = torch.randint(30, (11,), generator=chance), torch.randn(30, generator=chance)
    logits = x @ w.T + offset
    own = (x * w[targets]).sum(1, keepdim=True)
    want = torch.nn.functional.cross_entropy(logits.scatter(1, targets[:, None], own), targets)
    gradients = torch.autograd.grad(want * 3, (x, w))
    found = blocked_cross_entropy(x, w, targets, offset, cells=70)  # blocks of two rows
    assert found.item() == pytest.approx(want.item(), rel=1e-6)
    for ours, theirs in zip(torch.autograd.grad(found * 3, (x, w)), gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    rough = blocked_cross_entropy(x, w, targets, offset, torch.bfloat16)
    assert rough.item() == pytest.approx(want.item(), rel=2e-2)


def test_sampled_columns_estimate_the_sum_over_all_products() -> None:
    rng = np.random.default_rng(0)
    share = np.r_[np.full(5, 0.15), np.full(45, 0.25 / 45)]
    values = np.arange(1.0, 51.0)
    sums = []
    for _ in range(1500):
        answers = rng.choice(50, 8, p=share)
        columns = draw_columns(answers, share, 10, rng)
        np.testing.assert_array_equal(columns.rows[columns.targets], answers)
        sums.append((values[columns.rows] * np.exp(columns.offset)).sum())
    error = np.std(sums) / np.sqrt(len(sums))
    assert abs(np.mean(sums) - values.sum()) < 4 * error
    assert draw_columns(np.array([3]), share, 50, rng).offset.tolist() == [0.0] * 50


def test_negatives_were_never_bought(interactions: Make) -> None:
    history = interactions({0: [0, 1, 2], 1: [3]}, 2, 6)
    drawn = draw_unbought(history, np.repeat([0, 1], 200), np.arange(5), np.random.default_rng(0))
    assert set(drawn[:200]) == {3, 4}
    assert set(drawn[200:]) == {0, 1, 2, 4}


def test_a_folded_in_user_is_one_of_the_graph_with_the_base_vector_zero(interactions: Make) -> None:
    history = random_history(interactions)
    model = fitted(history)
    model.base.users.data[:] = 0
    model.take_in(history)
    np.testing.assert_allclose(model.user_vectors(history), model.users, atol=1e-6)
    np.testing.assert_allclose(model.scores_for(history), model.scores(np.arange(14)), atol=1e-6)
    users = np.array([4, 1])
    np.testing.assert_allclose(model.scores_for(history.take(users)), model.scores(users), atol=1e-6)


def test_losses_are_the_scores_lost_by_deletion(interactions: Make) -> None:
    model = fitted(random_history(interactions))
    user = interactions({0: [0, 3, 5, 19]}, 1, 20)  # nobody had product 19
    for item in (0, 3, 8, 19):
        found = model.losses(user, item)
        whole = model.scores_for(user)[0, item]
        for n in range(4):
            less = user.where(np.arange(4) != n)
            assert found[n] == pytest.approx(whole - model.scores_for(less)[0, item], abs=1e-6)


def test_what_nobody_bought_stands_last_and_who_bought_nothing_gets_zeros(interactions: Make) -> None:
    model = fitted(random_history(interactions))
    scores = model.scores(np.arange(14))
    np.testing.assert_allclose(scores[:, -1], scores[:, :-1].min(1), atol=1e-6)
    np.testing.assert_allclose(model.scores(np.arange(14), np.array([2, 19])), scores[:, [2, 19]], atol=1e-6)
    assert not scores[-1].any()
    assert not model.scores_for(interactions({}, 1, 20)).any()


@pytest.mark.parametrize("config", [BPR, SOFTMAX], ids=lambda c: c.loss)
def test_checkerboard_returns_the_withheld_product(config: LightGcnConfig, interactions: Make) -> None:
    held = [(u + 6) % 20 for u in range(20)]
    history = interactions({u: [i for i in range(u % 2, 20, 2) if i != held[u]] for u in range(20)}, 20, 20)
    model = fitted(history, replace(config, epochs=60, batch=200))
    for scores in (model.scores(np.arange(20)), model.scores_for(history)):
        scores[history.users, history.items] = -np.inf
        assert scores.argmax(1).tolist() == held


def test_the_same_seed_gives_the_same_bits(interactions: Make) -> None:
    history = random_history(interactions)
    with cpu_threads(1):
        one, two, other = (fitted(history, SOFTMAX, seed).state() for seed in (0, 0, 1))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["items"], other["items"])


def test_a_resumed_run_ends_where_an_unbroken_one_does(interactions: Make, tmp_path: Path) -> None:
    history, file = random_history(interactions), tmp_path / "lightgcn.pt"

    def judge(part: Recommender) -> float:
        return float(part.scores(np.array([2]))[0, 3])  # any deterministic figure

    def run(epochs: int, checkpoint: Path | None) -> LightGCN:
        model = LightGCN(replace(BPR, epochs=epochs, patience=9), TrainConfig(device="cpu"))
        model.fit(history, Work(judge=judge, checkpoint=checkpoint))
        return model

    whole = run(5, None)
    run(2, file)
    resumed = run(5, file)
    assert resumed.facts == whole.facts
    assert all(np.array_equal(whole.state()[name], resumed.state()[name]) for name in whole.state())


def test_validation_chooses_the_epochs_and_a_later_fit_keeps_them(interactions: Make) -> None:
    history = random_history(interactions)
    values = iter([0.1, 0.4, 0.3, 0.2])
    model = LightGCN(replace(BPR, epochs=30, patience=2), TrainConfig(device="cpu"))
    model.fit(history, Work(judge=lambda _: next(values)))
    assert (model.facts["epochs"], model.facts["epochs_run"]) == (2, 4)
    best = model.state()
    again = LightGCN(replace(BPR, epochs=30), TrainConfig(device="cpu"))
    again.facts = model.facts
    again.fit(history)
    assert again.facts["epochs_run"] == 2
    assert all(np.array_equal(best[name], again.state()[name]) for name in best)


def test_more_history_keeps_the_base_vectors_and_propagates_over_it(interactions: Make) -> None:
    model, longer = fitted(random_history(interactions)), random_history(interactions, seed=5)
    before = model.state()
    model.take_in(longer)
    assert all(np.array_equal(before[name], model.state()[name]) for name in before)
    pyg, edges = pyg_of(model.base, longer, 3)
    np.testing.assert_allclose(model.items, pyg.get_embedding(edges).detach().numpy()[14:], atol=1e-6)
    fresh = LightGCN(BPR, TrainConfig(device="cpu"))
    fresh.restore(longer, model.state(), model.facts)
    np.testing.assert_array_equal(fresh.scores(np.arange(14)), model.scores(np.arange(14)))


@pytest.mark.parametrize("config", [BPR, SOFTMAX], ids=lambda c: c.loss)
def test_it_learns_on_either_device(config: LightGcnConfig, interactions: Make, device: torch.device) -> None:
    model = LightGCN(replace(config, epochs=20), TrainConfig(device=device.type, precision="fp32"))
    model.fit(random_history(interactions))
    assert model.facts["device"].startswith(device.type)
    assert model.facts["losses"][-1] < 0.9 * model.facts["losses"][0]


def test_steps_of_an_epoch_are_bounded(interactions: Make) -> None:
    history = random_history(interactions)
    trainer = LightGcnTrainer(history, replace(BPR, batch=1, steps=7), TrainConfig(device="cpu"))
    assert trainer.steps == 7
    assert np.isfinite(trainer.run_epoch())


def test_vectors_start_at_zero_where_there_is_nothing_to_learn(interactions: Make) -> None:
    history = random_history(interactions)
    base = fresh_vectors(history, 4, 0)
    assert np.flatnonzero(~base.users.detach().numpy().any(1)).tolist() == [13]
    assert np.flatnonzero(~base.items.detach().numpy().any(1)).tolist() == [19]
    graph = Bipartite.of(history, CPU)
    assert graph.to_users.to_dense()[0, 0].item() == pytest.approx(1 / np.sqrt(len(history.of(0)) * 13))
    torch.testing.assert_close(graph.to_users.to_dense().T, graph.to_items.to_dense())


def test_a_bundle_of_it_scores_on_a_larger_graph(
    config: GnnConfig, shop: Snapshot, build_shop: Callable[..., Snapshot], tmp_path: Path
) -> None:
    small = replace(config, models=replace(config.models, lightgcn=replace(BPR, epochs=2)))
    train(shop, None, small, tmp_path / "eval", SilentProgress(), model="lightgcn")
    bundle = Bundle.load(tmp_path / "eval")
    grown = build_shop(users=61, products=84)
    known = bundle.history.renamed(np.arange(80), 84)[0]
    history = replace(known, indptr=np.append(known.indptr, len(known)))  # the new user and products have no pair yet
    there = align(bundle, grown, None, history)["lightgcn"]
    own = bundle.parts["lightgcn"]
    scores = there.scores(np.arange(61))
    np.testing.assert_allclose(scores[:60, :80], own.scores(np.arange(60)), atol=1e-5)
    np.testing.assert_allclose(scores[:, 80:], scores[:, :80].min(1, keepdims=True).repeat(4, 1), atol=1e-6)
    assert not scores[60].any()
