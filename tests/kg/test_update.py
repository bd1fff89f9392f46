"""Deliveries added to a graph one after the other give the graph of one build of everything, in both stores."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.build import build_tables
from ingest.progress import SilentProgress
from ingest.update import CHANGES, TABLES, accept_update, pending, update_tables
from kg.delta import GraphDelta, OtherTypesError, shape_delta
from kg.errors import GraphError
from kg.ladybug_store import update as ladybug_update
from kg.neo4j_store import update as neo4j_update
from kg.shape import shape_graph
from kg.snapshot_read import read_snapshot
from kg.stores import Store, open_store

PROGRESS = SilentProgress()
AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
Delivery = Mapping[str, str]
PRODUCTS = "product_id,title,brand,category,price,parent_id\n"
EVENTS = "event_id,user_id,product_id,event,time,quantity,price,order_id\n"

SHOP: list[Delivery] = [
    {
        "products.csv": PRODUCTS + "p1,Tea,Leaf,food > tea,2.5,\np2,Cup,Clay,home,4,\np3,Pot,Clay,home,9,p2\n",
        "users.csv": "user_id,age\nu1,30\nu2,\n",
        "events.csv": EVENTS
        + "e1,u1,p1,purchase,2024-01-01,2,2.5,o1\ne2,u1,p2,purchase,2024-01-01,1,4,o1\n"
        + "e3,u2,p1,view,2024-01-02,,,\n,u3,p3,purchase,2024-01-03,1,9,o2\ne4,u2,p1,view,2024-01-02,,,\n",
        "coupons.csv": "coupon_id,product_id,campaign_id\nk1,p1,c1\nk1,p1,c2\n",
        "triples.csv": "head,relation,tail\np1,goes_with,p2\np1,goes_with,p2\np1,like,p2\np1,from,Ceylon\n",
        "redemptions.csv": "user_id,coupon_id,campaign_id,time\nu1,k1,c1,2024-01-04\nu1,k1,c1,2024-01-05\n",
    },
    {  # p3 leaves brand, category and parent behind; an order gets a line; Ceylon becomes a product; a new column
        "products.csv": PRODUCTS + "p3,,Leaf,food > pots,9,p1\np4,Green tea,Leaf,food > tea,3,\nCeylon,Ceylon,,,,\n",
        "users.csv": "user_id,age,city\nu2,41,Oslo\n",
        "events.csv": EVENTS + "e1,u1,p1,purchase,2024-01-01,3,2.5,o1\ne7,u1,p4,purchase,2024-01-01,1,3,o1\n"
        "e8,u9,p4,return,2024-02-01,1,3,\n",
        "triples.csv": "head,relation,tail,weight\np4,goes_with,p2,0.5\n",
    },
    {
        "removals.csv": "table,id,time\nevents,e7,\nusers,u3,\nproducts,p2,\nusers,u1,2023-01-01\n",
        "events.csv": EVENTS + "e9,u3,p1,view,2024-03-01,,,\ne10,u1,p1,view,2024-03-01,,,\n",
        "redemptions.csv": "user_id,coupon_id,campaign_id,time\nu2,k1,c3,2024-02-04\n",
    },
]


def write(folder: Path, delivery: Delivery) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in delivery.items():
        (folder / name).write_text(text, "utf-8")
    return folder


class Steps:
    """Deliveries that are added to tables and store one after the other."""

    def __init__(self, root: Path, first: Delivery) -> None:
        self.root, self.tables, self.n = root, root / "tables", 0
        build_tables(str(write(root / "0", first)), self.tables, root / "reports", as_of=AS_OF)

    def load(self, store: Store) -> str:
        graph = shape_graph(self.tables, self.root / "graph", PROGRESS)
        store.load(graph, PROGRESS)
        return graph.fingerprint

    def delta(self, delivery: Delivery, base: str) -> GraphDelta:
        self.n += 1
        source = str(write(self.root / str(self.n), delivery))
        assert update_tables(source, self.tables, self.root / "reports", as_of=AS_OF) is not None
        place = pending(self.tables)
        return shape_delta(self.tables, place / TABLES, place / CHANGES, place / "delta", base, PROGRESS)

    def add(self, store: Store, delivery: Delivery, base: str) -> str:
        delta = self.delta(delivery, base)
        assert store.update(delta, PROGRESS) is (delta.fingerprint != base)
        assert store.built() == delta.fingerprint
        accept_update(self.tables)
        return delta.fingerprint


def content(store: Store) -> str:
    return read_snapshot(store, PROGRESS, everything=True).fingerprint


def at_once(root: Path, deliveries: Sequence[Delivery]) -> str:
    """Content of the graph of one build of everything."""
    for n, delivery in enumerate(deliveries):
        write(root / "all", {name.replace(".csv", f"-{n}.csv"): text for name, text in delivery.items()})
    build_tables(str(root / "all"), root / "once" / "tables", root / "once" / "reports", as_of=AS_OF)
    with open_store(str(root / "once.lbug")) as store:
        store.load(shape_graph(root / "once" / "tables", root / "once" / "graph", PROGRESS), PROGRESS)
        return content(store)


def test_three_deliveries_by_hand(store: Store, tmp_path: Path) -> None:
    steps = Steps(tmp_path, SHOP[0])
    name = steps.load(store)
    counter = store.build_counter()
    for n, delivery in enumerate(SHOP[1:], 1):
        name = steps.add(store, delivery, name)
        assert store.build_counter() != counter
        counter = store.build_counter()
        assert content(store) == at_once(tmp_path / str(n), SHOP[: n + 1])
    assert {k: n for k, n in store.counts().items() if k in {"User", "Product", "Order", "CONTAINS", "Entity"}} == {
        "User": 3, "Product": 4, "Order": 1, "CONTAINS": 1, "Entity": 0}  # fmt: skip
    assert store.run("MATCH (p:Product {id: 'p3'})-[:MADE_BY]->(b) RETURN b.id AS brand", {}).rows == [["Leaf"]]
    assert store.run("MATCH (b:Brand) RETURN b.id AS id", {}).rows == [["Leaf"]]


def test_the_difference_in_numbers(tmp_path: Path) -> None:
    delta = Steps(tmp_path, SHOP[0]).delta(SHOP[1], "base")
    by_label = {n.added.label: (n.added.rows, n.changed.rows, n.removed.rows) for n in delta.nodes}
    # p3 changes its brand; labels of products and users are as of the last event, which is later now
    assert by_label["Product"][0] == 2
    assert by_label["Product"][2] == 0
    assert by_label["Brand"] == (0, 0, 0)
    assert by_label["Category"] == (1, 0, 0)
    assert by_label["Entity"] == (0, 0, 1)
    assert by_label["User"][0] == 1
    by_type = {f"{e.added.source}-{e.added.type}-{e.added.target}": (e.added.rows, e.lost) for e in delta.edges}
    assert by_type["User-PURCHASED-Product"] == (2, 1)  # e1 again with another quantity, and e7
    assert by_type["User-RETURNED-Product"] == (1, 0)
    assert by_type["User-VIEWED-Product"] == (0, 0)
    assert by_type["Order-CONTAINS-Product"] == (2, 1)
    assert by_type["Product-MADE_BY-Brand"] == (2, 1)
    assert by_type["Product-VARIANT_OF-Product"] == (1, 1)
    assert by_type["Product-RELATED-Entity"] == (0, 1)
    assert by_type["Product-RELATED-Product"] == (2, 0)


def test_an_update_that_changes_nothing(store: Store, tmp_path: Path) -> None:
    steps = Steps(tmp_path, SHOP[0])
    name = steps.load(store)
    counter = store.build_counter()
    assert steps.add(store, {"users.csv": "user_id,age\nu1,30\n"}, name) == name
    assert store.build_counter() == counter


def test_another_graph_is_refused(store: Store, tmp_path: Path) -> None:
    steps = Steps(tmp_path, SHOP[0])
    steps.load(store)
    before = content(store)
    with pytest.raises(GraphError, match="another graph than the update begins from"):
        store.update(steps.delta(SHOP[1], "of something else"), PROGRESS)
    assert content(store) == before


def test_another_type_wants_a_whole_build(tmp_path: Path) -> None:
    steps = Steps(tmp_path, SHOP[0])
    with pytest.raises(OtherTypesError):
        steps.delta({"users.csv": "user_id,age\nu1,30.5\n"}, "base")


@pytest.mark.neo4j
@pytest.mark.parametrize("batch", range(0, 24, 5))
def test_an_update_that_was_cut_off_goes_on(
    batch: int, empty_neo4j: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks before or after any batch is committed."""
    store = open_store(empty_neo4j.url)
    steps = Steps(tmp_path, SHOP[0])
    delta = steps.delta(SHOP[1], steps.load(store))
    write, written = neo4j_update.ledger.write, []

    def cut(tx: object, build: str, one: object) -> None:
        if len(written) == batch:
            raise OSError("the cable was pulled")
        write(tx, build, one)  # type: ignore[arg-type]
        written.append(one)

    with monkeypatch.context() as patch:
        patch.setattr(neo4j_update.ledger, "write", cut)
        try:
            store.update(delta, PROGRESS)
        except GraphError:
            assert store.built() is None
            assert store.base_of_update() == delta.fingerprint
            with pytest.raises(GraphError, match="not loaded completely"):
                read_snapshot(store, PROGRESS)
    store.update(delta, PROGRESS)
    assert store.built() == delta.fingerprint
    assert content(store) == at_once(tmp_path / "once", SHOP[:2])
    store.close()


