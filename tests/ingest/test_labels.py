"""Labels of users and products: worked out by hand, and against pandas."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ingest.contract import DERIVED, derived_names
from ingest.enrich.labels import PREFIX, LabelSettings
from ingest.errors import IngestError

Build = Callable[..., Any]
ON = {"labels": LabelSettings()}
HEAD = "user_id,product_id,event,time,quantity,price,order_id\n"


def of(built: Any, table: str, key: str, name: str) -> dict[str, Any]:
    return {row[key]: row[f"label_{name}"] for row in built.rows(table)}


def test_users_by_hand(build: Build) -> None:
    """As of 1 June 2024: days since the last purchase are ann 0, bob 10, cat 60, dan 100, eve 200; zoe only looked."""
    lines = [
        # ann: five orders, every ten days, the last of them two lines; 2 + 2 + 2 + 2 + (2 + 2 * 3)
        *(f"ann,p,purchase,2024-{d},1,2,a{d}" for d in ("04-22", "05-02", "05-12", "05-22", "06-01")),
        "ann,q,purchase,2024-06-01,2,3,a06-01",
        "bob,p,purchase,2024-05-22,1,1,b1",
        "cat,p,purchase,2024-03-03,1,30,c1",
        "cat,p,purchase,2024-04-02,1,30,c2",
        "dan,p,purchase,2024-02-02,1,5,d1",
        "dan,p,purchase,2024-02-22,,5,d2",  # no quantity: one piece
        "eve,p,purchase,2023-11-14,1,,e1",  # no price: money unknown
        "zoe,p,view,2024-06-01,,,",
    ]
    built = build({"events.csv": HEAD + "\n".join(lines) + "\n"}, **ON)
    assert of(built, "users", "user_id", "orders") == {"ann": 5, "bob": 1, "cat": 2, "dan": 2, "eve": 1, "zoe": None}
    assert of(built, "users", "user_id", "spent") == {
        "ann": 16.0, "bob": 1.0, "cat": 60.0, "dan": 10.0, "eve": None, "zoe": None,
    }  # fmt: skip
    assert of(built, "users", "user_id", "recency_days") == {
        "ann": 0, "bob": 10, "cat": 60, "dan": 100, "eve": 200, "zoe": None,
    }  # fmt: skip
    assert of(built, "users", "user_id", "cadence_days") == {
        "ann": 10.0, "bob": None, "cat": 30.0, "dan": 20.0, "eve": None, "zoe": None,
    }  # fmt: skip
    # worst first: eve, dan, cat, bob, ann
    assert of(built, "users", "user_id", "recency_score") == {
        "ann": 5, "bob": 4, "cat": 3, "dan": 2, "eve": 1, "zoe": None,
    }  # fmt: skip
    # bob and eve share the lowest place, cat and dan the third: 1 + 5 * 2 // 5
    assert of(built, "users", "user_id", "frequency_score") == {
        "ann": 5, "bob": 1, "cat": 3, "dan": 3, "eve": 1, "zoe": None,
    }  # fmt: skip
    # four users whose money is known: bob, dan, ann, cat
    assert of(built, "users", "user_id", "monetary_score") == {
        "ann": 3, "bob": 1, "cat": 4, "dan": 2, "eve": None, "zoe": None,
    }  # fmt: skip
    # value: ann (5 + 3) / 2, bob 1, cat 3.5 up to 4, dan 2.5 up to 3, eve 1
    assert of(built, "users", "user_id", "segment") == {
        "ann": "champions", "bob": "new", "cat": "loyal", "dan": "hibernating", "eve": "hibernating", "zoe": "prospect",
    }  # fmt: skip
    # bob's first purchase is ten days old; cat is at twice her thirty days, dan beyond four times his twenty; eve has
    # the shop's usual twenty
    assert of(built, "users", "user_id", "lifecycle") == {
        "ann": "active", "bob": "new", "cat": "active", "dan": "lapsed", "eve": "lapsed", "zoe": None,
    }  # fmt: skip


def test_the_reference_is_the_last_event_where_no_date_is_given(build: Build) -> None:
    text = HEAD + "u,p,purchase,2023-01-01,1,1,\nu,p,view,2023-01-11,,,\n"
    assert of(build({"events.csv": text}, as_of=None, **ON), "users", "user_id", "recency_days") == {"u": 10}
    late = datetime(2023, 1, 31, tzinfo=UTC)
    assert of(build({"events.csv": text}, as_of=late, **ON), "users", "user_id", "recency_days") == {"u": 30}


def test_price_bands_by_hand(build: Build) -> None:
    """Three at a category's own level; a small one looks to the level above, one without a category to the shop."""
    prices = {f"t{n}": (n, "drinks > tea") for n in range(1, 7)}  # 1 to 6
    prices |= {"c1": (3, "drinks > coffee"), "c2": (100, "drinks > coffee"), "x": (0.5, ""), "free": (None, "drinks")}
    text = "product_id,price,category\n" + "".join(
        f"{i},{'' if price is None else price},{category}\n" for i, (price, category) in prices.items()
    )
    built = build({"products.csv": text}, labels=LabelSettings(min_products=3))
    bands = of(built, "products", "product_id", "price_band")
    assert [bands[f"t{n}"] for n in range(1, 7)] == ["low", "low", "middle", "middle", "high", "high"]
    # among the eight drinks: c1 has two below and one beside it, (2 + 1) / 8; all of the shop is nine
    assert (bands["c1"], bands["c2"], bands["x"], bands["free"]) == ("middle", "high", "low", None)


