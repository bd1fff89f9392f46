"""Deliveries added one after the other give the tables of one build of everything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.build import build_tables
from ingest.errors import IngestError
from ingest.manifest import read_manifest, tables_whole
from ingest.monitor.thresholds import BrokenThresholdsError, QualitySettings
from ingest.privacy import PrivacySettings
from ingest.quality import QualityReport
from ingest.settings import IngestSettings
from ingest.update import CHANGES, accept_update, pending, update_tables

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
Delivery = Mapping[str, str]
PRODUCTS = "product_id,title,brand,category,price,parent_id\n"
EVENTS = "event_id,user_id,product_id,event,time,quantity,price,order_id\n"


def write(folder: Path, delivery: Delivery) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in delivery.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def add(work: Path, source: Path, settings: IngestSettings, **options: Any) -> QualityReport | None:
    """An update, put in place."""
    report = update_tables(str(source), work / "tables", work / "reports", as_of=AS_OF, settings=settings, **options)
    if report is not None:
        accept_update(work / "tables")
        assert not pending(work / "tables").exists()
    return report


def in_steps(root: Path, deliveries: Sequence[Delivery], settings: IngestSettings) -> Path:
    first, *later = [write(root / f"delivery-{n}", d) for n, d in enumerate(deliveries)]
    build_tables(str(first), root / "steps" / "tables", root / "steps" / "reports", as_of=AS_OF, settings=settings)
    for source in later:
        add(root / "steps", source, settings)
    return root / "steps" / "tables"


def at_once(root: Path, deliveries: Sequence[Delivery], settings: IngestSettings) -> Path:
    for n, delivery in enumerate(deliveries):
        write(root / "everything", {name.replace(".csv", f"-{n}.csv"): text for name, text in delivery.items()})
    place = root / "once"
    build_tables(str(root / "everything"), place / "tables", place / "reports", as_of=AS_OF, settings=settings)
    return place / "tables"


def content(tables: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of every clean table, in their order; empty columns and empty tables aside."""
    found = {}
    for path in sorted(tables.glob("*.parquet")):
        rows = [{k: v for k, v in row.items() if v is not None} for row in pq.read_table(path).to_pylist()]
        if rows:
            found[path.stem] = [dict(sorted(row.items())) for row in rows]
    return found


def same(root: Path, deliveries: Sequence[Delivery], settings: IngestSettings | None = None) -> dict[str, Any]:
    settings = settings or IngestSettings()
    steps = content(in_steps(root, deliveries, settings))
    assert steps == content(at_once(root, deliveries, settings))
    return steps


SHOP: list[Delivery] = [
    {
        "products.csv": PRODUCTS + "p1,Tea,Leaf,food > tea,2.5,\np2,Cup,,home,4,\np3,Pot,,home,9,p2\n",
        "users.csv": "user_id,age\nu1,30\nu2,\n",
        "events.csv": EVENTS
        + "e1,u1,p1,purchase,2024-01-01,2,2.5,o1\ne2,u1,p2,purchase,2024-01-01,1,4,o1\n"
        + "e3,u2,p1,view,2024-01-02,,,\n,u3,p3,purchase,2024-01-03,1,9,o2\n",
        "coupons.csv": "coupon_id,product_id,campaign_id\nk1,p1,c1\n",
        "triples.csv": "head,relation,tail\np1,goes_with,p2\np1,from,Ceylon\n",
    },
    {  # a changed price, a known event again and one corrected, a new line of an old order, a new product and user
        "products.csv": PRODUCTS + "p1,,,,3,\np4,Green tea,Leaf,food > tea,3,p1\n",
        "users.csv": "user_id,age,city\nu2,41,Oslo\n",
        "events.csv": EVENTS
        + "e3,u2,p1,view,2024-01-02,,,\ne1,u1,p1,purchase,2024-01-01,3,2.5,o1\n"
        + "e7,u1,p4,purchase,2024-01-01,1,3,o1\n,u3,p3,purchase,2024-01-03,1,9,o2\ne8,u9,p4,return,2024-02-01,1,3,\n",
        "triples.csv": "head,relation,tail\np1,goes_with,p2\np4,goes_with,p2\n",
    },
    {"removals.csv": "table,id,time\nevents,e7,\nusers,u3,\nproducts,p2,\nusers,u1,2024-01-01\n",
     "events.csv": EVENTS + "e9,u3,p1,view,2024-03-01,,,\ne10,u1,p1,view,2024-03-01,,,\n"},
]  # fmt: skip


