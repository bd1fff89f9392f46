"""tmall-behaviours: what shoppers viewed, carted and purchased; the next purchase is asked.

Traps:
- Product numbers ascend with the first purchaser, test purchases among them: between the numbers 2 and 4 that a
  shopper has in train stands the 3 of test. Of the 15,449 test products 1,724 betray themselves so. Hence ids are
  replaced by hashed ones.
- No times: 12,315 of the 15,449 test purchases stand among their shopper's views and 3,024 among the carts, most of
  them surely seen on the way to that very purchase. Figures over all test purchases measure the funnel; those not
  yet viewed are told apart (`groups`).
- Views are sorted by product number, carts and purchases are in no order that anyone has vouched for: no `sequence`.
- There is no valid part: a seeded tenth of the train purchases is set aside.
- No test purchase repeats one of train, so next-purchase is the same question as new-product; 59 kinds of product
  are purchased in test alone.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.data.contract_folder import opaque, write_tables

NAME = "tmall-behaviours"
VIEWED, UNSEEN = "viewed before", "not viewed before"


def write(source: Path, out: Path) -> Path:
    """Write products and events; `source` holds events.csv.gz."""
    events = pd.read_csv(source / "events.csv.gz", dtype=str, keep_default_na=False)
    ids = opaque(events["product_id"], "product-", NAME)
    events["product_id"] = events["product_id"].map(ids)
    return write_tables(out, {"products": pd.DataFrame({"product_id": sorted(ids.values())}), "events": events})


def groups(contract: Path) -> pd.DataFrame:
    """user_id and group: whether the shopper's test purchase stands among the train views."""
    events = pd.read_parquet(contract / "events.parquet")
    asked = events[(events["split"] == "test") & (events["event"] == "purchase")]
    seen = events.loc[events["event"] == "view", ["user_id", "product_id"]].drop_duplicates().assign(viewed=True)
    found = asked.merge(seen, how="left", on=["user_id", "product_id"])
    viewed = found["viewed"].notna()
    return pd.DataFrame({"user_id": found["user_id"], "group": viewed.map({True: VIEWED, False: UNSEEN})})