def test_a_killed_update_of_the_embedded_store_leaves_the_old_graph(tmp_path: Path) -> None:
    path = tmp_path / "graph.lbug"
    with open_store(str(path)) as store:
        steps = Steps(tmp_path, SHOP[0])
        name = steps.load(store)
        before = content(store)
    delta = steps.delta(SHOP[1], name)
    code = """
import os, signal, sys
from pathlib import Path
from ingest.progress import SilentProgress
from kg.delta import shape_delta
from kg.ladybug_store import replacing, update
place = Path(sys.argv[2])
delta = shape_delta(place, place, place, place / "delta", sys.argv[3], SilentProgress())
replacing.remove_side_files = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
update.update(Path(sys.argv[1]), delta, SilentProgress())
"""
    arguments = [sys.executable, "-c", code, str(path), str(pending(steps.tables)), name]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("graph.lbug.building-*"))) >= 1
    with open_store(str(path)) as store:
        assert content(store) == before
        assert store.update(delta, PROGRESS)
        assert content(store) == at_once(tmp_path / "once", SHOP[:2])
    assert not list(tmp_path.glob("graph.lbug.*"))


ids = st.integers(0, 4)
products = st.lists(
    st.builds(lambda p, t, b, c, x, q: f"p{p},{t},{b},{c},{x},{q}\n", ids, st.sampled_from(["", "Tea", "Leaf tea"]),
              st.sampled_from(["", "Leaf", "Cup"]), st.sampled_from(["", "a", "a > b", "a;c", "a > b;a > c > d"]),
              st.sampled_from(["", "1", "2.5"]), st.sampled_from(["", "p0", "p1"])), max_size=4)  # fmt: skip