def test_equal_prices_are_all_in_the_middle(build: Build) -> None:
    built = build({"products.csv": "product_id,price\n" + "".join(f"p{n},5\n" for n in range(9))}, **ON)
    assert set(of(built, "products", "product_id", "price_band").values()) == {"middle"}


def test_a_product_without_a_price_has_the_median_of_what_was_paid(build: Build) -> None:
    products = "product_id,price\na,\nb,1\nc,10\n"
    lines = "".join(f"u{n},a,purchase,2024-01-0{n + 1},1,{p},\n" for n, p in enumerate((4, 5, 90)))
    built = build({"products.csv": products, "events.csv": HEAD + lines}, labels=LabelSettings(min_products=3))
    assert of(built, "products", "product_id", "price_band") == {"a": "middle", "b": "low", "c": "high"}


def test_repurchase_interval_and_life_cycle_by_hand(build: Build) -> None:
    today = datetime(2024, 6, 1, tzinfo=UTC)

    def sold(product: str, *days: int) -> list[str]:
        return [f"u{i},{product},purchase,{today - timedelta(days=d):%Y-%m-%d},1,1," for i, d in enumerate(days)]

    lines = sold("new", 29) + sold("late", 30) + sold("dormant", 90) + sold("old", 89)
    lines += sold("up", *range(6), *range(30, 34), 200)  # 6 after 4
    lines += sold("down", *range(4), *range(30, 36), 200)
    lines += sold("even", *range(5), *range(30, 35), 200)
    # one user every week, another once more on the same day and after three weeks: 7, 7, 7, 7, 21
    lines += [f"v,tea,purchase,2024-01-{d:02d},1,1," for d in (1, 8, 15, 22, 29)]
    lines += ["w,tea,purchase,2024-01-01,1,1,", "w,tea,purchase,2024-01-01,2,1,", "w,tea,purchase,2024-01-22,1,1,"]
    products = (
        "product_id\n" + "\n".join(("new", "late", "dormant", "old", "up", "down", "even", "tea", "unsold")) + "\n"
    )
    built = build({"products.csv": products, "events.csv": HEAD + "\n".join(lines) + "\n"}, **ON)
    assert of(built, "products", "product_id", "lifecycle") == {
        "new": "new", "late": "steady", "dormant": "dormant", "old": "steady", "up": "growing", "down": "declining",
        "even": "steady", "tea": "dormant", "unsold": "unsold",
    }  # fmt: skip
    repurchase = of(built, "products", "product_id", "repurchase_days")
    assert {p: d for p, d in repurchase.items() if d is not None} == {"tea": 7.0}