def test_three_deliveries_by_hand(tmp_path: Path) -> None:
    tables = same(tmp_path, SHOP)
    events = {row["event_id"] for row in tables["events"]}
    # u3 is gone for good, all of u1 up to 1 January, p2 with its sale, e7 by name
    assert events == {"e3", "e8", "e10"}
    assert [row["product_id"] for row in tables["products"]] == ["p1", "p3", "p4"]
    assert [(row["user_id"], row.get("age"), row.get("city")) for row in tables["users"]] == [
        ("u1", 30, None), ("u2", 41, "Oslo"), ("u9", None, None)]  # fmt: skip
    assert {row["product_id"]: row["price"] for row in tables["products"]} == {"p1": 3.0, "p3": 9.0, "p4": 3.0}
    assert [(row["head"], row["tail"]) for row in tables["triples"]] == [("p1", "Ceylon")]


def test_the_account_of_a_delivery(tmp_path: Path) -> None:
    first, second, third = (write(tmp_path / str(n), d) for n, d in enumerate(SHOP))
    build_tables(str(first), tmp_path / "tables", tmp_path / "reports", as_of=AS_OF)
    report = add(tmp_path, second, IngestSettings())
    assert report is not None
    events = report.tables["events"]
    # e3 and the sale without an id were there already, e1 is corrected: merged, one of them a conflict
    assert (events.rows_in, events.loaded, events.merged, events.quarantined, events.conflicts) == (5, 2, 3, 0, 1)
    assert events.conflict_columns == {"quantity": 1}
    products = report.tables["products"]
    assert (products.rows_in, products.loaded, products.merged, products.conflicts) == (2, 1, 1, 1)
    assert report.tables["users"].created == 2  # u3 and u9, whom no users table has
    report = add(tmp_path, third, IngestSettings())
    assert report is not None
    assert {name: t.removed for name, t in report.tables.items() if t.removed} == {
        "events": 5, "products": 1, "triples": 2}  # fmt: skip
    written = json.loads((tmp_path / "reports" / "quality.json").read_text())
    assert written["source"].endswith("2")
    assert written["tables"]["events"]["rows_in"] == 2
    manifest = read_manifest(tmp_path / "tables")
    assert manifest is not None
    assert tables_whole(tmp_path / "tables", manifest)
    assert [Path(u["source"]).name for u in manifest.described["updates"]] == ["1", "2"]


def test_the_same_delivery_again_changes_nothing(tmp_path: Path) -> None:
    first, second = (write(tmp_path / str(n), d) for n, d in enumerate(SHOP[:2]))
    build_tables(str(first), tmp_path / "tables", tmp_path / "reports", as_of=AS_OF)
    assert add(tmp_path, second, IngestSettings()) is not None
    before = content(tmp_path / "tables")
    assert add(tmp_path, second, IngestSettings()) is None
    # the same rows in another folder are a delivery of its own, all of whose rows are known
    report = add(tmp_path, write(tmp_path / "again", SHOP[1]), IngestSettings())
    assert report is not None
    assert all(t.loaded == 0 and t.conflicts == 0 for t in report.tables.values())
    assert content(tmp_path / "tables") == before


