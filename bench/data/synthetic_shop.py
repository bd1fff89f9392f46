"""A made-up shop of any size with the shape of Complete Journey: as many times its users, products, brands and baskets.

    python -m bench.data.synthetic_shop OUT [--scale 10] [--seed 0]

What has the distribution of the real data: lines per user, lines per product (never bought ones among them), lines per
basket, how often a user takes the same product, products per brand and per category, time and store of a basket, and
quantity, price and discounts of a line. What has not: who takes what (products meet users at random), and the seasons
of a product. There are no campaigns and coupons. The same seed gives the same files.

Distributions are carried over by their quantiles, drawn in layers: of n draws each n-th part of the real values gets
one. A product stands in a basket once, as in the real data; the lines that would break this (under 1 %) are left out.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.complete_journey import CompleteJourney
from ingest.names import literal

PART_LINES = 1_500_000
"""Lines per file of events, so that texts of ids are made of one part at a time."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """The real data that distributions are drawn from.

    Attributes:
        products: lines, brand and names per product.
        demographics: of the users who have any.
        users: number of all users, those without demographics among them.
        per_user, per_basket, per_pair: numbers of lines.
        baskets: moment (microseconds since 1970) and store of each basket.
        lines: quantity, sales_value and discounts of each line.
    """

    products: pd.DataFrame
    demographics: pd.DataFrame
    users: int
    per_user: Ints
    per_basket: Ints
    per_pair: Ints
    baskets: pd.DataFrame
    lines: pd.DataFrame


@dataclass(frozen=True)
class Lines:
    """Purchase lines, sorted by user, basket and product.

    Attributes:
        user, product, basket: numbers from 0, shape (lines,).
        basket_user: user of each basket, shape (baskets,).
    """

    user: Ints
    product: Ints
    basket: Ints
    basket_user: Ints


def shape() -> Shape:
    """The distributions of the installed Complete Journey: of the lines that a build loads."""
    folder = CompleteJourney.installed().folder
    with duckdb.connect() as connection:

        def ask(query: str) -> pd.DataFrame:
            return connection.execute(query).df()

        connection.execute(
            "CREATE TABLE lines AS SELECT household_id AS u, product_id AS p, basket_id AS b, store_id AS store, "
            "epoch_us(transaction_timestamp) AS moment, quantity::DOUBLE AS quantity, sales_value, retail_disc, "
            f"coupon_disc, coupon_match_disc FROM {_file(folder, 'transactions')} WHERE quantity > 0 "
            f"AND product_id IN (SELECT product_id FROM {_file(folder, 'products')})"
        )
        products = ask(
            "SELECT coalesce(n, 0) AS lines, manufacturer_id AS brand, concat_ws(' > ', department, product_category, "
            "product_type) AS path, concat_ws(' ', coalesce(product_type, product_category, department), package_size) "
            f"AS title, brand AS brand_kind FROM {_file(folder, 'products')} AS products "
            "LEFT JOIN (SELECT p, count(*) AS n FROM lines GROUP BY p) ON p = product_id ORDER BY product_id"
        )
        demographics = ask(
            f"SELECT * EXCLUDE (household_id) FROM {_file(folder, 'demographics')} ORDER BY household_id"
        )
        per_user, per_basket, per_pair = (
            ask(f"SELECT count(*) AS n FROM lines GROUP BY {key} ORDER BY n")["n"].to_numpy(np.int64)
            for key in ("u", "b", "u, p")
        )
        baskets = ask("SELECT min(moment) AS moment, min(store) AS store FROM lines GROUP BY b ORDER BY b")
        attributes = "quantity, sales_value, retail_disc, coupon_disc, coupon_match_disc"
        lines = ask(f"SELECT {attributes} FROM lines ORDER BY b, p")
    return Shape(products, demographics, len(per_user), per_user, per_basket, per_pair, baskets, lines)


def _file(folder: Path, name: str) -> str:
    return literal(str(folder / f"{name}.parquet"))


def drawn(values: Ints, n: int, rng: np.random.Generator) -> Ints:
    """`n` values with the distribution of `values`, in random order: one from each n-th part of them."""
    places = (np.arange(n) + rng.random(n)) / n * len(values)
    found = np.sort(values)[places.astype(np.int64)]
    rng.shuffle(found)
    return found


def lines_of(real: Shape, scale: float, rng: np.random.Generator) -> Lines:
    """Who takes which product in which basket."""
    users, products = round(real.users * scale), round(len(real.products) * scale)
    per_user = drawn(real.per_user, users, rng)
    total = int(per_user.sum())
    per_product = _resized(drawn(real.products["lines"].to_numpy(np.int64), products, rng), total, rng)
    taken = _shared_out(per_product, real.per_pair, rng)
    user = np.repeat(np.arange(users), per_user)
    taken = _often_first(user, taken, products)
    basket, rank = _baskets(per_user, real.per_basket, rng)
    # dealt out to the first places of the user's baskets, then to the second ones: one product, different baskets
    slots = np.argsort(user * (int(rank.max()) + 1.0) + rank + rng.random(total))
    basket_user = np.zeros(int(basket[-1]) + 1, np.int64)
    basket_user[basket] = user
    key = np.unique(basket[slots] * products + taken)
    basket, product = np.divmod(key, products)
    return Lines(basket_user[basket], product, basket, basket_user)


def _often_first(user: Ints, taken: Ints, products: int) -> Ints:
    """The products of each user, equal ones one after another, those taken most often first."""
    pairs, often = np.unique(user * products + taken, return_counts=True)
    order = np.argsort(pairs // products * (int(often.max()) + 1) - often, kind="stable")
    return np.repeat(pairs[order] % products, often[order])


def _resized(counts: Ints, total: int, rng: np.random.Generator) -> Ints:
    """Counts that sum up to `total`: single lines drawn at random are added or taken away."""
    stubs = np.repeat(np.arange(len(counts)), counts)
    missing = total - len(stubs)
    if missing >= 0:
        return counts + np.bincount(rng.choice(stubs, missing), minlength=len(counts))
    return counts - np.bincount(rng.choice(stubs, -missing, replace=False), minlength=len(counts))


def _cut(total: int, lengths: Ints, borders: Ints, rng: np.random.Generator) -> Ints:
    """Ends of consecutive pieces of `range(total)` with the distribution of `lengths`; no piece crosses a border."""
    n = round(total / lengths.mean() * 1.05) + 10
    ends = np.cumsum(drawn(lengths, n, rng))
    return np.union1d(ends[ends < total], borders[borders > 0])


def _shared_out(per_product: Ints, per_pair: Ints, rng: np.random.Generator) -> Ints:
    """The product of each line: runs of one product, as long as users come back to it, in random order."""
    borders = np.cumsum(per_product)
    ends = _cut(int(borders[-1]), per_pair, borders, rng)
    length = np.diff(ends, prepend=0)
    product = np.searchsorted(borders, ends - 1, side="right")
    order = rng.permutation(len(ends))
    return np.repeat(product[order], length[order])


def _baskets(per_user: Ints, per_basket: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Basket of each place for a line, and the place's rank within it; both of shape (lines,)."""
    borders = np.cumsum(per_user)
    ends = _cut(int(borders[-1]), per_basket, borders, rng)
    size = np.diff(ends, prepend=0)
    first = np.repeat(ends - size, size)
    return np.repeat(np.arange(len(ends)), size), np.arange(int(borders[-1])) - first