@pytest.mark.parametrize("threads", [1, 2])
def test_cadence_and_scores_are_those_of_pandas(build: Build, threads: int) -> None:
    rng = np.random.default_rng(5)
    n = 3_000
    events = pd.DataFrame({
        "user_id": [f"u{v}" for v in rng.zipf(1.5, n) % 211],
        "product_id": [f"p{v}" for v in rng.integers(0, 20, n)],
        "event": "purchase",
        "time": pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 400, n), "D"),
        "quantity": rng.integers(1, 5, n),
        "price": rng.integers(1, 900, n) / 100,
        "order_id": [f"o{v}" for v in range(n)],
    })  # fmt: skip
    built = build({"events.csv": events.to_csv(index=False)}, threads=threads, **ON)
    users = pd.DataFrame(built.rows("users")).set_index("user_id")
    by_user = events.groupby("user_id")
    days = events[["user_id", "time"]].drop_duplicates().sort_values(["user_id", "time"])
    gaps = days.groupby("user_id")["time"].diff().dt.days
    cadence = gaps.groupby(days["user_id"]).median()
    assert users["label_cadence_days"].dropna().to_dict() == cadence.dropna().to_dict()
    spent = (events["quantity"] * events["price"]).groupby(events["user_id"]).sum().round(4)
    assert users["label_spent"].to_dict() == pytest.approx(spent.to_dict())
    measures = {
        "recency": -(pd.Timestamp("2024-06-01") - by_user["time"].max()).dt.days,
        "frequency": by_user.size(),
        "monetary": spent,
    }
    for name, values in measures.items():
        quintile = 1 + (5 * (values.rank(method="min") - 1) // len(values)).astype(int)
        assert users[f"label_{name}_score"].to_dict() == quintile.to_dict()


def test_without_purchases_nothing_is_said_of_users(build: Build) -> None:
    built = build({"events.csv": "user_id,product_id,event\nu,p,review\n"}, **ON)
    user, product = built.rows("users")[0], built.rows("products")[0]
    assert {user[c] for c in derived_names("users")} == {None}
    assert {product[c] for c in derived_names("products") if c.startswith(PREFIX)} == {None}


def test_purchases_without_times_are_counted(build: Build) -> None:
    lines = "".join(f"u{n},p{k},purchase,2.5\n" for n in range(1, 7) for k in range(n))
    built = build({"events.csv": "user_id,product_id,event,price\n" + lines}, **ON)
    assert of(built, "users", "user_id", "orders") == {f"u{n}": n for n in range(1, 7)}
    assert of(built, "users", "user_id", "spent") == {f"u{n}": n * 2.5 for n in range(1, 7)}
    assert of(built, "users", "user_id", "monetary_score")["u6"] == 5
    for name in ("recency_days", "recency_score", "segment", "lifecycle"):
        assert set(of(built, "users", "user_id", name).values()) == {None}, name


def test_a_source_keeps_its_own_columns_under_another_name(build: Build) -> None:
    users = "user_id,label_segment,Label Segment,age\nu,gold,silver,7\n"
    built = build({"users.csv": users}, **ON)
    row = built.rows("users")[0]
    assert (row["x_label_segment"], row["x_label_segment_2"], row["age"]) == ("gold", "silver", 7)
    assert row["label_segment"] is None
    off = build({"users.csv": users}).rows("users")[0]
    assert (off["x_label_segment"], "label_segment" in off) == ("gold", False)


def test_every_derived_column_is_made(build: Build) -> None:
    from ingest.enrich.infer import InferSettings

    files = {"products.csv": "product_id\np\n", "users.csv": "user_id\nu\n"}
    built = build(files, labels=LabelSettings(), infer=InferSettings())
    for table, columns in DERIVED.items():
        assert {c.name for c in columns} <= set(built.arrow(table).column_names)
        for column in columns:
            assert str(built.arrow(table).schema.field(column.name).type) in column.kind.value.strip()


def test_another_setting_builds_again(build: Build) -> None:
    files = {"products.csv": "product_id,price\np,1\n"}
    assert not build(files, **ON).report.reused
    assert build(files, **ON).report.reused
    assert not build(files, labels=LabelSettings(min_products=2)).report.reused
    assert "label_price_band" not in build(files).arrow("products").column_names


def test_settings_that_cannot_be_meant(build: Build) -> None:
    with pytest.raises(IngestError, match=r"ingest\.labels"):
        build({"products.csv": "product_id\np\n"}, labels=LabelSettings(new_days=0))