def test_the_changed_events_are_named(tmp_path: Path) -> None:
    first, second = (write(tmp_path / str(n), d) for n, d in enumerate(SHOP[:2]))
    build_tables(str(first), tmp_path / "tables", tmp_path / "reports", as_of=AS_OF)
    update_tables(str(second), tmp_path / "tables", tmp_path / "reports", as_of=AS_OF)
    changed = pq.read_table(pending(tmp_path / "tables") / CHANGES)["event_id"].to_pylist()
    unnamed = next(r["event_id"] for r in content(tmp_path / "tables")["events"] if r["user_id"] == "u3")
    assert sorted(changed) == sorted(["e1", "e3", "e7", "e8", unnamed])


def test_quarantined_rows_are_kept(tmp_path: Path) -> None:
    bad = [{"events.csv": EVENTS + f"b{n},u1,p1,{event},2024-01-01,1,1,\n"} for n, event in enumerate(["x", "y"])]
    tables = in_steps(tmp_path, [{**SHOP[0], **bad[0]}, bad[1]], IngestSettings())
    rows = pq.read_table(tables / "quarantine" / "events.parquet").to_pylist()
    assert [(r["rule"], r["value"]) for r in rows] == [("unknown_event", "x"), ("unknown_event", "y")]


def test_rows_whose_product_comes_late_are_told_of(tmp_path: Path) -> None:
    late = {"events.csv": EVENTS + "e20,u1,p4,view,2024-01-01,,,\ne21,u1,p8,view,2024-01-01,,,\n"}
    in_steps(tmp_path, [SHOP[0], late], IngestSettings())
    report = add(tmp_path / "steps", write(tmp_path / "more", SHOP[1]), IngestSettings())
    assert report is not None
    assert report.to_repeat == {"events": 1}  # e20, since p4 is known now
    again = add(tmp_path / "steps", write(tmp_path / "again", late), IngestSettings())
    assert again is not None
    assert (again.tables["events"].loaded, again.to_repeat) == (1, {})


def test_pseudonyms_join_those_that_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPGRAPH_PSEUDONYM_KEY", "a key that is long enough for the test")
    tables = same(tmp_path, SHOP, IngestSettings(privacy=PrivacySettings(pseudonymise="ids")))
    assert {len(row["user_id"]) for row in tables["users"]} == {24}


ids = st.integers(0, 5)
product_rows = st.lists(
    st.builds(lambda p, t, b, c, x: f"p{p},{t},{b},{c},{x},\n", ids, st.sampled_from(["", "Tea", "Leaf tea"]),
              st.sampled_from(["", "Leaf", "Cup"]), st.sampled_from(["", "a", "a > b", "a;c"]),
              st.sampled_from(["", "1", "2.5"])), max_size=4)  # fmt: skip
unnamed = st.builds(
    lambda u, p, k, d, q, o: f",u{u},p{p},{k},2024-01-{d:02d},{q},2,{o}\n",
    ids, ids, st.sampled_from(["purchase", "view", "return"]), st.integers(1, 28), st.integers(1, 3),
    st.sampled_from(["", "o1", "o2"]))  # fmt: skip
# whose event it is stays: a correction that moves an event away from what is removed is a case of its own
named = st.builds(
    lambda e, k, d, q: f"e{e},u{e},p{e},{k},2024-01-{d:02d},{q},2,o{e}\n", st.integers(1, 3),
    st.sampled_from(["purchase", "view", "return"]), st.integers(1, 28), st.integers(1, 3))  # fmt: skip
event_rows = st.lists(unnamed | named, max_size=6)
removal_rows = st.lists(
    st.builds(lambda kind, n, time: f"{kind}s,{kind[0]}{n},{time}\n", st.sampled_from(["user", "product", "event"]),
              ids, st.sampled_from(["", "2024-01-10"])), max_size=2)  # fmt: skip
coupon_rows = st.lists(st.builds(lambda k, p, c: f"k{k},p{p},{c}\n", ids, ids, st.sampled_from(["", "c1"])), max_size=3)
user_rows = st.lists(st.builds(lambda u, a: f"u{u},{a}\n", ids, st.sampled_from(["", "30", "41"])), max_size=3)
ALL = PRODUCTS + "".join(f"p{n},Thing {n},,,,\n" for n in range(6))


