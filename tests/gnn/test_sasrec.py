import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from gnn.config import GnnConfig, TrainConfig
from gnn.errors import GnnError
from gnn.model.align import align
from gnn.model.bundle import Bundle
from gnn.model.training import train
from gnn.models_config import SasRecConfig
from gnn.network.attention import Block, Layout
from gnn.network.device import cpu_threads
from gnn.network.sequences import Sequences, Stretches
from gnn.protocol.events import Events
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Recommender, Work
from gnn.recommenders.sasrec import SasRec, SasRecNetwork, SasRecTrainer
from ingest.progress import SilentProgress
from kg.snapshot import Snapshot

CPU = torch.device("cpu")
SMALL = SasRecConfig(dim=16, length=6, dropout=0.0, lr=0.01, batch=16, epochs=2, patience=9, loss="full", negatives=5)
ONCE = TrainConfig(device="cpu")


def sequences_of(rows: Sequence[Sequence[int]], n_items: int) -> Interactions:
    """One user per row; `rows[u]` in that order, repeats included."""
    users = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    items = np.asarray([i for r in rows for i in r], dtype=np.int64)
    return Interactions.from_events(Events(users, items, np.arange(len(users)), False, None, len(rows), n_items))


def some_sequences(users: int = 40, n_items: int = 25, seed: int = 0) -> Interactions:
    """Random walks with repeats, of 0 to 14 events; nobody has the last two products."""
    rng = np.random.default_rng(seed)
    return sequences_of([rng.integers(0, n_items - 2, n % 15).tolist() for n in range(users)], n_items)


def fitted(history: Interactions, config: SasRecConfig = SMALL, train: TrainConfig = ONCE) -> SasRec:
    model = SasRec(config, train)
    model.fit(history)
    return model


@cache
def some_network() -> SasRecNetwork:
    """One over 12 products whose every weight is far from its start, so that each of them matters."""
    torch.manual_seed(3)
    network = SasRecNetwork(12, SasRecConfig(dim=16, layers=2, heads=4, length=9, dropout=0.5))
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return network.eval()


def layout_of(sequences: Sequence[Sequence[int]], on: str = "cpu") -> Layout:
    lengths = np.asarray([len(s) for s in sequences])
    rows = np.asarray([i for s in sequences for i in s])
    return Layout.of(Stretches.cut(events_of(rows), lengths.cumsum() - lengths, lengths), torch.device(on))


def events_of(rows: NDArray[np.int64], order: NDArray[np.int64] | None = None) -> Sequences:
    """One user's purchases."""
    return Sequences(np.asarray([0, len(rows)]), rows, rows if order is None else order, np.zeros_like(rows))


def naive_block(block: Block, x: Tensor) -> Tensor:
    """The block over one sequence (n, dim) by torch's own attention module."""
    dim = x.shape[1]
    attention = nn.MultiheadAttention(dim, block.heads, batch_first=True)
    weights = {"in_proj_weight": block.asked.weight, "in_proj_bias": block.asked.bias}
    attention.load_state_dict(weights | {"out_proj.weight": block.mixed.weight, "out_proj.bias": block.mixed.bias})
    seen = block.before(x)
    future = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
    x = x + attention(seen, seen, seen, attn_mask=future, need_weights=False)[0]
    return x + block.outer(torch.relu(block.inner(block.after(x))))


def naive_states(network: SasRecNetwork, sequence: Sequence[int]) -> Tensor:
    """States after each event of one sequence, alone and unpadded."""
    n = len(sequence)
    tower = network.tower
    x = network.items[list(sequence)] * math.sqrt(network.items.shape[1]) + tower.positions[:n].flip(0)
    for block in tower.blocks:
        assert isinstance(block, Block)
        x = naive_block(block, x)
    states: Tensor = tower.final(x)
    return states


@pytest.mark.parametrize(("laid_out_for", "groups"), [("cpu", 5), ("cuda", 1)])
def test_the_tower_equals_attention_over_each_sequence_alone(laid_out_for: str, groups: int) -> None:
    network = some_network()
    sequences = [[3], [1, 1], [0, 5], [2, 4, 6], [7, 8, 9, 2, 1], [11, 10, 3, 3, 2, 5, 1, 0], [5] * 9]
    with torch.no_grad():
        layout = layout_of(sequences, laid_out_for)
        found = network(layout)
        want = torch.cat([naive_states(network, s) for s in sequences])
    torch.testing.assert_close(found, want, atol=2e-5, rtol=1e-4)
    assert len(layout.groups) == groups  # lengths 1, 2, 3, 5 to 8 and 9, or all


