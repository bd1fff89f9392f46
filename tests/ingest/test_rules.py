"""Every quarantine and mending rule on hand-made dirty directories: file, line, rule, column, value and counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

Build = Callable[..., Any]

PRODUCTS = "product_id,title\np1,Tea\np2,Coffee\n"


def held(built: Any, table: str) -> list[tuple[Any, ...]]:
    return [(r["source_file"], r["line"], r["rule"], r["column"], r["value"]) for r in built.quarantine(table)]


def test_every_rule_of_events(build: Build) -> None:
    lines = [
        "user_id,product_id,event,time,quantity,price,rating",  # line 1
        "u1,p1,purchase,2024-01-02T10:00:00Z,1,2.5,",
        "null,p1,view,2024-01-02,,,",  # 3: missing user
        "u1, N/A ,view,2024-01-02,,,",  # 4: missing product
        "u1,p1,,2024-01-02,,,",  # 5: missing event
        "u1,p1,teleport,2024-01-02,,,",  # 6
        "u1,nowhere,view,2024-01-02,,,",  # 7
        "u1,p1,view,last tuesday,,,",  # 8
        "u1,p1,view,1989-12-31T23:59:59Z,,,",  # 9
        "u1,p1,view,2024-06-02T00:00:01Z,,,",  # 10: a day and a second after
        "u1,p1,purchase,2024-01-02,0,,",  # 11
        "u1,p1,purchase,2024-01-02,-2,,",  # 12
        "u1,p1,cart,2024-01-02,-1,,",  # 13
        "u1,p1,return,2024-01-02,-1,,",  # fine
        "u1,p1,view,2024-01-02,,-0.01,",  # 15
        "u1,p1,view,2024-01-02,,",  # 16: one field too few
        "u1,p1,view,2024-01-02,,,,",  # 17: one too many
        "u1,p2,VIEW,1990-01-01,,,",  # fine: case, first allowed instant
        "u1,p2,view,2024-06-02T00:00:00Z,0,0,",  # fine: last allowed instant, zero of a view
        "u1,nowhere,purchase,2024-01-02,0,,",  # 20: breaks two rules, counts for the first
    ]
    built = build({"products.csv": PRODUCTS, "events.csv": "\n".join(lines) + "\n"})
    assert held(built, "events") == [
        ("events.csv", 3, "missing_key", "user_id", "null"),
        ("events.csv", 4, "missing_key", "product_id", " N/A "),
        ("events.csv", 5, "missing_key", "event", ""),
        ("events.csv", 6, "unknown_event", "event", "teleport"),
        ("events.csv", 7, "dangling_product", "product_id", "nowhere"),
        ("events.csv", 8, "unreadable_time", "time", "last tuesday"),
        ("events.csv", 9, "time_too_early", "time", "1989-12-31T23:59:59Z"),
        ("events.csv", 10, "time_too_late", "time", "2024-06-02T00:00:01Z"),
        ("events.csv", 11, "no_quantity", "quantity", "0"),
        ("events.csv", 12, "no_quantity", "quantity", "-2"),
        ("events.csv", 13, "negative_quantity", "quantity", "-1"),
        ("events.csv", 15, "negative_price", "price", "-0.01"),
        ("events.csv", 16, "ragged_row", None, None),
        ("events.csv", 17, "ragged_row", None, None),
        ("events.csv", 20, "dangling_product", "product_id", "nowhere"),
    ]
    quality = built.quality()["tables"]["events"]
    assert (quality["rows_in"], quality["loaded"], quality["merged"], quality["quarantined"]) == (19, 4, 0, 15)
    assert quality["rules"] == {
        "ragged_row": 2, "missing_key": 3, "unknown_event": 1, "dangling_product": 2, "unreadable_time": 1,
        "time_too_early": 1, "time_too_late": 1, "no_quantity": 2, "negative_quantity": 1, "negative_price": 1,
    }  # fmt: skip
    rows = {r["line"]: json.loads(r["row"]) for r in built.quarantine("events")}
    assert rows[6]["event"] == "teleport"
    assert rows[6]["user_id"] == "u1"
    assert rows[16] == ["u1", "p1", "view", "2024-01-02", "", ""]
    assert sorted(r["event"] for r in built.rows("events")) == ["purchase", "return", "view", "view"]


def test_dangling_products_can_be_created(build: Build) -> None:
    files = {"products.csv": PRODUCTS, "events.csv": "user_id,product_id,event\nu1,p9,view\nu1,p1,view\n"}
    built = build(files, dangling="create")
    assert {r["product_id"]: r["title"] for r in built.rows("products")} == {"p1": "Tea", "p2": "Coffee", "p9": None}
    assert all(r["recommendable"] for r in built.rows("products"))
    assert built.report.tables["products"].created == 1
    assert built.report.tables["products"].loaded == 2
    assert built.report.tables["events"].quarantined == 0


def test_events_of_a_quarantined_product_dangle(build: Build) -> None:
    built = build({
        "products.csv": "product_id,price\np1,-1\np2,1\n",
        "events.csv": "user_id,product_id,event\nu1,p1,view\nu1,p2,view\n",
    })  # fmt: skip
    assert held(built, "products") == [("products.csv", 2, "negative_price", "price", "-1")]
    assert held(built, "events") == [("events.csv", 2, "dangling_product", "product_id", "p1")]


def test_without_products_table_products_and_users_are_created(build: Build) -> None:
    built = build({
        "events.csv": "user_id,product_id,event\nu2,p2,view\nu1,p1,view\nu1,p2,cart\n",
        "redemptions.csv": "user_id,coupon_id,time\nu3,c1,2024-02-01\n",
        "campaigns.csv": "campaign_id,user_id,start_time\nk1,u4,\nk1,,2030-01-01\n",
        "coupons.csv": "coupon_id,product_id\nc1,p3\n",
    })  # fmt: skip
    assert [r["product_id"] for r in built.rows("products")] == ["p1", "p2", "p3"]
    assert [r["user_id"] for r in built.rows("users")] == ["u1", "u2", "u3", "u4"]
    assert built.report.tables["users"].created == 4
    assert built.report.tables["users"].rows_in == 0
    assert built.report.tables["products"].created == 3
    start = {r["user_id"]: r["start_time"] for r in built.rows("campaigns")}
    assert start == {"u4": None, None: datetime(2030, 1, 1, tzinfo=UTC)}  # a campaign may lie in the future


def test_coupons_dangle_and_triples_do_not(build: Build) -> None:
    built = build({
        "products.csv": PRODUCTS,
        "coupons.csv": "coupon_id,product_id,campaign_id\nc1,p1,k1\nc1,p1,k2\nc1,p9,k1\nc1,p1,k1\n",
        "triples.csv": "head,relation,tail\np1,origin,Ceylon\nsomething,near,elsewhere\np1,,Ceylon\n",
    })  # fmt: skip
    assert held(built, "coupons") == [("coupons.csv", 4, "dangling_product", "product_id", "p9")]
    coupons = built.report.tables["coupons"]
    assert (coupons.rows_in, coupons.loaded, coupons.merged, coupons.quarantined) == (4, 2, 1, 1)
    assert held(built, "triples") == [("triples.csv", 4, "missing_key", "relation", "")]
    assert built.report.tables["triples"].loaded == 2


def test_searches_need_no_product(build: Build) -> None:
    built = build({
        "products.csv": PRODUCTS,
        "events.csv": "user_id,product_id,event,query\nu1,,search,green tea\nu1,,view,\nu1,,search,none\n",
    })  # fmt: skip
    assert [(r["event"], r["product_id"], r["query"]) for r in built.rows("events")] != []
    assert sorted(r["query"] for r in built.rows("events")) == ["green tea", "none"]  # words people type are kept
    assert held(built, "events") == [("events.csv", 3, "missing_key", "product_id", "")]


def test_mended_fields(build: Build) -> None:
    long = "ä" * 40_000  # 80,000 bytes
    text = (
        "product_id,title,price,stock,recommendable,available_from,description\n"
        "p1,Tea\x07 \x7fhot,cheap,many,perhaps,soon,\n"
        f"p2,Coffee,1.5,2,no,2024-01-01,{long}\n"
        "p3,tab\there,inf,nan,,,none\n"
    )
    built = build({"products.csv": text.encode() + b"p4,caf\xe9,1,1,yes,,\n"})
    rows = {r["product_id"]: r for r in built.rows("products")}
    assert rows["p1"]["title"] == "Tea hot"
    assert rows["p1"]["price"] is None
    assert rows["p1"]["stock"] is None
    assert rows["p1"]["available_from"] is None
    assert [rows[p]["recommendable"] for p in ("p1", "p2", "p3", "p4")] == [True, False, True, True]
    assert rows["p2"]["description"] == "ä" * 32_768
    assert rows["p3"]["title"] == "tab\there"
    assert rows["p3"]["price"] is None
    assert rows["p3"]["description"] is None
    assert rows["p4"]["title"] == "caf\ufffd"
    quality = built.report.tables["products"]
    assert quality.mends == {
        "title": {"control_characters": 1, "not_utf8": 1},
        "description": {"too_long": 1},
        "price": {"wrong_type": 2},
        "stock": {"wrong_type": 1},
        "recommendable": {"wrong_type": 1},
        "available_from": {"wrong_type": 1},
    }
    assert quality.mended == 8
    assert quality.loaded == 4


def test_mends_of_quarantined_rows_do_not_count(build: Build) -> None:
    built = build({"products.csv": "product_id,title,price,stock\n,a\x01,-1,x\np1,b,1,1\n"})
    assert built.report.tables["products"].mended == 0
    assert json.loads(built.quarantine("products")[0]["row"])["title"] == "a\x01"


def test_parents_that_do_not_exist_are_emptied(build: Build) -> None:
    built = build({"products.csv": "product_id,parent_id\np1,p2\np2,p2\np3,p9\n"})
    assert {r["product_id"]: r["parent_id"] for r in built.rows("products")} == {"p1": "p2", "p2": None, "p3": None}
    assert built.report.tables["products"].mends == {"parent_id": {"dangling_parent": 2}}


@pytest.mark.parametrize("word", ["", "null", "NULL", "None", "nan", "NaN", "n/a", "N/A", "  ", "\u00a0none "])
def test_missing_words_in_ids(build: Build, word: str) -> None:
    built = build({"events.csv": f'user_id,product_id,event,store\n"{word}",p1,view,s\nu1,p1,view,"{word}"\n'})
    assert [r["rule"] for r in built.quarantine("events")] == ["missing_key"]
    assert built.rows("events")[0]["store"] is None


def test_ids_keep_case_and_zeros_and_lose_space(build: Build) -> None:
    built = build({"products.csv": "product_id,title\n 007 ,a\n7,b\nAb,c\nab,d\ncafe\u0301,e\ncaf\u00e9 ,e\nnone!,f\n"})
    assert [r["product_id"] for r in built.rows("products")] == ["007", "7", "Ab", "ab", "caf\u00e9", "none!"]
    assert built.quality()["case_variants"] == {"products.product_id": [["Ab", "ab"]]}
    assert built.report.tables["products"].merged == 1
    assert built.report.tables["products"].conflicts == 0