@st.composite
def deliveries(draw: st.DrawFn) -> list[Delivery]:
    made = []
    for n in range(draw(st.integers(2, 3))):
        delivery = {
            "products.csv": (ALL if n == 0 else PRODUCTS) + "".join(draw(product_rows)),
            "events.csv": EVENTS + "".join(draw(event_rows)),
            "removals.csv": "table,id,time\n" + "".join(draw(removal_rows)),
            "coupons.csv": "coupon_id,product_id,campaign_id\n" + "".join(draw(coupon_rows)),
            "users.csv": "user_id,age\n" + "".join(draw(user_rows)),
        }
        left_out = draw(st.sets(st.sampled_from(sorted(delivery)), max_size=4)) if n else set()
        made.append({name: text for name, text in delivery.items() if name not in left_out})
    return made


@given(deliveries())
@settings(max_examples=5)
def test_deliveries_in_steps_are_one_build(tmp_path_factory: pytest.TempPathFactory, made: list[Delivery]) -> None:
    same(tmp_path_factory.mktemp("shop"), made)


@given(deliveries())
@settings(max_examples=2)
def test_deliveries_without_products_are_one_build(
    tmp_path_factory: pytest.TempPathFactory, made: list[Delivery]
) -> None:
    same(tmp_path_factory.mktemp("shop"), [{n: t for n, t in d.items() if n != "products.csv"} for d in made])


def refused(tmp_path: Path, delivery: Delivery, settings: IngestSettings | None = None, first: int = 0) -> str:
    settings = settings or IngestSettings()
    shop = {n: t for n, t in SHOP[0].items() if not first or n != "products.csv"}
    build_tables(str(write(tmp_path / "first", shop)), tmp_path / "tables", tmp_path / "reports", as_of=AS_OF)
    with pytest.raises(IngestError) as caught:
        update_tables(
            str(write(tmp_path / "more", delivery)), tmp_path / "tables", tmp_path / "reports", as_of=AS_OF,
            settings=settings)  # fmt: skip
    assert not pending(tmp_path / "tables").exists()
    return str(caught.value)


@pytest.mark.parametrize(
    ("delivery", "says"),
    [
        ({"users.csv": "user_id,age\nu1,old\n"}, "the column age was bigint and is varchar"),
        ({"accounts.csv": "account_id\na1\n"}, "accounts are resolved over all"),
    ],
)
def test_what_only_a_whole_build_can_take_in_is_refused(tmp_path: Path, delivery: Delivery, says: str) -> None:
    assert says in refused(tmp_path, delivery)


def test_other_settings_and_a_first_products_table_are_refused(tmp_path: Path) -> None:
    assert "other settings" in refused(tmp_path / "1", SHOP[1], IngestSettings(dangling="create"))
    assert "the first products table" in refused(tmp_path / "2", SHOP[1], first=1)


def test_there_must_be_tables(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="no whole clean tables"):
        update_tables(str(write(tmp_path / "s", SHOP[0])), tmp_path / "tables", tmp_path / "reports")


def test_a_delivery_that_breaks_a_threshold_is_refused(tmp_path: Path) -> None:
    build_tables(str(write(tmp_path / "first", SHOP[0])), tmp_path / "tables", tmp_path / "reports", as_of=AS_OF)
    strict = IngestSettings(quality=QualitySettings(max_quarantined={"events": 0.1}))
    bad = write(tmp_path / "bad", {"events.csv": EVENTS + "b1,u1,p1,nothing,2024-01-01,1,1,\n"})
    with pytest.raises(BrokenThresholdsError):
        update_tables(str(bad), tmp_path / "tables", tmp_path / "reports", as_of=AS_OF, settings=strict, fail_on=True)
    assert not pending(tmp_path / "tables").exists()
