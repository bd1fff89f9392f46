"""amazon-beauty, against its raw files read line by line."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from bench.data import amazon_beauty
from bench.data.contract_folder import is_cold
from ingest.quality import QualityReport

pytestmark = pytest.mark.benchmark_data
Lines = Callable[..., Iterator[list[str]]]
Built = Callable[[Path], QualityReport]
Clean = Callable[[Path, str], pd.DataFrame]


@pytest.fixture(scope="module")
def reviews(shared: Path, lines: Lines) -> list[list[str]]:
    """User, product, position, cafe split, leave-one-out split."""
    return list(lines(shared / "amazon-beauty" / "interactions.csv.gz"))


@pytest.fixture(scope="module")
def histories(reviews: list[list[str]]) -> dict[str, list[str]]:
    """Products of each user in the file's order."""
    order: dict[str, list[str]] = defaultdict(list)
    for user, product, *_ in reviews:
        order[user].append(product)
    return dict(order)


@pytest.fixture(scope="module")
def relations(shared: Path, lines: Lines) -> dict[str, list[tuple[str, str]]]:
    """Head and tail of the outside triples by relation."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for head, relation, tail in lines(shared / "amazon-beauty" / "kg.csv.gz"):
        found[relation].append((head, tail))
    return dict(found)


@pytest.fixture(scope="module")
def beauty(shared: Path, tmp_path_factory: pytest.TempPathFactory, built: Built) -> Path:
    folder = amazon_beauty.write(shared / "amazon-beauty", tmp_path_factory.mktemp("beauty") / "contract")
    report = built(folder)
    assert (report.tables["products"].loaded, report.tables["events"].loaded) == (12_101, 198_502)
    assert report.tables["users"].created == 22_363
    return folder


def test_the_last_review_in_file_order_is_test(beauty: Path, histories: dict[str, list[str]], clean: Clean) -> None:
    events = clean(beauty, "events").sort_values(["user_id", "sequence"])
    assert events.groupby("user_id")["product_id"].agg(list).to_dict() == histories
    for split, place in (("test", -1), ("valid", -2)):
        part = events[events["split"] == split].set_index("user_id")["product_id"].to_dict()
        assert part == {user: products[place] for user, products in histories.items()}


def test_co_purchases_are_triples_and_the_other_relations_are_columns(
    beauty: Path, shared: Path, lines: Lines, relations: dict[str, list[tuple[str, str]]], clean: Clean
) -> None:
    triples = clean(beauty, "triples")
    found = triples.groupby("relation").size().to_dict()
    assert found == {name: len(relations[name]) for name in ("also_bought", "also_viewed", "bought_together")}
    products = clean(beauty, "products").set_index("product_id")
    assert products["category"]["B003QLRO7W"] == "Curling Irons;Styling Tools;Irons;Hair Care"
    categories = {(product, name) for product, names in products["category"].items() for name in names.split(";")}
    assert categories == {pair for pair in relations["belongs_to"] if pair[1] != "Beauty"}
    brands = products["brand"].dropna()
    assert set(brands.items()) == {pair for pair in relations["produced_by"] if pair[1]}
    titles = {asin: title for asin, title, *_ in lines(shared / "amazon-beauty" / "items.csv.gz")}
    assert products["title"].dropna().to_dict() == {asin: title.strip() for asin, title in titles.items() if title}


def test_users_are_told_by_whether_their_last_ids_ascend(beauty: Path, histories: dict[str, list[str]]) -> None:
    groups = amazon_beauty.groups(beauty).set_index("user_id")["group"].to_dict()
    assert groups == {
        user: amazon_beauty.ASCENDING if products[-2] < products[-1] else amazon_beauty.OTHER
        for user, products in histories.items()
    }
    assert round(Counter(groups.values())[amazon_beauty.ASCENDING] / len(groups), 2) == 0.71


def test_the_cafe_split_is_as_given_and_without_order(shared: Path, tmp_path: Path, reviews: list[list[str]]) -> None:
    folder = amazon_beauty.write(shared / "amazon-beauty", tmp_path / "contract", "cafe")
    events = pd.read_parquet(folder / "events.parquet")
    assert "sequence" not in events.columns
    found = Counter(zip(events["user_id"], events["product_id"], events["split"], strict=True))
    assert found == Counter((user, product, cafe) for user, product, _, cafe, _ in reviews)


def test_cold_products_have_test_events_alone(
    shared: Path, tmp_path: Path, reviews: list[list[str]], built: Built, clean: Clean
) -> None:
    folder = amazon_beauty.write(shared / "amazon-beauty", tmp_path / "contract", "cold")
    # co-purchases would give the purchases away
    assert sorted(built(folder).tables) == ["events", "products", "users"]
    products = sorted({product for _, product, *_ in reviews})
    cold = {product for product, drawn in zip(products, is_cold(products), strict=True) if drawn}
    assert 0.09 < len(cold) / len(products) < 0.11
    events = clean(folder, "events")
    found = Counter(zip(events["user_id"], events["product_id"], events["split"], strict=True))
    left_out = {(product, split) for product in cold for split in ("train", "valid")}
    assert found == Counter((user, p, loo) for user, p, _, _, loo in reviews if (p, loo) not in left_out)
    assert set(events[events["product_id"].isin(cold)]["split"]) == {"test"}