@given(st.lists(st.integers(0, 11), min_size=2, max_size=9), st.data())
def test_a_later_event_changes_no_earlier_state(sequence: list[int], data: st.DataObject) -> None:
    network = some_network()
    at = data.draw(st.integers(1, len(sequence) - 1))
    other = sequence.copy()
    other[at] = (sequence[at] + data.draw(st.integers(1, 11))) % 12
    with torch.no_grad():
        one, two = (network(layout_of([s])) for s in (sequence, other))
    assert torch.equal(one[:at], two[:at])
    assert not torch.allclose(one[at], two[at])


@given(st.lists(st.integers(0, 11), max_size=12), st.integers(1, 5))
def test_windows_ask_for_every_event_but_each_users_first_once(counts: list[int], length: int) -> None:
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = np.arange(indptr[-1])
    sequences = replace(events_of(rows), indptr=indptr)
    begin, lengths = sequences.windows(length)
    asked = np.sort(Stretches.cut(sequences, begin + 1, lengths).rows)
    np.testing.assert_array_equal(asked, np.setdiff1d(rows, indptr[:-1]))
    assert (lengths >= 1).all()
    assert (lengths <= length).all()
    owner = np.repeat(np.arange(len(counts)), counts)
    np.testing.assert_array_equal(owner[begin], owner[begin + lengths])


def test_baskets_are_shuffled_and_nothing_else() -> None:
    whole = events_of(np.arange(7), np.array([1, 1, 1, 2, 3, 1, 1]))
    sequences = replace(whole, indptr=np.array([0, 5, 7]))
    rng = np.random.default_rng(0)
    found = np.stack([sequences.shuffled(rng).rows for _ in range(100)])
    np.testing.assert_array_equal(np.sort(found[:, :3]), np.tile([0, 1, 2], (100, 1)))
    assert (found[:, 3:5] == [3, 4]).all()
    np.testing.assert_array_equal(np.sort(found[:, 5:]), np.tile([5, 6], (100, 1)))
    assert len(np.unique(found, axis=0)) == 12


def trainer_of(history: Interactions, config: SasRecConfig, train: TrainConfig = ONCE) -> SasRecTrainer:
    model = fitted(history, replace(config, epochs=0), train)
    trainer = SasRecTrainer(model.network, history, model.place, config, train)
    trainer.network.eval()
    return trainer


def whole_loss(trainer: SasRecTrainer) -> float:
    order = np.argsort(trainer.lengths, kind="stable")
    return trainer.loss(trainer.plan(trainer.sequences, trainer.begin[order], trainer.lengths[order])).item()


def naive_losses(trainer: SasRecTrainer) -> float:
    """Mean cross-entropy of every next event, sequence by sequence."""
    losses = []
    for begin, length in zip(trainer.begin, trainer.lengths, strict=True):
        events = trainer.sequences.rows[begin : begin + length + 1].tolist()
        logits = naive_states(trainer.network, events[:-1]) @ trainer.network.items.T
        losses.append(nn.functional.cross_entropy(logits, torch.tensor(events[1:]), reduction="none"))
    return torch.cat(losses).mean().item()


def test_the_full_loss_is_cross_entropy_at_every_event() -> None:
    trainer = trainer_of(some_sequences(), SMALL)
    assert whole_loss(trainer) == pytest.approx(naive_losses(trainer), rel=1e-5)


def test_the_sampled_loss_over_all_products_is_the_full_one() -> None:
    full, sampled = (trainer_of(some_sequences(), replace(SMALL, loss=n, negatives=99)) for n in ("full", "sampled"))
    assert whole_loss(sampled) == pytest.approx(whole_loss(full), rel=1e-6)


def test_binary_cross_entropy_against_products_that_the_user_never_had() -> None:
    history = sequences_of([[0, 1, 2], [0, 1, 2, 3]], 5)  # the first user's only stranger is 3, the other has none
    trainer = trainer_of(history.take(np.array([0, 1])), replace(SMALL, loss="bce"))
    states = naive_states(trainer.network, [0, 1])
    right, wrong = (states * trainer.network.items[[1, 2]]).sum(1), states @ trainer.network.items[3]
    want = -(nn.functional.logsigmoid(right) + nn.functional.logsigmoid(-wrong)).mean()
    loss = trainer.loss(trainer.plan(trainer.sequences, trainer.begin[:1], trainer.lengths[:1]))
    assert loss.item() == pytest.approx(want.item(), rel=1e-5)


