"""tmall-behaviours, against its raw file read line by line and the facts published with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from bench.data import tmall
from bench.data.contract_folder import write_tables
from ingest.quality import QualityReport

pytestmark = pytest.mark.benchmark_data
REAL = pytest.mark.benchmark_data
Clean = Callable[[Path, str], pd.DataFrame]


@pytest.fixture(scope="module")
def shoppers(shared: Path, tmp_path_factory: pytest.TempPathFactory, built: Callable[[Path], QualityReport]) -> Path:
    folder = tmall.write(shared / "tmall-behaviours", tmp_path_factory.mktemp("tmall") / "contract")
    report = built(folder)
    assert report.tables["events"].loaded == 858_505 + 180_027 + 92_180 + 15_449
    assert (report.tables["products"].loaded, report.tables["users"].created) == (11_953, 15_449)
    return folder


@pytest.fixture(scope="module")
def events(shoppers: Path, clean: Clean) -> pd.DataFrame:
    return clean(shoppers, "events")[["user_id", "product_id", "event", "split"]]


@REAL
def test_events_are_as_many_as_published(events: pd.DataFrame) -> None:
    assert events.groupby(["event", "split"]).size().to_dict() == {
        ("view", "train"): 858_505,
        ("cart", "train"): 180_027,
        ("purchase", "train"): 92_180,
        ("purchase", "test"): 15_449,
    }


@REAL
def test_test_purchases_are_told_by_whether_they_were_viewed(shoppers: Path, events: pd.DataFrame) -> None:
    groups = tmall.groups(shoppers)
    assert groups["group"].value_counts().to_dict() == {tmall.VIEWED: 12_315, tmall.UNSEEN: 15_449 - 12_315}
    assert groups["user_id"].nunique() == 15_449
    product = events["product_id"].factorize()[0]
    pair = events["user_id"].astype(int).to_numpy() * 20_000 + product
    test = (events["split"] == "test").to_numpy()
    known = {kind: set(pair[(events["event"] == kind).to_numpy() & ~test].tolist()) for kind in ("view", "cart")}
    asked = dict(zip(events["user_id"][test], pair[test].tolist(), strict=True))
    viewed = {user for user, key in asked.items() if key in known["view"]}
    assert viewed == set(groups.loc[groups["group"] == tmall.VIEWED, "user_id"])
    assert sum(key in known["cart"] for key in asked.values()) == 3_024


@REAL
def test_raw_numbers_betray_the_test_purchase_and_written_ids_do_not(
    shared: Path, lines: Callable[..., Iterator[list[str]]], events: pd.DataFrame
) -> None:
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for user, product, event, split in lines(shared / "tmall-behaviours" / "events.csv.gz"):
        if event == "purchase":
            first[int(product)] = min(first.get(int(product), int(user)), int(user))
            if split == "test":
                last[int(user)] = int(product)
    in_order = [first[product] for product in sorted(first)]
    assert in_order == sorted(in_order)  # the trap: products are numbered by their first purchaser, test included
    assert sum(first[product] == user for user, product in last.items()) == 1_724
    bought = events[events["event"] == "purchase"]
    written = bought["user_id"].astype(int).groupby(bought["product_id"]).min().sort_index()
    assert 0.45 < (written.diff().dropna() >= 0).mean() < 0.55


def test_viewed_products_come_by_their_purchasers(tmp_path: Path) -> None:
    rows = [("u1", p, "view", "train") for p in "abcd"] + [
        ("u1", "a", "view", "train"),
        ("u1", "b", "purchase", "train"),
    ]
    rows += [(u, "c", "purchase", "train") for u in ("u2", "u3")] + [("u2", "d", "purchase", "train")]
    rows += [("u3", "a", "purchase", "test"), ("u3", "a", "view", "train"), ("u4", "d", "cart", "train")]
    table = pd.DataFrame(rows, columns=["user_id", "product_id", "event", "split"])
    write_tables(tmp_path / "contract", {"events": table})
    lists = tmall.viewed_best_sellers(tmp_path / "contract")
    found = lists[["user_id", "rank", "product_id", "score"]].to_records(index=False).tolist()
    assert found == [("u1", 1, "c", 2.0), ("u1", 2, "d", 1.0), ("u1", 3, "a", 0.0), ("u3", 1, "a", 0.0)]
    assert tmall.viewed_best_sellers(tmp_path / "contract", 1)["product_id"].tolist() == ["c", "a"]
