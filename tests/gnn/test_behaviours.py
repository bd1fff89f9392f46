from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from gnn.config import GnnConfig, GraphConfig, TrainConfig
from gnn.measure.lists import quality
from gnn.model.align import align
from gnn.model.bundle import Bundle
from gnn.model.parts import fit_parts, open_workshop
from gnn.model.training import train
from gnn.network.behaviours import Known
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import GraphNetwork, Views
from gnn.network.message_graph import build_message_graph
from gnn.network.objective import Batches, softmax_loss
from gnn.network.reading import how_to_read, in_one_line
from gnn.network.recommender import NetworkRecommender, make_network
from gnn.network.scores import NetworkScores
from gnn.network.sequences import Sequences
from gnn.protocol.events import UNKNOWN, Events
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Given
from ingest.config_dict import from_dict
from ingest.progress import SilentProgress
from kg.snapshot import EdgeKey, EdgeTable, IdMap, NodeTable, Snapshot

DAY = 86_400_000_000
Rows = Sequence[tuple[int, int, int]]
VIEWED = ("User", "VIEWED", "Product")


def events_of(rows: Rows, timed: bool = True, users: int = 3, items: int = 6) -> Events:
    """Events (user, product, time)."""
    columns = (np.asarray(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Events(*columns, timed, None, users, items)


def history_of(bought: Rows, timed: bool = True, **side: Rows) -> Interactions:
    others = {name: events_of(rows, timed) for name, rows in side.items()}
    return Interactions.from_events(events_of(bought, timed), side=others)


BOUGHT = [(0, 0, 10), (0, 1, 20), (1, 2, 5), (2, 3, 7), (2, 3, 9)]
VIEWS = [(0, 0, 8), (0, 0, 9), (0, 0, 10), (0, 1, 21), (0, 5, 30), (1, 4, 1), (2, 3, 8)]
CARTS = [(0, 0, 9), (1, 2, 6)]


def test_what_came_after_a_purchase_is_not_known_before_it() -> None:
    known = Known.of(history_of(BOUGHT, view=VIEWS, cart=CARTS))
    rows = list(zip(known.items, known.kinds, known.places, known.targets, strict=True))
    # carts come first, then views; the joint graph counts four target pairs, then two carts, then five views
    assert rows == [(0, 0, 4, 0), (0, 1, 6, 0), (1, 1, 7, 1), (5, 1, 8, -1), (2, 0, 5, 2), (4, 1, 9, -1), (3, 1, 10, 3)]
    assert known.indptr.tolist() == [0, 4, 6, 7]
    never = -np.inf
    np.testing.assert_allclose(known.counts, [0, np.log(2), never, 0, never, 0, never], rtol=1e-6)
    whole = Known.of(history_of(BOUGHT, timed=False, view=VIEWS, cart=CARTS))
    np.testing.assert_allclose(whole.counts, [0, np.log(3), 0, 0, 0, 0, 0], rtol=1e-6)


def test_without_other_behaviours_nothing_is_known() -> None:
    known = Known.of(history_of(BOUGHT))
    assert known.indptr.tolist() == [0, 0, 0, 0]
    assert not len(known.items)


def test_a_batch_hides_what_came_after_and_tells_what_came_before() -> None:
    history = history_of(BOUGHT, view=VIEWS, cart=CARTS)
    batches = Batches(history, TrainConfig(holdout=1.0, product_dropout=0), np.random.default_rng(0))
    assert batches.users.tolist() == [0, 1, 2]  # one purchase each of users 1 and 2, but they are known otherwise
    batch = batches.plan(np.asarray([1, 2]))
    assert sorted(batch.hidden.tolist()) == [2, 3, 5, 10]
    assert not len(batch.repeat_rows)  # product 4 has no buyer and no column
    batch = batches.plan(np.asarray([0]))
    told = zip(batch.repeat_columns.tolist(), batch.repeat_kinds.tolist(), batch.repeat_counts.tolist(), strict=True)
    assert [(int(batch.columns[c]), k, round(v, 4)) for c, k, v in told] == [(0, 0, 0.0), (0, 1, 0.6931)]


def test_the_loss_counts_what_a_product_gains_by_being_known() -> None:
    history = history_of(BOUGHT, view=VIEWS, cart=CARTS)
    batch = Batches(history, TrainConfig(holdout=1.0, product_dropout=0), np.random.default_rng(1)).plan(
        np.asarray([0])
    )
    repeat = torch.tensor([[0.3, 7.0], [0.5, 2.0]], requires_grad=True)
    views = Views(torch.zeros(3, 2), torch.zeros(6, 2), torch.zeros(3, 6, 2), torch.zeros(6), torch.ones(()), repeat)
    gain = {0: 0.3 + 0.5 + 2 * np.log(2)}  # in the cart once, seen twice before it was bought
    logits = np.asarray([gain.get(int(c), 0.0) for c in batch.columns])
    known = [int(c) for c in batch.known]
    open_at = [c for c in range(len(logits)) if c not in known]
    (asked,) = batch.targets.tolist()
    want = np.log(np.exp(logits[open_at]).sum()) - logits[asked]
    loss = softmax_loss(views, batch, torch.float32)
    assert loss.item() == pytest.approx(want, rel=1e-5)
    torch.autograd.backward(loss)
    assert repeat.grad is not None


def nodes_of(*ids: str) -> NodeTable:
    return NodeTable(IdMap.of(ids), pa.table({"_": pa.nulls(len(ids))}).drop_columns(["_"]))


def test_a_user_of_the_graph_is_the_sum_of_messages_over_all_behaviours() -> None:
    history = history_of(BOUGHT, view=VIEWS, cart=CARTS)
    snapshot = Snapshot({"User": nodes_of(*"abc"), "Product": nodes_of(*"uvwxyz")}, {})
    graph = build_message_graph(snapshot, history, GraphConfig())
    assert graph.names == ("BOUGHT<", "BOUGHT>", "CARTED<", "CARTED>", "VIEWED<", "VIEWED>")
    network = make_network(graph, history, None, GnnConfig(), others=2)
    assert isinstance(network, GraphNetwork)
    with torch.no_grad():
        noise = torch.Generator().manual_seed(0)
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape, generator=noise))
    views = network.whole(graph, None)
    scores = NetworkScores.of(views, history, ("cart", "view"))
    np.testing.assert_allclose(scores.user_vectors(history), views.users, rtol=1e-4, atol=1e-5)
    had = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 0, 1, 0, 0, 0], [1, 1, 0, 1, 1, 1]]).float()
    offset = network.bias + (network.popularity[:, None] * had.log1p()).sum(0)
    torch.testing.assert_close(views.offset, offset)
    dense = scores.scores_for(history)
    bare = scores.user_vectors(history) @ scores.items.T * scores.temperature + scores.offset
    gains = np.zeros((3, 6), np.float32)
    (cart, _), (view, often) = network.repeat.detach().numpy()
    for user, item, gain in ((0, 0, cart + view + often * np.log(3)), (1, 2, cart), *((u, i, view) for u, i in SEEN)):
        gains[user, item] += gain
    np.testing.assert_allclose(dense, bare + gains, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores.scores_for(history, np.asarray([5, 0])), dense[:, [5, 0]], rtol=1e-5)


