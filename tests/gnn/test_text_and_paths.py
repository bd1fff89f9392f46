from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from gnn.config import GnnConfig, GraphConfig
from gnn.errors import GnnError
from gnn.model.catalogue import make
from gnn.models_config import PathsConfig, TextConfig
from gnn.protocol.events import DAY, Events
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Given
from gnn.recommenders.paths import Paths
from gnn.recommenders.text import Text
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot

NONE = PathsConfig(brand=0, category=0, related=0, variant=0, buyers=0, hub_power=1)


def history_of(rows: Sequence[tuple[int, int]], users: int, items: int) -> Interactions:
    """One event per (user, product)."""
    user, item = np.asarray(rows, dtype=np.int64).reshape(-1, 2).T
    return Interactions.from_events(Events(user, item, np.arange(len(rows)) * DAY, True, None, users, items))


def graph_of(
    edges: dict[tuple[str, str, str], list[tuple[int, int]]], related: Sequence[tuple[str, float]] = (), items: int = 6
) -> Given:
    """A graph of `items` products and seven nodes of every other label; `related` is (relation, day) per triple."""
    sizes = {"User": 7, "Product": items, "Brand": 7, "Category": 7, "Entity": 7}
    nodes = {
        label: NodeTable(IdMap.of([f"{label}{n}" for n in range(size)]), pa.table({"x": pa.nulls(size)}))
        for label, size in sizes.items()
    }
    tables = {}
    for key, pairs in edges.items():
        source, target = np.asarray(pairs, dtype=np.int64).T
        columns = pa.table({"x": pa.nulls(len(pairs))})
        if key[1] == "RELATED":
            columns = pa.table(
                {
                    "relation": [kind for kind, _ in related],
                    "at": pa.array([int(day * DAY) for _, day in related], pa.timestamp("us", "UTC")),
                }
            )
        tables[key] = EdgeTable(source, target, columns)
    return Given(Snapshot(nodes, tables))


def scores(
    given: Given, history: Interactions, graph: GraphConfig | None = None, power: float = 1, **weights: float
) -> NDArray[np.float32]:
    paths = Paths(replace(NONE, hub_power=power, **weights), graph, given)
    paths.fit(history)
    return paths.scores(np.array([0]))[0]


def test_text_is_the_cosine_of_the_mean() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[5] = vectors[3]
    events = Events(np.array([0, 0, 0, 1]), np.array([0, 0, 2, 3]), np.arange(4), False, None, 3, 6)
    text = Text(TextConfig("count"), Given(Snapshot({}, {}), vectors))
    text.fit(Interactions.from_events(events))
    mean = (np.log(3) * vectors[0] + np.log(2) * vectors[2]) / 2
    found = text.scores(np.arange(3))
    np.testing.assert_allclose(found[0], vectors @ mean / np.linalg.norm(mean), atol=1e-6)
    assert found[1, 5] == pytest.approx(1)
    assert found[1].argmax() in (3, 5)
    assert not found[2].any()


def test_text_without_vectors_says_what_to_run() -> None:
    text = make("text", GnnConfig(), Given(Snapshot({}, {})))
    with pytest.raises(GnnError, match="shopgraph encode"):
        text.fit(history_of([(0, 1)], 1, 2))
    fitted = Text(given=Given(Snapshot({}, {}), np.eye(3, dtype=np.float32)))
    fitted.fit(history_of([(0, 1)], 1, 3))
    with pytest.raises(GnnError, match="shopgraph encode"):
        fitted.moved(Given(Snapshot({}, {})), history_of([(0, 1)], 1, 2), {})


def test_text_moved_reads_the_texts_of_the_other_graph() -> None:
    text = Text(given=Given(Snapshot({}, {}), np.eye(3, dtype=np.float32)))
    text.fit(history_of([(0, 1)], 1, 3))
    other = np.asarray([[1, 0], [0.6, 0.8], [0, 1], [1, 0]], dtype=np.float32)
    there = text.moved(Given(Snapshot({}, {}), other), history_of([(0, 0)], 1, 4), {})
    np.testing.assert_allclose(there.scores(np.array([0])), [[1, 0.6, 0, 1]], atol=1e-6)


def test_paths_over_brands_by_hand() -> None:
    """Products 0, 1, 2 of one brand, 3 of two products of another: 0 leads to three, 3 to two."""
    brands = {("Product", "MADE_BY", "Brand"): [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (4, 1)]}
    found = scores(graph_of(brands), history_of([(0, 0), (0, 3)], 1, 6), brand=2.0)
    np.testing.assert_allclose(found, [1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2, 0], rtol=1e-6)


def test_a_hub_passes_on_less_of_each_path() -> None:
    """One path over a brand of two, one over a brand of three: 1 / 2 ** p and 1 / 3 ** p, shared out to sum one."""
    brands = {("Product", "MADE_BY", "Brand"): [(0, 0), (1, 0), (2, 1), (3, 1), (4, 1)]}
    for power in (0.0, 0.5, 2.0):
        found = scores(graph_of(brands), history_of([(0, 0), (0, 2)], 1, 6), power=power, brand=1.0)
        two, three = 2.0**-power, 3.0**-power
        want = np.asarray([two, two, three, three, three, 0])
        np.testing.assert_allclose(found, want / want.sum(), rtol=1e-6)


