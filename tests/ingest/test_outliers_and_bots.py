"""The rules that look at the whole table, against pandas and by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ingest.bots import BotSettings
from ingest.errors import IngestError
from ingest.outliers import OutlierSettings

Build = Callable[..., Any]
PURCHASES = "user_id,product_id,event,time,quantity,price\n"


def far_beyond(values: pd.DataFrame, column: str, settings: OutlierSettings) -> pd.Series:
    """The rule by pandas, for products with enough values."""
    logs = np.log(values[column])
    of = logs.groupby(values["product_id"])
    distance = logs - of.transform("median")
    spread = 1.4826 * distance.abs().groupby(values["product_id"]).transform("median")
    distance = distance.abs() if column == "price" else distance
    return distance > np.maximum(settings.deviations * spread, np.log(settings.least_factor))


@pytest.mark.parametrize("threads", [1, 2])
def test_outliers_are_those_of_pandas(build: Build, threads: int) -> None:
    rng = np.random.default_rng(3)
    n = 4_000
    rows = pd.DataFrame({
        "user_id": [f"u{i % 97}" for i in range(n)],
        "product_id": [f"p{i % 20}" for i in range(n)],
        "event": "purchase",
        "time": [f"2024-01-{1 + i % 28:02d}" for i in range(n)],
        "quantity": np.maximum(1, rng.lognormal(1, 1.2, n)).round(),
        "price": rng.lognormal(np.arange(n) % 20 / 4, 0.5, n).round(4) + 0.001,
    })  # fmt: skip
    settings = OutlierSettings(on=True, deviations=2.5, least_factor=3.0)
    odd_quantity = far_beyond(rows, "quantity", settings)
    odd_price = far_beyond(rows[~odd_quantity], "price", settings).reindex(rows.index, fill_value=False)
    assert odd_quantity.sum() > 10
    assert odd_price.sum() > 10
    built = build({"events.csv": rows.to_csv(index=False)}, outliers=settings, threads=threads)
    held = {(r["line"] - 2): r["rule"] for r in built.quarantine("events")}
    expected = dict.fromkeys(rows.index[odd_quantity], "outlier_quantity")
    expected |= dict.fromkeys(rows.index[odd_price], "outlier_price")
    assert held == expected
    assert built.report.tables["events"].rules == {
        "outlier_quantity": int(odd_quantity.sum()), "outlier_price": int(odd_price.sum()),
    }  # fmt: skip


def test_a_rare_product_is_judged_by_its_price_then_its_category_then_the_shop(build: Build) -> None:
    products = "product_id,price,category\nold,,tea\nlisted,100,tea\nrare,,tea\nalone,,cups\nown,,tea\n"
    # tea costs 2, and so does the median of the shop
    lines = [f"{u}{n},old,purchase,2024-01-0{n},1,2" for u in "uv" for n in range(1, 10)]
    lines += [
        "u7,listed,purchase,2024-01-07,1,110",  # far beyond tea, near its own price
        "u8,listed,purchase,2024-01-07,1,9",  # less than a tenth of its price
        "u7,rare,purchase,2024-01-07,1,19",
        "u8,rare,purchase,2024-01-07,1,21",  # more than ten times what tea costs
        "u8,alone,purchase,2024-01-07,1,22",  # more than ten times what the shop's things cost
        *(f"u{n},own,purchase,2024-02-0{n},1,{p}" for n, p in ((1, 40), (2, 50), (3, 60))),  # three that agree
    ]
    settings = OutlierSettings(on=True, columns=("price",), least_factor=10.0, min_observations=6)
    built = build({"products.csv": products, "events.csv": PURCHASES + "\n".join(lines) + "\n"}, outliers=settings)
    assert [(r["line"], r["column"], r["value"]) for r in built.quarantine("events")] == [
        (21, "price", "9"), (23, "price", "21"), (24, "price", "22"),
    ]  # fmt: skip


def test_copies_of_a_row_are_one_observation_and_returns_are_judged(build: Build) -> None:
    lines = [f"u{n},p,purchase,2024-01-0{n},1," for n in range(1, 4)] + ["u9,p,purchase,2024-01-09,50,"] * 9
    lines += ["u8,p,return,2024-01-09,-50,", "u8,p,view,2024-01-09,,"]
    settings = OutlierSettings(on=True, least_factor=30.0, min_observations=3)
    built = build({"events.csv": PURCHASES + "\n".join(lines) + "\n"}, outliers=settings)
    events = built.report.tables["events"]
    assert events.rules == {"outlier_quantity": 10}
    assert (events.rows_in, events.loaded, events.merged, events.quarantined) == (14, 4, 0, 10)


def test_mends_of_outliers_do_not_count(build: Build) -> None:
    text = PURCHASES + "".join(f"u{n},p,purchase,2024-01-0{n},1,x\n" for n in range(1, 5))
    built = build(
        {"events.csv": text + "u5,p,purchase,2024-01-05,99,x\n"},
        outliers=OutlierSettings(on=True, min_observations=3),
    )
    assert built.report.tables["events"].quarantined == 1
    assert built.report.tables["events"].mends == {"price": {"wrong_type": 4}}


def bots_of(built: Any) -> set[str]:
    return {r["value"] for r in built.quarantine("events") if r["rule"] == "bot"}


def test_a_large_basket_is_one_act(build: Build) -> None:
    head = "user_id,product_id,event,time\n"
    basket = "".join(
        f"buyer,p{n},purchase,2024-01-01T10:00:00Z\nbuyer,p{n},impression,2024-01-01T09:00:00Z\n" for n in range(50)
    )
    clicks = "".join(f"clicker,p{n},click,2024-01-01T10:00:0{n % 2}Z\n" for n in range(11))
    built = build({"events.csv": head + basket + clicks}, bots=BotSettings(on=True, per_hour=10))
    assert bots_of(built) == {"clicker"}
    assert built.report.tables["events"].quarantined == 11
    assert {r["user_id"] for r in built.rows("users")} == {"buyer"}


def test_dates_alone_tell_of_days_only(build: Build) -> None:
    head = "user_id,product_id,event,time\n"
    rows = "".join(f"u,p{n},view,2024-01-01\n" for n in range(12)) + "".join(
        f"v,p{n},view,2024-01-02\n" for n in range(9)
    )
    assert bots_of(build({"events.csv": head + rows}, bots=BotSettings(on=True, per_hour=5, per_day=11))) == {"u"}


def test_who_only_looks_at_the_rate_of_a_machine(build: Build) -> None:
    head = "user_id,product_id,event,time,session_id\n"
    rows = ""
    for user, gap, last in (("machine", 1, "view"), ("person", 2, "view"), ("buyer", 1, "cart")):
        rows += "".join(
            f"{user},p,view,2024-01-01T10:{n * gap // 60:02d}:{n * gap % 60:02d}Z,{user}-s\n" for n in range(40)
        )
        rows += f"{user},p,{last},2024-01-01T12:00:00Z,{user}-t\n"
    settings = BotSettings(on=True, gap_seconds=1.0, least_looks=40)
    assert bots_of(build({"events.csv": head + rows}, bots=settings)) == {"machine"}
    by_session = BotSettings(on=True, gap_seconds=1.0, least_looks=40, by="session")
    assert bots_of(build({"events.csv": head + rows}, bots=by_session)) == {"machine-s", "buyer-s"}


def test_copies_of_a_row_make_nobody_a_bot(build: Build) -> None:
    rows = "u,p,view,2024-01-01T10:00:00Z\n" * 20 + "u,p,view,2024-01-01T10:00:01Z\n"
    built = build({"events.csv": "user_id,product_id,event,time\n" + rows}, bots=BotSettings(on=True, per_hour=10))
    assert built.report.tables["events"].merged == 19


def test_bots_bend_no_products_figures(build: Build) -> None:
    """A bot buys a hundred a time; without it the median is one, and a person's hundred is odd."""
    rows = "".join(f"bot,p,purchase,2024-01-01T10:{n:02d}:00Z,100,\n" for n in range(20))
    rows += "".join(f"u{n},p,purchase,2024-01-0{n},1,\n" for n in range(1, 6)) + "u6,p,purchase,2024-01-06,100,\n"
    built = build(
        {"events.csv": PURCHASES + rows},
        bots=BotSettings(on=True, per_hour=10),
        outliers=OutlierSettings(on=True, min_observations=3),
    )
    assert built.report.tables["events"].rules == {"bot": 20, "outlier_quantity": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"outliers": OutlierSettings(columns=("rating",))},
        {"outliers": OutlierSettings(least_factor=1.0)},
        {"bots": BotSettings(per_day=0)},
    ],
)
def test_settings_that_cannot_be_meant(build: Build, wrong: dict[str, Any]) -> None:
    with pytest.raises(IngestError, match=r"ingest\.(outliers|bots)"):
        build({"products.csv": "product_id\np\n"}, **wrong)