SEEN = ((0, 1), (0, 5), (1, 4), (2, 3))


def test_no_message_of_a_step_tells_what_it_asks(shop: Snapshot) -> None:
    """Views of a product after its purchase vanish with the purchase; views before stay."""
    history = history_of(BOUGHT, view=VIEWS, cart=CARTS)
    snapshot = Snapshot({"User": nodes_of(*"abc"), "Product": nodes_of(*"uvwxyz")}, {})
    graph = build_message_graph(snapshot, history, GraphConfig())
    network = make_network(graph, history, None, GnnConfig(), others=2)
    assert isinstance(network, GraphNetwork)
    quiet = TrainConfig(dropout=0, user_dropout=0, edge_dropout=0, device="cpu", holdout=1.0)
    trainer = NetworkTrainer(network, graph, history, None, quiet)
    views = trainer.forward(trainer.batches.plan(np.asarray([1, 2])))
    rest = history_of([(0, 0, 10), (0, 1, 20)], view=VIEWS[:-1], cart=CARTS[:1])
    want = network.whole(build_message_graph(snapshot, rest, GraphConfig()), None)
    torch.testing.assert_close(views.items, want.items)
    torch.testing.assert_close(views.users, want.users)


def viewing(shop: Snapshot, name: str = "VIEWED", seed: int = 0) -> Snapshot:
    """The shop where everybody has viewed half of what they bought, a day before, and some other products."""
    rng = np.random.default_rng(seed)
    bought = shop.edges[("User", "PURCHASED", "Product")]
    at = np.asarray(bought.at())
    some = rng.random(len(at)) < 0.5
    users, items = np.asarray(bought.src)[some], np.asarray(bought.dst)[some]
    many = len(shop.nodes["User"])
    more = rng.integers(0, many, 3 * many), rng.integers(0, 80, 3 * many)
    src, dst = np.concatenate([users, more[0]]), np.concatenate([items, more[1]])
    when = np.concatenate([at[some] - DAY, rng.integers(0, 10 * DAY, 3 * many)])
    order = np.lexsort((dst, src))
    columns = pa.table({"at": pa.array(when[order], pa.timestamp("us", "UTC"))})
    changed: dict[EdgeKey, EdgeTable] = {
        **shop.edges,
        ("User", name, "Product"): EdgeTable(src[order], dst[order], columns),
    }
    return Snapshot(shop.nodes, changed)


def settings(user: str, **graph: Any) -> GnnConfig:
    model: Mapping[str, Any] = {"user": user, "dim": 16, "sequence": {"lr": 0.01, "batch": 16, "dropout": 0.1}}
    train_settings = {"threads": 1, "device": "cpu", "epochs": 25, "patience": 25, "lr": 0.01}
    found = {"model": model, "train": train_settings, "graph": graph, "eval": {"bootstrap": 50}}
    return from_dict(GnnConfig, {"split": {"method": "time"}, **found}, "test")