def test_paths_over_categories_climb_the_tree() -> None:
    """0 and 1 share line 1; 2 is of line 2; both lines are of aisle 3. Line and aisle get half of each path."""
    tree = {
        ("Product", "IN_CATEGORY", "Category"): [(0, 1), (1, 1), (2, 2)],
        ("Category", "CHILD_OF", "Category"): [(1, 3), (2, 3)],
    }
    found = scores(graph_of(tree), history_of([(0, 0)], 1, 6), category=1.0)
    line, aisle = 0.5 / 2, 0.5 / 3
    np.testing.assert_allclose(found, [line + aisle, line + aisle, aisle, 0, 0, 0], rtol=1e-6)


def test_a_circle_of_categories_ends() -> None:
    tree = {
        ("Product", "IN_CATEGORY", "Category"): [(0, 1), (1, 2)],
        ("Category", "CHILD_OF", "Category"): [(1, 2), (2, 1)],
    }
    found = scores(graph_of(tree), history_of([(0, 0)], 1, 6), category=1.0)
    np.testing.assert_allclose(found, [0.5, 0.5, 0, 0, 0, 0], rtol=1e-6)


def test_paths_over_buyers_are_random_walks_of_three_steps() -> None:
    rng = np.random.default_rng(1)
    x = (rng.random((7, 6)) < 0.5).astype(float)
    x[0, 0] = x[:, 5] = 1
    history = history_of(list(zip(*map(np.ndarray.tolist, np.nonzero(x)), strict=True)), 7, 6)
    for power in (1.0, 0.4):
        to_user = x.T / np.maximum(x.sum(0), 1)[:, None] ** power
        to_item = x / np.maximum(x.sum(1), 1)[:, None] ** power
        walk = x[0] @ to_user @ to_item
        found = scores(graph_of({}), history, power=power, buyers=3.0)
        np.testing.assert_allclose(found, 3 * walk / walk.sum(), rtol=1e-5)


def test_triples_join_products_and_share_entities() -> None:
    triples = {("Product", "RELATED", "Product"): [(0, 1), (2, 0)]}
    given = graph_of(triples, [("goes_with", 1), ("goes_with", 1)])
    history = history_of([(0, 0)], 1, 6)
    np.testing.assert_allclose(scores(given, history, related=1.0), [0, 0.5, 0.5, 0, 0, 0])
    entities = {("Product", "RELATED", "Entity"): [(0, 0), (3, 0), (0, 2), (4, 2)]}
    given = graph_of(entities, [("genre", 1), ("genre", 1), ("mood", 1), ("mood", 1)])
    np.testing.assert_allclose(scores(given, history, related=1.0), [0.5, 0, 0, 0.25, 0.25, 0])
    reverse = {("Entity", "RELATED", "Product"): [(0, 0), (0, 3)]}
    given = graph_of(reverse, [("made", 1), ("made", 1)])
    np.testing.assert_allclose(scores(given, history, related=1.0), [0.5, 0, 0, 0.5, 0, 0])


def test_what_post_dates_purchases_is_no_path() -> None:
    """Excluded relations, switched-off kinds and triples from the end of the history on lead nowhere."""
    triples = {("Product", "RELATED", "Product"): [(0, 1), (0, 2), (0, 3)]}
    given = graph_of(triples, [("goes_with", 4), ("also_bought", 4), ("goes_with", 9)])
    history = replace(history_of([(0, 0)], 1, 6), until=9 * DAY)
    np.testing.assert_allclose(scores(given, history, related=1.0), [0, 1, 0, 0, 0, 0])
    everything = GraphConfig(exclude_relations=())
    np.testing.assert_allclose(scores(given, history, everything, related=1.0), [0, 0.5, 0.5, 0, 0, 0])
    assert not scores(given, history, GraphConfig(use_related=False), related=1.0).any()


def test_variants_are_one_step_away_and_kinds_add_up() -> None:
    edges = {
        ("Product", "VARIANT_OF", "Product"): [(1, 0)],
        ("Product", "MADE_BY", "Brand"): [(0, 0), (2, 0)],
    }
    found = scores(graph_of(edges), history_of([(0, 0)], 1, 6), variant=0.3, brand=0.8)
    np.testing.assert_allclose(found, [0.4, 0.3, 0.4, 0, 0, 0], rtol=1e-6)


def test_paths_moved_reach_the_other_graphs_products_without_buyers() -> None:
    here = graph_of({("Product", "MADE_BY", "Brand"): [(0, 0), (1, 0)]})
    there = graph_of({("Product", "MADE_BY", "Brand"): [(0, 0), (7, 0)]}, items=8)
    paths = Paths(replace(NONE, brand=1.0), GraphConfig(), here)
    paths.fit(history_of([(0, 0)], 1, 6))
    moved = paths.moved(there, history_of([(0, 0)], 1, 8), {})
    np.testing.assert_allclose(moved.scores(np.array([0]))[0], [0.5, 0, 0, 0, 0, 0, 0, 0.5])


def test_paths_need_a_graph() -> None:
    with pytest.raises(GnnError, match="give it a snapshot"):
        make("paths", GnnConfig(), None).fit(history_of([(0, 0)], 1, 2))