def test_beyond_the_full_softmax_it_samples_and_says_so() -> None:
    model = fitted(some_sequences(), SMALL, replace(ONCE, full_softmax=22))
    assert model.facts["loss"] == "sampled"
    assert model.facts["note"] == "sampled softmax: 23 products are more than train.full_softmax"
    assert fitted(some_sequences(), SMALL, replace(ONCE, full_softmax=23)).facts["loss"] == "full"


@pytest.mark.parametrize("loss", ["full", "sampled", "bce"])
def test_a_pattern_of_sequence_is_learned(loss: str) -> None:
    rng = np.random.default_rng(1)
    starts, lengths = rng.integers(0, 20, 120), rng.integers(3, 8, 120)
    rows = [[int(s + n) % 20 for n in range(length)] for s, length in zip(starts, lengths, strict=True)]
    model = fitted(sequences_of(rows, 20), replace(SMALL, loss=loss, epochs=30, batch=30, negatives=8))
    asked = sequences_of([[n, (n + 1) % 20, (n + 2) % 20] for n in range(20)], 20)
    scores = model.scores_for(asked)
    if loss == "bce":  # what the user had is no negative of the paper's loss, so nothing teaches it not to come again
        scores[asked.users, asked.items] = -np.inf
    assert (scores.argmax(1) == (np.arange(20) + 3) % 20).mean() >= 0.95


def test_checkerboard_returns_the_withheld_product() -> None:
    held = [(u + 6) % 20 for u in range(20)]
    rng = np.random.default_rng(1)
    rows = [rng.permutation([i for i in range(u % 2, 20, 2) if i != held[u]]).tolist() for u in range(20)]
    history = sequences_of(rows, 20)
    model = fitted(history, replace(SMALL, epochs=150, length=20, lr=0.003, dropout=0.3))
    scores = model.scores(np.arange(20))
    scores[history.users, history.items] = -np.inf
    assert scores.argmax(1).tolist() == held


def test_dropout_learns_too_and_is_off_when_scoring() -> None:
    history = some_sequences()
    model = fitted(history, replace(SMALL, dropout=0.5, epochs=8))
    assert model.facts["losses"][-1] < model.facts["losses"][0]
    np.testing.assert_array_equal(model.scores(np.arange(40)), model.scores(np.arange(40)))


def test_scores_are_state_times_product_of_the_latest_events() -> None:
    history = some_sequences()
    model = fitted(history)
    events = history.timeline
    for user in (3, 9, 14):
        pairs = events.pairs[events.indptr[user] : events.indptr[user + 1]]
        latest = model.place[history.items[pairs]][-6:].tolist()
        want = naive_states(model.network, latest)[-1] @ model.network.items.T
        found = model.scores(np.array([user]))[0, :23]
        np.testing.assert_allclose(found, want.detach().numpy(), atol=1e-5)
    some = np.array([1, 4, 24])
    np.testing.assert_allclose(model.scores_for(history, some), model.scores_for(history)[:, some], atol=1e-6)


def test_products_without_an_event_are_skipped_and_stand_last() -> None:
    model = fitted(some_sequences())
    with_new, without = sequences_of([[3, 24, 5, 23]], 25), sequences_of([[3, 5]], 25)
    scores = model.scores_for(with_new)
    np.testing.assert_allclose(scores, model.scores_for(without), atol=1e-6)
    np.testing.assert_allclose(scores[0, 23:], scores[0, :23].min(), atol=1e-6)
    assert not model.scores_for(sequences_of([[], [24]], 25)).any()


def test_losses_are_the_scores_lost_by_deletion() -> None:
    model, user = fitted(some_sequences()), sequences_of([[3, 7, 3, 11, 1]], 25)
    falls = model.losses(user, 8)
    whole = model.scores_for(user)[0, 8]
    deleted = {3: [7, 11, 1], 7: [3, 3, 11, 1], 11: [3, 7, 3, 1], 1: [3, 7, 3, 11]}
    want = [whole - model.scores_for(sequences_of([deleted[int(i)]], 25))[0, 8] for i in user.items]
    np.testing.assert_allclose(falls, want, atol=1e-5)