def test_a_graph_that_another_has_replaced_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "graph.lbug"
    with open_store(str(path)) as store:
        steps = Steps(tmp_path, SHOP[0])
        delta = steps.delta(SHOP[1], steps.load(store))
        before = content(store)
        check = ladybug_update._Update._counts

        def replaced(self: ladybug_update._Update, one: GraphDelta) -> dict[ladybug_update.Counted, int]:
            (tmp_path / "other").write_bytes(path.read_bytes())
            (tmp_path / "other").replace(path)
            return check(self, one)

        with monkeypatch.context() as patch:
            patch.setattr(ladybug_update._Update, "_counts", replaced)
            with pytest.raises(GraphError, match="built anew meanwhile"):
                store.update(delta, PROGRESS)
        assert content(store) == before
        assert not list(tmp_path.glob("graph.lbug.*"))
        assert store.update(delta, PROGRESS)


unnamed = st.builds(
    lambda u, p, k, d, q, o: f",u{u},p{p},{k},2024-01-{d:02d},{q},2,{o}\n",
    ids, ids, st.sampled_from(["purchase", "view", "cart"]), st.integers(1, 28), st.integers(1, 3),
    st.sampled_from(["", "o1", "o2"]))  # fmt: skip
# whose event it is stays: a correction that moves an event away from what is removed is a case of its own
named = st.builds(
    lambda e, k, d, q: f"e{e},u{e},p{e},{k},2024-01-{d:02d},{q},2,o{e}\n", st.integers(1, 3),
    st.sampled_from(["purchase", "view", "cart"]), st.integers(1, 28), st.integers(1, 3))  # fmt: skip
events = st.lists(unnamed | named, max_size=8)
removals = st.lists(
    st.builds(lambda kind, n, time: f"{kind}s,{kind[0]}{n},{time}\n", st.sampled_from(["user", "product", "event"]),
              ids, st.sampled_from(["", "2024-01-10"])), max_size=2)  # fmt: skip
coupons = st.lists(
    st.builds(lambda k, p, c: f"k{k},p{p},{c}\n", ids, ids, st.sampled_from(["", "c1", "c2"])), max_size=3
)
triples = st.lists(
    st.builds(lambda h, r, t: f"p{h},{r},{t}\n", ids, st.sampled_from(["like", "with"]),
              st.sampled_from(["p0", "p3", "thing", "p9"])), max_size=4)  # fmt: skip
ALL = PRODUCTS + "".join(f"p{n},Thing {n},,,,\n" for n in range(5))


@st.composite
def deliveries(draw: st.DrawFn) -> list[Delivery]:
    made = []
    for n in range(draw(st.integers(2, 3))):
        delivery = {
            "products.csv": (ALL if n == 0 else PRODUCTS) + "".join(draw(products)),
            "events.csv": EVENTS + "".join(draw(events)),
            "removals.csv": "table,id,time\n" + "".join(draw(removals)),
            "coupons.csv": "coupon_id,product_id,campaign_id\n" + "".join(draw(coupons)),
            "triples.csv": "head,relation,tail\n" + "".join(draw(triples)),
        }
        left_out = draw(st.sets(st.sampled_from(sorted(delivery)), max_size=4)) if n else set()
        made.append({name: text for name, text in delivery.items() if name not in left_out})
    return made


@pytest.fixture(scope="module", params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    yield "" if request.param == "ladybug" else request.getfixturevalue("neo4j_url")


@given(made=deliveries())
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_deliveries_in_steps_are_one_build(
    place: str, tmp_path_factory: pytest.TempPathFactory, made: list[Delivery]
) -> None:
    root = tmp_path_factory.mktemp("shop")
    with open_store(place or str(root / "graph.lbug")) as store:
        steps = Steps(root, made[0])
        name = steps.load(store)
        for delivery in made[1:]:
            name = steps.add(store, delivery, name)
        assert content(store) == at_once(root, made)
