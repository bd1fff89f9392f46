"""Duplicates and conflicts: which rows become one, which value stays, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Build = Callable[..., Any]


def test_later_value_wins_per_column_over_files_then_lines(build: Build) -> None:
    built = build({
        "products-b.csv": "product_id,title,price\np1,third,\np2,only,1\n",
        "products-a.csv": "product_id,title,brand,price\np1,first,Acme,1\np1,second,,2\n",
    })  # fmt: skip
    rows = {r["product_id"]: r for r in built.rows("products")}
    assert (rows["p1"]["title"], rows["p1"]["brand"], rows["p1"]["price"]) == ("third", "Acme", 2.0)
    quality = built.report.tables["products"]
    assert (quality.rows_in, quality.loaded, quality.merged, quality.conflicts) == (4, 2, 2, 2)
    assert quality.conflict_columns == {"title": 2, "price": 1}
    assert quality.files == ["products-a.csv", "products-b.csv"]


def test_filling_a_gap_is_no_conflict(build: Build) -> None:
    built = build({"users.csv": "user_id,city,age\nu1,Bonn,\nu1,,40\nu1 ,Bonn,40\n"})
    assert built.rows("users") == [{"user_id": "u1", "city": "Bonn", "age": 40}]
    quality = built.report.tables["users"]
    assert (quality.loaded, quality.merged, quality.conflicts) == (1, 2, 0)


def test_events_without_id_merge_when_all_columns_agree(build: Build) -> None:
    built = build({
        "events.csv": "user_id,product_id,event,time,colour\n"
        "u1,p1,view,2024-01-02T10:00:00Z,red\n"
        "u1,p1,VIEW,2024-01-02 12:00:00+02:00,red\n"  # the same instant and event, written otherwise
        "u1,p1,view,2024-01-02T10:00:00Z,blue\n"
        "u1,p1,view,,red\n"
    })  # fmt: skip
    quality = built.report.tables["events"]
    assert (quality.rows_in, quality.loaded, quality.merged, quality.conflicts) == (4, 3, 1, 0)
    ids = [r["event_id"] for r in built.rows("events")]
    assert len(set(ids)) == 3
    assert all(len(i) == 20 and set(i) <= set("0123456789abcdef") for i in ids)


def test_events_of_one_id_merge_whatever_they_say(build: Build) -> None:
    built = build({
        "events.csv": "event_id,user_id,product_id,event,rating\n"
        "e1,u1,p1,review,3\ne1,u1,p1,review,5\n,u1,p1,review,4\n"
    })  # fmt: skip
    quality = built.report.tables["events"]
    assert (quality.loaded, quality.merged, quality.conflicts) == (2, 1, 1)
    assert {r["event_id"]: r["rating"] for r in built.rows("events")}["e1"] == 5.0


def test_content_ids_do_not_depend_on_row_order_or_empty_columns(build: Build) -> None:
    first = build({"events.csv": "user_id,product_id,event\nu1,p1,view\nu2,p2,cart\n"})
    ids = {r["user_id"]: r["event_id"] for r in first.rows("events")}
    second = build({"events.csv": "event,note,product_id,user_id,time\ncart,,p2,u2,\nview,,p1,u1,\n"})
    assert {r["user_id"]: r["event_id"] for r in second.rows("events")} == ids


def test_content_ids_separate_what_only_looks_alike_when_joined(build: Build) -> None:
    built = build({"events.csv": "user_id,product_id,event,channel,store\nu1,p1,view,ab,c\nu1,p1,view,a,bc\n"})
    assert built.report.tables["events"].loaded == 2


def test_tables_without_key_merge_equal_rows_nulls_included(build: Build) -> None:
    built = build({"triples.csv": "head,relation,tail,time\na,r,b,\na,r,b,\na,r,b,2024-01-01\na,r,c,\n"})
    quality = built.report.tables["triples"]
    assert (quality.rows_in, quality.loaded, quality.merged, quality.conflicts) == (4, 3, 1, 0)


def test_campaign_description_and_targets_stay_apart(build: Build) -> None:
    built = build({"campaigns.csv": "campaign_id,user_id,start_time\nk1,,2024-01-01\nk1,u1,\nk1,u1,\nk1,,2024-02-01\n"})
    quality = built.report.tables["campaigns"]
    assert (quality.loaded, quality.merged, quality.conflicts) == (2, 2, 1)


def test_clean_rows_are_sorted(build: Build) -> None:
    built = build({
        "products.csv": "product_id\np2\np10\np1\n",
        "events.csv": "user_id,product_id,event,time\n"
        "u2,p1,view,2024-01-01\nu1,p1,view,2024-01-03\nu1,p2,view,2024-01-02\n",
    })  # fmt: skip
    assert [r["product_id"] for r in built.rows("products")] == ["p1", "p10", "p2"]
    assert [(r["user_id"], r["product_id"]) for r in built.rows("events")] == [("u1", "p2"), ("u1", "p1"), ("u2", "p1")]


def test_accounts_give_events_their_user(build: Build) -> None:
    built = build({
        "accounts.csv": "account_id,channel,user_id\na1,web,u1\na2,app,\n",
        "events.csv": "account_id,user_id,product_id,event\n"
        "a1,,p1,view\na2,,p1,view\na3,,p1,view\na4,u9,p1,view\na1,u2,p2,view\n,,p1,view\n",
    })  # fmt: skip
    assert {(r["account_id"], r["user_id"]) for r in built.rows("events")} == {
        ("a1", "u1"), ("a2", "a2"), ("a3", "a3"), ("a4", "u9"), ("a1", "u2"),
    }  # fmt: skip
    assert [tuple(r.values()) for r in built.rows("account_users")] == [
        ("a1", "u1", "given", 1.0), ("a2", "a2", "own", 1.0), ("a3", "a3", "own", 1.0), ("a4", "u9", "events", 1.0),
    ]  # fmt: skip
    assert [r["user_id"] for r in built.rows("users")] == ["a2", "a3", "u1", "u2", "u9"]
    assert [(r["line"], r["column"]) for r in built.quarantine("events")] == [(7, "user_id")]
