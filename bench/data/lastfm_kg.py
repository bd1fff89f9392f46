"""lastfm-kg: artists that listeners took, with a graph of outside triples of 60 relations.

As others evaluate it: all artists ranked, those of train and valid masked at test, Recall@10 and MRR@10.

Traps:
- Artist and entity numbers ascend with the first listener, held-out listeners among them (97 % of neighbours do): a
  number says who took the artist and how popular it is. So ids are replaced by hashed ones.
- Entity numbers are another count than artist numbers (2,200 numbers occur as both): an entity that the link file
  names becomes its artist, the others are written apart.
- The order of a listener's rows means nothing: no `sequence`, so recommenders that need an order do not apply.
- The play count of a row is a total over all time, of test rows too: it is kept as `plays` and nothing reads it.
- Of 1,916 test rows 202 kinds of artist have no listener in train: all artists are candidates, cold ones too.
- Nearly every head of a triple is an artist, and hardly any tail is (0.4 %).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.data.contract_folder import opaque, write_tables

NAME = "lastfm-kg"
SPLITS = ("train", "valid", "test")


def write(source: Path, out: Path) -> Path:
    """Write products, events and triples.

    Args:
        source: folder with lastfm.{train,valid,test}.inter, lastfm.kg and lastfm.link.
        out: folder of the contract tables.
    """
    rows = pd.concat([_atomic(source / f"lastfm.{s}.inter").assign(split=s) for s in SPLITS], ignore_index=True)
    link = _atomic(source / "lastfm.link")
    artists = opaque(link["item_id"], "artist-", NAME)
    graph = _atomic(source / "lastfm.kg")
    entities = opaque([*graph["head_id"], *graph["tail_id"]], "entity-", NAME)
    entities |= {entity: artists[item] for item, entity in zip(link["item_id"], link["entity_id"], strict=True)}
    events = pd.DataFrame(
        {
            "user_id": rows["user_id"],
            "product_id": rows["item_id"].map(artists),
            "event": "purchase",
            "split": rows["split"],
            "plays": rows["rating"].astype(float).astype(int),
        }
    )
    triples = pd.DataFrame(
        {
            "head": graph["head_id"].map(entities),
            "relation": graph["relation_id"],
            "tail": graph["tail_id"].map(entities),
        }
    )
    products = pd.DataFrame({"product_id": sorted(artists.values())})
    return write_tables(out, {"products": products, "events": events, "triples": triples})


def _atomic(path: Path) -> pd.DataFrame:
    """A tab-separated file whose header says NAME:TYPE, all as text."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    return table.rename(columns=lambda name: name.split(":")[0])