def product_table(real: Shape, scale: float, rng: np.random.Generator) -> pa.Table:
    """Products with brands and categories of the real sizes; each multiple of the shop has its own."""
    n = round(len(real.products) * scale)
    per_brand, paths = real.products["brand"].value_counts(), real.products["path"].value_counts()
    brand = _grouped(per_brand.to_numpy(np.int64), n, rng)
    category = _grouped(paths.to_numpy(np.int64), n, rng)
    names = np.asarray(paths.index, dtype=object)
    copy, place = np.divmod(category, len(names))
    suffixes = np.array([f" {k + 1}" if k else "" for k in range(int(copy.max()) + 1)], dtype=object)
    path = [names[i].replace(" > ", f"{suffixes[k]} > ") + suffixes[k] for k, i in zip(copy, place, strict=True)]
    like = rng.integers(len(real.products), size=n)
    return pa.table({
        "product_id": _ids(product_numbers(n)),
        "title": pa.array(real.products["title"].to_numpy()[like], pa.string()),
        "brand": pa.array([f"Manufacturer {b + 1}" for b in brand], pa.string()),
        "category": pa.array(path, pa.string()),
        "brand_kind": pa.array(real.products["brand_kind"].to_numpy()[like], pa.string()),
    })  # fmt: skip


def _grouped(sizes: Ints, n: int, rng: np.random.Generator) -> Ints:
    """A group of each of `n` members, in random order; the groups have the sizes given, time and again."""
    groups = round(n / sizes.sum() * len(sizes)) + 1
    per_group = drawn(sizes, groups, rng)
    members = np.repeat(np.arange(groups), per_group)
    members = np.concatenate([members, rng.choice(members, max(0, n - len(members)))])
    return rng.permutation(members)[:n]