def test_restored_from_its_state_it_scores_the_same_and_reads_longer_histories() -> None:
    history, longer = some_sequences(), some_sequences(seed=4)
    model, fresh = fitted(history), SasRec(SMALL, ONCE)
    fresh.restore(history, model.state(), model.facts)
    np.testing.assert_array_equal(fresh.scores(np.arange(40)), model.scores(np.arange(40)))
    model.take_in(longer)
    assert all(np.array_equal(value, fresh.state()[name]) for name, value in model.state().items())
    np.testing.assert_array_equal(fresh.scores_for(longer), model.scores(np.arange(40)))


def test_the_same_seed_gives_the_same_bits() -> None:
    config = replace(SMALL, dropout=0.3, loss="sampled")
    with cpu_threads(1):
        one, two, other = (fitted(some_sequences(), config, replace(ONCE, seed=seed)).state() for seed in (0, 0, 1))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["items"], other["items"])


@pytest.mark.parametrize("loss", ["full", "sampled", "bce"])
def test_a_resumed_run_ends_where_an_unbroken_one_does(loss: str, tmp_path: Path) -> None:
    history, file = some_sequences(), tmp_path / "sasrec.pt"

    def judge(part: Recommender) -> float:
        return float(part.scores(np.array([2]))[0, 3])  # any deterministic figure

    def run(epochs: int, checkpoint: Path | None) -> SasRec:
        model = SasRec(replace(SMALL, dropout=0.3, loss=loss, epochs=epochs), ONCE)
        model.fit(history, Work(judge=judge, checkpoint=checkpoint))
        return model

    whole = run(5, None)
    run(2, file)
    torch.manual_seed(99)  # what chance did elsewhere does not matter
    resumed = run(5, file)
    assert resumed.facts == whole.facts
    assert all(np.array_equal(value, resumed.state()[name]) for name, value in whole.state().items())


def test_validation_chooses_the_epochs_and_a_later_fit_keeps_them() -> None:
    values = iter([0.1, 0.4, 0.3, 0.2])
    model = SasRec(replace(SMALL, dropout=0.3, epochs=30, patience=2), ONCE)
    model.fit(some_sequences(), Work(judge=lambda _: next(values)))
    assert (model.facts["epochs"], model.facts["epochs_run"]) == (2, 4)
    again = SasRec(replace(SMALL, dropout=0.3, epochs=30), ONCE)
    again.facts = model.facts
    again.fit(some_sequences())
    assert all(np.array_equal(value, again.state()[name]) for name, value in model.state().items())


@pytest.mark.parametrize("loss", ["full", "sampled", "bce"])
def test_it_learns_on_either_device(loss: str, device: torch.device) -> None:
    config = replace(SMALL, dropout=0.2, loss=loss, epochs=8)
    model = fitted(some_sequences(), config, TrainConfig(device=device.type, precision="fp32"))
    assert model.facts["device"].startswith(device.type)
    assert model.facts["losses"][-1] < model.facts["losses"][0]


def test_histories_too_short_to_learn_from_are_no_error() -> None:
    model = fitted(sequences_of([[0], [1], []], 3))
    assert np.isfinite(model.scores(np.arange(3))).all()


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(GnnError, match="3 heads do not divide the width 16"):
        SasRec(replace(SMALL, heads=3))


def test_a_bundle_of_it_scores_on_a_larger_graph(
    config: GnnConfig, shop: Snapshot, build_shop: Callable[..., Snapshot], tmp_path: Path
) -> None:
    models: Mapping[str, SasRecConfig] = {"sasrec": SMALL}
    small = replace(config, models=replace(config.models, **models))
    train(shop, None, small, tmp_path / "eval", SilentProgress(), model="sasrec")
    bundle = Bundle.load(tmp_path / "eval")
    known = bundle.history.renamed(np.arange(80), 84)[0]
    there = align(bundle, build_shop(products=84), None, known)["sasrec"]
    want = bundle.parts["sasrec"].scores(np.arange(60))
    found = there.scores(np.arange(60))
    np.testing.assert_allclose(found[:, :80], want, atol=1e-5)
    np.testing.assert_allclose(found[:, 80:], found[:, :80].min(1, keepdims=True).repeat(4, 1), atol=1e-6)
