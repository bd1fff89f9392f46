"""Profiles of clean tables against figures worked out by hand and a second implementation by pandas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ingest.monitor.profiling import QUANTILES

Build = Callable[..., Any]
PRODUCTS = (
    "product_id,title,brand,price,weight\n"
    "p1,Tea,Acme,1.5,10\n"
    "p2,Coffee,Acme,,20\n"
    "p3,Cocoa,Bean,abc,10\n"
    "p4,Milk,none,4.5,30\n"
)


def test_a_small_table_by_hand(build: Build) -> None:
    columns = build({"products.csv": PRODUCTS}).report.profile["products"].columns
    assert (columns["brand"].completeness, columns["brand"].missing, columns["brand"].distinct) == (0.75, 1, 2)
    assert columns["brand"].top == (("Acme", 2), ("Bean", 1))
    price = columns["price"]
    assert (price.completeness, price.minimum, price.maximum, price.mean) == (0.5, 1.5, 4.5, 3.0)
    assert (price.quantiles["0.5"], price.quantiles["0.75"]) == (1.5, 4.5)
    assert columns["product_id"].distinct == 4
    assert columns["title"].lengths == (3, 6)
    assert columns["weight"].histogram is not None
    assert columns["weight"].histogram.edges == (10.0, 20.0)
    assert columns["weight"].histogram.counts == (2, 1, 1)
    assert (columns["description"].completeness, columns["description"].distinct) == (0.0, 0)
    quality = build({"products.csv": PRODUCTS}).report.tables["products"]
    assert quality.mends == {"price": {"wrong_type": 1}}


def test_faults_stand_with_their_column_and_place(build: Build) -> None:
    rows = "u1,p1,view,1\nu1,,view,1\nu1,null,view,1\nu1,p1,view,-2\nu1,p1,jump,1\n"
    table = build({"events.csv": "user_id,product_id,event,quantity\n" + rows}).report.tables["events"]
    assert table.faults == {
        "product_id": {"missing_key": 2},
        "quantity": {"negative_quantity": 1},
        "event": {"unknown_event": 1},
    }
    assert table.places == {
        "missing_key": ["events.csv", 3],
        "negative_quantity": ["events.csv", 5],
        "unknown_event": ["events.csv", 6],
    }


def _shop(rows: int) -> pd.DataFrame:
    draw = np.random.default_rng(5)
    moments = pd.Timestamp("2024-01-03", tz="UTC") + pd.to_timedelta(draw.integers(0, 80 * 86_400, rows), unit="s")
    return pd.DataFrame(
        {
            "event_id": [f"e{i:05d}" for i in range(rows)],
            "user_id": [f"u{i}" for i in draw.integers(0, 90, rows)],
            "product_id": [f"p{i}" for i in draw.zipf(1.6, rows).clip(max=40)],
            "event": draw.choice(["view", "cart", "purchase"], rows, p=[0.7, 0.2, 0.1]),
            "time": moments,
            "quantity": draw.integers(1, 9, rows).astype(float),
            "price": np.where(draw.random(rows) < 0.2, np.nan, draw.lognormal(1, 1, rows).round(2)),
            "channel": draw.choice(["web", "app", "store"], rows),
        }
    )


def test_against_pandas(build: Build) -> None:
    shop = _shop(3_000)
    profile = build({"events.csv": shop.to_csv(index=False)}).report.profile["events"]
    assert profile.rows == len(shop)
    for name in shop.columns:
        column, values = profile.columns[name], shop[name].dropna()
        assert (column.missing, column.distinct) == (len(shop) - len(values), values.nunique()) or name == "time", name
        assert column.completeness == pytest.approx(len(values) / len(shop)), name
    for name in ("quantity", "price"):
        column, values = profile.columns[name], shop[name].dropna()
        assert (column.minimum, column.maximum) == (values.min(), values.max())
        assert column.mean == pytest.approx(values.mean(), rel=1e-5)
        expected = np.quantile(values, [float(q) for q in QUANTILES], method="inverted_cdf")
        assert list(column.quantiles.values()) == pytest.approx(list(expected))
        assert column.histogram is not None
        bins = np.searchsorted(column.histogram.edges, values, side="left")
        assert list(column.histogram.counts) == np.bincount(bins, minlength=len(column.histogram.counts)).tolist()
    for name in ("product_id", "event", "channel"):
        counts = shop[name].value_counts().reset_index().sort_values(["count", name], ascending=[False, True])
        assert profile.columns[name].top == tuple(counts.head(10).itertuples(index=False, name=None))
    assert profile.columns["time"].minimum == shop["time"].min().isoformat()
    assert abs(profile.columns["time"].distinct / shop["time"].nunique() - 1) < 0.1  # an estimate
    assert not profile.columns["time"].exact


def test_volume_against_pandas(build: Build) -> None:
    shop = _shop(1_000)
    volume = build({"events.csv": shop.to_csv(index=False)}).report.profile["events"].volume["time"]
    assert volume.unit == "day"
    per_day = shop.groupby(shop["time"].dt.strftime("%Y-%m-%d"))
    expected = per_day.size().to_dict()
    assert {d: n for d, n in zip(volume.starts, volume.series["all"], strict=True) if n} == expected
    by_channel = shop[shop["channel"] == "app"].groupby(shop["time"].dt.strftime("%Y-%m-%d")).size().to_dict()
    assert {d: n for d, n in zip(volume.starts, volume.series["channel=app"], strict=True) if n} == by_channel
    assert set(volume.series) == {
        "all",
        *(f"channel={c}" for c in shop["channel"]),
        *(f"event={e}" for e in shop["event"]),
    }


@pytest.mark.parametrize(
    ("last", "unit", "starts"),
    [
        ("2024-01-05", "day", ("2024-01-03", "2024-01-04", "2024-01-05")),
        ("2023-09-20", "week", ("2023-09-18", "2024-01-01")),
        ("2019-11-30", "month", ("2019-11-01", "2024-01-01")),
    ],
)
def test_the_unit_follows_the_span_and_gaps_are_seen(
    build: Build, last: str, unit: str, starts: tuple[str, ...]
) -> None:
    files = {"events.csv": f"user_id,product_id,event,time\nu1,p1,view,2024-01-03\nu1,p1,view,{last}\n"}
    volume = build(files).report.profile["events"].volume["time"]
    assert volume.unit == unit
    assert (volume.starts[0], volume.starts[-1]) == (starts[0], starts[-1])
    assert volume.series["all"][0] == volume.series["all"][-1] == 1
    assert sum(volume.series["all"]) == 2
    assert len(volume.starts) == {"day": 3, "week": 16, "month": 51}[unit]


def test_times_before_1970_fall_on_their_day(build: Build) -> None:
    files = {"triples.csv": "head,relation,tail,time\na,r,b,1969-12-31T23:00:00\n"}
    volume = (
        build(files, earliest=pd.Timestamp("1900-01-01", tz="UTC").to_pydatetime()).report.profile["triples"].volume
    )
    assert volume["time"].starts == ("1969-12-31",)


def test_a_long_column_of_numbers_is_sampled(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.monitor.profiling.FEW", 50)
    monkeypatch.setattr("ingest.monitor.profiling.SAMPLE", 100)
    rows = "".join(f"p{i:04d},{i},t{i}\n" for i in range(1000))
    columns = build({"products.csv": "product_id,price,title\n" + rows}).report.profile["products"].columns
    price = columns["price"]  # every tenth row of the sorted file: 0, 10, …, 990
    assert (price.sampled, price.minimum, price.maximum, price.quantiles["0.5"]) == (100, 0.0, 999.0, 490.0)
    assert not price.exact
    assert abs(price.distinct / 1000 - 1) < 0.1
    assert (columns["product_id"].distinct, columns["product_id"].exact) == (1000, True)  # the key is no estimate
    assert columns["title"].top == ()


def test_the_profile_does_not_depend_on_threads(build: Build) -> None:
    files = {"events.csv": _shop(2_000).to_csv(index=False)}
    first = build(files)
    (first.root / "work/tables/manifest.json").write_text("{}")
    assert build(files, threads=1).report.profile == first.report.profile


def test_values_of_personal_columns_are_never_shown(build: Build) -> None:
    names = ("email", "phone", "name", "postcode", "device_id", "loyalty_id")
    given = (*names, "hobby")
    rows = "".join(f"a{i},{','.join(f'secret{name}{i % 2}' for name in given)}\n" for i in range(40))
    reviews = "".join(f"secretuser{i % 3},p1,review,secrettext,secretquery\n" for i in range(30))
    users = "user_id,email,age\n" + "".join(f"secretuser{i},secretmail,4{i}\n" for i in range(3))
    built = build(
        {
            "accounts.csv": f"account_id,{','.join(given)}\n" + rows.replace("a", "secretaccount", 1),
            "events.csv": "user_id,product_id,event,text,query\n" + reviews + "secretuser1,,review,secrettext,\n",
            "users.csv": users,
        }
    )
    for name in (*names, "account_id", "hobby"):
        column = built.report.profile["accounts"].columns[name]
        known = name in ("account_id", "hobby")  # contact fields leave the run empty
        assert (column.hidden, column.top, column.distinct > 1) == (True, (), known)
    for path in [*(built.root / "work/reports").rglob("*.*"), built.root / "work/tables/baseline.json"]:
        if path.is_file():
            assert "secret" not in path.read_text("utf-8"), path
    assert built.report.profile["users"].columns["age"].maximum == 42.0
