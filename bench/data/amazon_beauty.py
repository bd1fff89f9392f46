"""amazon-beauty: reviews of beauty products with titles, brands, categories and co-purchase relations.

Variants:
- `leave-one-out`: a user's last review is test, the last but one valid, in the order of the file (`sequence`);
- `cafe`: the split of the path-reasoning literature, drawn at random within each user, without a valid part;
- `cold`: leave-one-out, where a hashed tenth of the products has lost its events of train and valid.

Traps:
- The file's order is the order of days at best: 71 % of the users' last two reviews are in ascending product id,
  ties of one day that were sorted by it. `groups` tells those users from the others, and the product id is never a
  feature.
- The cafe split is no suffix (for 11 % of the users alone): train has what follows a test review. So that variant has
  no `sequence`; an order there would let a recommender look back from the future.
- `categories` is a set, not a path (Beauty, Curling Irons, Styling Tools, Irons, Hair Care): every name becomes a
  category of its own; Beauty, which all products have, is left out, since it would join any two.
- also_bought, also_viewed and bought_together were collected after most reviews and hold what they predict. They are
  in the graph, and `graph.exclude_relations` keeps them out of the model unless a row says otherwise. The cold
  variant has none of them: a cold product's co-purchases are its purchases.
- Seven products lack a title, 17 % a brand; `idgenrec_text` is another model's digest of the product and is not used.
- All users and products have five reviews or more in the whole: even that knows of test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd

from bench.data.contract_folder import is_cold, write_tables

NAME = "amazon-beauty"
Variant = Literal["leave-one-out", "cafe", "cold"]
RELATIONS = ("also_bought", "also_viewed", "bought_together")
ROOT_CATEGORY = "Beauty"
ASCENDING, OTHER = "last two ids ascending", "last two ids descending"


def write(source: Path, out: Path, variant: Variant = "leave-one-out") -> Path:
    """Write products, events and, unless products are cold, triples.

    Args:
        source: folder with items.csv.gz, interactions.csv.gz and kg.csv.gz.
        out: folder of the contract tables.
        variant: which split.
    """
    rows = _read(source, "interactions")
    column = "cafe_split" if variant == "cafe" else "loo_split"
    events = pd.DataFrame(
        {"user_id": rows["user"], "product_id": rows["asin"], "event": "review", "split": rows[column]}
    )
    if variant != "cafe":
        events["sequence"] = rows["position"].astype(int)
    tables = {"products": _products(source), "events": events}
    if variant == "cold":
        lost = is_cold(events["product_id"]) & (events["split"] != "test").to_numpy()
        tables["events"] = events[~lost]
    else:
        graph = _read(source, "kg")
        tables["triples"] = graph[graph["relation"].isin(RELATIONS)]
    return write_tables(out, tables)


def groups(contract: Path) -> pd.DataFrame:
    """user_id and group: whether the ids of the user's last two products ascend."""
    events = pd.read_parquet(contract / "events.parquet").sort_values(["user_id", "sequence"])
    before = events.groupby("user_id")["product_id"].shift()
    last = ~events["user_id"].duplicated(keep="last")
    ascends = (events["product_id"] > before)[last]
    return pd.DataFrame({"user_id": events["user_id"][last], "group": ascends.map({True: ASCENDING, False: OTHER})})


def cold_products(contract: Path) -> set[str]:
    """The products that the cold variant draws."""
    ids = pd.read_parquet(contract / "products.parquet")["product_id"]
    return set(ids[is_cold(ids)])


def _products(source: Path) -> pd.DataFrame:
    items = _read(source, "items")
    names = items["categories"].str.split("|")
    return pd.DataFrame(
        {
            "product_id": items["asin"],
            "title": items["title"],
            "brand": items["brand"],
            "category": names.map(lambda several: ";".join(name for name in several if name != ROOT_CATEGORY)),
        }
    )


def _read(source: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(source / f"{name}.csv.gz", dtype=str, keep_default_na=False)