def product_numbers(n: int) -> Ints:
    """Numbers of products, all of eight digits: their order as texts is that of numbers."""
    return 10_000_000 + np.arange(n)


def _ids(numbers: Ints) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def user_table(real: Shape, scale: float, rng: np.random.Generator) -> pa.Table:
    """A third of the users, as in the real data, with their attributes."""
    n = round(len(real.demographics) * scale)
    who = np.sort(rng.choice(round(real.users * scale), n, replace=False)) + 1
    like = real.demographics.iloc[rng.integers(len(real.demographics), size=n)]
    columns = {name: pa.array(like[name].to_numpy(), pa.string(), from_pandas=True) for name in like}
    return pa.table({"user_id": _ids(who), **columns})


def write(out: Path, scale: float = 1.0, seed: int = 0, real: Shape | None = None) -> Path:
    """Write products, users and events to `out`; an older folder is replaced when the new one is whole.

    Args:
        out: folder of the contract tables.
        scale: how many times as many users, products and events as Complete Journey.
        seed: of everything that is drawn.
        real: what is drawn from; by default the installed data set.
    """
    real, rng = real or shape(), np.random.default_rng(seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        pq.write_table(product_table(real, scale, rng), scratch / "products.parquet")
        pq.write_table(user_table(real, scale, rng), scratch / "users.parquet")
        _write_events(scratch, real, lines_of(real, scale, rng), rng)
        if out.exists():
            shutil.rmtree(out)
        scratch.replace(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return out


def _write_events(folder: Path, real: Shape, lines: Lines, rng: np.random.Generator) -> None:
    """Events in parts; the baskets of a user follow one another in time and are numbered by it."""
    like = rng.integers(len(real.baskets), size=len(lines.basket_user))
    at = real.baskets["moment"].to_numpy(np.int64)[like]
    number = np.empty(len(at), np.int64)
    number[np.argsort(at, kind="stable")] = 30_000_000_000 + np.arange(len(at))
    store = real.baskets["store"].to_numpy(np.int64)[like]
    for part, first in enumerate(range(0, len(lines.user), PART_LINES)):
        rows = slice(first, first + PART_LINES)
        basket = lines.basket[rows]
        attributes = real.lines.iloc[rng.integers(len(real.lines), size=len(basket))]
        table = _event_table(lines.user[rows], lines.product[rows], at[basket], number[basket], store[basket])
        for name in attributes:
            table = table.append_column(name, pa.array(attributes[name].to_numpy()))
        price = attributes["sales_value"].to_numpy() / attributes["quantity"].to_numpy()
        pq.write_table(table.append_column("price", pa.array(price)), folder / f"events-{part:03}.parquet")


def _event_table(user: Ints, product: Ints, at: Ints, order: Ints, store: Ints) -> pa.Table:
    columns: dict[str, Any] = {
        "user_id": _ids(user + 1),
        "product_id": _ids(10_000_000 + product),
        "event": pa.array(["purchase"]).dictionary_encode().take(pa.array(np.zeros(len(user), np.int64))),
        "time": pa.array(at).cast(pa.timestamp("us", "UTC")),
        "store": _ids(store),
        "order_id": _ids(order),
    }
    return pa.table(columns)


def main() -> None:
    """Write a shop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scale", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write(args.out, args.scale, args.seed)


if __name__ == "__main__":
    main()