@pytest.mark.parametrize("user", ["set", "sequence"])
def test_views_before_a_purchase_lead_to_it(build_shop: Callable[..., Snapshot], user: str) -> None:
    snapshot, found = viewing(build_shop(users=300 if user == "sequence" else 60)), {}
    for sides in ((), ("view",)):
        config = settings(user, side_events=list(sides))
        opened, split = open_workshop(Given(snapshot), config, SilentProgress())
        part = fit_parts(opened, ["network"], split.history("valid")).fitted["network"]
        found[sides] = quality(opened.tasks[0], part, 10, 1_000_000)
    assert found[("view",)] > 1.5 * found[()]


@pytest.mark.parametrize("user", ["set", "sequence"])
def test_a_visitor_who_only_looked_is_scored_by_that(shop: Snapshot, user: str, tmp_path: Path) -> None:
    config = settings(user)
    train(viewing(shop), None, config, tmp_path / "m", SilentProgress(), model="network")
    bundle = Bundle.load(tmp_path / "m")
    part = bundle.parts["network"]
    looked = {"view": events_of([(0, 10, 1), (0, 12, 2)], users=1, items=80)}
    none = events_of([(0, 0, 0)], users=1, items=80).where(np.zeros(1, np.bool_))
    visitor = Interactions.from_events(none, side=looked)
    nobody = Interactions.from_events(none)
    assert not np.allclose(part.scores_for(visitor), part.scores_for(nobody))
    even = part.scores_for(visitor)[0] - part.scores_for(nobody)[0]
    assert even[::2].mean() > even[1::2].mean()  # they looked at what those of even taste buy


@pytest.mark.parametrize("user", ["set", "sequence"])
def test_a_behaviour_that_begins_later_changes_no_score(shop: Snapshot, user: str, tmp_path: Path) -> None:
    """The network knows nothing of it: neither in messages nor in the repeat term."""
    train(viewing(shop), None, settings(user), tmp_path / "m", SilentProgress(), model="network")
    bundle = Bundle.load(tmp_path / "m")
    both = viewing(viewing(shop), "WISHED", seed=5)
    _, split = open_workshop(Given(both), settings(user), SilentProgress())
    history = split.history("test")
    assert set(history.side) == {"view", "wishlist"}
    moved = align(bundle, both, None, history)["network"]
    without = replace(history, side={"view": history.side["view"]})
    assert isinstance(moved, NetworkRecommender)
    moved.take_in(without)
    plain = moved.scores_for(without)
    moved.take_in(history)
    degree_moves = user == "set"  # the degrees count the new edges; nothing else does
    assert np.allclose(plain, moved.scores_for(history), atol=2.0 if degree_moves else 1e-5)
    assert moved.facts["behaviours"] == (["view", "wishlist"] if degree_moves else ["view"])


def test_events_of_all_behaviours_stand_in_one_order() -> None:
    history = history_of(
        [(0, 0, 10), (0, 1, 20), (1, 2, 5)], view=[(0, 3, 10), (0, 4, 15), (1, 5, 5)], cart=[(0, 0, 9)]
    )
    assert in_one_line(history) == ("cart", "view")
    found = Sequences.of(history, np.arange(6), ("cart", "view"))
    assert found.rows.tolist() == [0, 3, 0, 4, 1, 5, 2]
    assert found.kinds.tolist() == [1, 2, 0, 2, 0, 2, 0]
    assert found.indptr.tolist() == [0, 5, 7, 7]
    begin, lengths = found.windows(2)
    asked = {int(found.rows[b + n + 1]) for b, k in zip(begin, lengths, strict=True) for n in range(k)}
    assert {0, 1, 2} <= asked
    begin, lengths = replace(found, kinds=np.asarray([1, 2, 0, 2, 2, 2, 0])).windows(2)
    assert list(zip(begin.tolist(), lengths.tolist(), strict=True)) == [(0, 2), (5, 1)]  # nothing is asked after 3
    assert found.shuffled(np.random.default_rng(0)).kinds.tolist() == found.kinds.tolist()


def test_orders_of_different_clocks_are_not_mixed() -> None:
    bought = events_of([(0, 0, 10)])
    untimed = events_of([(0, 1, UNKNOWN)], timed=False)
    assert in_one_line(Interactions.from_events(bought, side={"view": untimed})) == ()
    history = history_of(BOUGHT, view=VIEWS)
    config = from_dict(GnnConfig, {"model": {"sequence": {"length": 4}}}, "test")
    assert how_to_read(history, config) == "sequence"  # twelve events of three users
    config = from_dict(GnnConfig, {"model": {"sequence": {"length": 3}}}, "test")
    assert how_to_read(history, config) == "set"


def test_a_saved_history_keeps_its_clock() -> None:
    history = history_of(BOUGHT, view=VIEWS)
    again = Interactions.from_arrays(history.to_arrays(), history.n_items)
    assert (again.clock, again.side["view"].clock) == ("time", "time")
    numbered = Interactions.from_events(replace(events_of(BOUGHT, timed=False), sequenced=True))
    assert Interactions.from_arrays(numbered.to_arrays(), 6).clock == "sequence"
