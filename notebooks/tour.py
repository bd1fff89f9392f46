"""What the notebooks of the tour share: a workspace with a tuned encoder, and its texts as both encoders see them."""

from __future__ import annotations

import os
import tempfile
import warnings
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that libraries ask for, nobody sees
from small_workspace import SETTINGS, small_workspace

from encoders.cache import encode_cached
from encoders.text_encoder import TextEncoder
from encoders.tuning.provenance import read_provenance
from encoders.variants import settle
from encoders.vectors import standing_digest
from gnn.config import EvalConfig
from gnn.measure.bootstrap import Bootstrap, Difference, Interval
from ingest.progress import SilentProgress
from kg.snapshot import Snapshot
from shopgraph.errors import AppError
from shopgraph.finetuning import distinct_texts, finetune
from shopgraph.settings import load_settings
from shopgraph.workspace import DEFAULT, Workspace

SMALL = os.environ.get("SHOPGRAPH_NOTEBOOK_BUDGET", "") == "small"
SEED = 7
DAY_US = 86_400_000_000
# a layer over the vectors: seconds, and enough to show that tuning does something, not what it can do
SHORT_TUNING = ("method=head", "steps=20", "check=20")


@dataclass(frozen=True)
class Tour:
    """The distinct texts of a shop's products, by two encoders. Arrays have a row per text unless they say otherwise.

    Attributes:
        place: the workspace.
        snapshot: its graph.
        texts: what is said of products, each once.
        text_of: text of each product, -1 without one, shape (products,).
        spaces: unit vectors, "frozen" by the model as it came, "tuned" after `shopgraph finetune`.
        until: instant before which everything happened that tuning has seen, in microseconds since 1970.
    """

    place: Workspace
    snapshot: Snapshot
    texts: list[str]
    text_of: np.ndarray
    spaces: dict[str, np.ndarray]
    until: int

    @cached_property
    def events(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """User, text and time (microseconds) of every purchase whose product has a text."""
        bought = self.snapshot.edges["User", "PURCHASED", "Product"]
        kept = self.text_of[bought.dst] >= 0
        return bought.src[kept], self.text_of[bought.dst[kept]], bought.at()[kept]

    @cached_property
    def buyers(self) -> np.ndarray:
        """Households that bought a product of each text before `until`."""
        user, text, at = self.events
        pairs = np.unique(user[at < self.until] * len(self.texts) + text[at < self.until])
        return np.bincount(pairs % len(self.texts), minlength=len(self.texts))

    @cached_property
    def product(self) -> np.ndarray:
        """Of each text's products the one that is bought most often."""
        sold = np.bincount(self.snapshot.edges["User", "PURCHASED", "Product"].dst, minlength=len(self.text_of))
        order = np.lexsort((-sold, self.text_of))
        order = order[self.text_of[order] >= 0]
        return order[np.unique(self.text_of[order], return_index=True)[1]]

    @cached_property
    def title(self) -> np.ndarray:
        """Title of each text's product."""
        return np.array(self.snapshot.nodes["Product"].columns["title"].to_pylist(), dtype=object)[self.product]

    @cached_property
    def levels(self) -> dict[str, np.ndarray]:
        """Names along the category path of each text's product: department, category, type; empty where it ends."""
        edges = self.snapshot.edges["Product", "IN_CATEGORY", "Category"]
        paths = np.array(self.snapshot.nodes["Category"].ids.ids.to_pylist(), dtype=object)
        path = np.full(len(self.text_of), "", dtype=object)
        path[edges.src] = paths[edges.dst]
        cut = [one.split(" > ") + [""] * 3 for one in path[self.product]]
        return {
            name: np.array([" > ".join(one[: at + 1]) if one[at] else "" for one in cut], dtype=object)
            for at, name in enumerate(("department", "category", "type"))
        }

    @cached_property
    def sold(self) -> np.ndarray:
        """Rows of texts that may be recommended and that several households bought before `until`, ascending."""
        columns = self.snapshot.nodes["Product"].columns
        allowed = np.ones(len(self.text_of), np.bool_)
        if "recommendable" in columns.column_names:
            allowed = columns["recommendable"].fill_null(True).to_numpy()
        return np.flatnonzero(allowed[self.product] & (self.buyers >= (2 if SMALL else 5)))

    def baskets(self, *, later: bool) -> tuple[sp.csr_matrix, np.ndarray]:
        """What a household takes on one day, before `until` or from then on.

        Returns:
            Ones where a basket holds a text, shape (baskets, texts), and the household of each basket.
        """
        user, text, at = self.events
        kept = (at >= self.until) == later
        days, basket = np.unique(np.stack([user[kept], at[kept] // DAY_US], 1), axis=0, return_inverse=True)
        held = sp.csr_matrix(
            (np.ones(len(basket), np.float32), (basket, text[kept])), (len(days), len(self.texts))
        )  # sums what falls on one place
        held.data[:] = 1
        return held, days[:, 0]


def open_tour() -> Tour:
    """The workspace SHOPGRAPH_WORKSPACE or ./shopgraph-workspace; without one a small one, made once.

    Raises:
        AppError: the workspace has no tuned encoder, or one of events without times, for which there is no later.
    """
    asked = os.environ.get("SHOPGRAPH_WORKSPACE")
    if not asked and not DEFAULT.exists() and (".." / DEFAULT).exists():
        os.chdir("..")  # opened in its own folder: the workspace lies beside that
    place, settings = Workspace(Path(asked) if asked else DEFAULT), ()
    if not (place.snapshot / "snapshot.json").exists():
        place, settings = _small(), SETTINGS
    if not (place.encoder / "config.json").exists():
        raise AppError("the workspace has no tuned encoder", str(place.root), "run shopgraph finetune, then this again")
    until = read_provenance(place.encoder)["split"]["until"]
    if not until:
        remedy = 'the tour needs events with times and split.method = "time"'
        raise AppError("the tuned encoder knows no instant after which events are later", str(place.encoder), remedy)
    snapshot = Snapshot.load(place.snapshot)
    encode = load_settings(place, list(settings)).encode
    texts, text_of = distinct_texts(snapshot, encode.text, place.events)
    spaces, folder = {}, place.embeddings
    for name, model in (("frozen", encode), ("tuned", replace(encode, model=str(place.encoder), revision=""))):
        ready = settle(model, texts, folder, SilentProgress(), standing_digest(folder))
        spaces[name], _ = encode_cached(TextEncoder(ready, folder), texts, folder, SilentProgress())
    return Tour(place, snapshot, texts, text_of, spaces, int(datetime.fromisoformat(until).timestamp()) * 1_000_000)


def _small() -> Workspace:
    root = Path(tempfile.gettempdir()) / "shopgraph-small"
    place = Workspace(root / "workspace")
    if not (place.encoder / "config.json").exists():
        place = small_workspace(root)
        settings = load_settings(place, [*SETTINGS, *(f"finetune.{one}" for one in SHORT_TUNING)])
        finetune(place, Snapshot.load(place.snapshot), settings, SilentProgress())
    return place


def interval(values: np.ndarray) -> Interval:
    """Mean of values with its 95 % bootstrap interval."""
    return Bootstrap(len(values), EvalConfig()).intervals(values[:, None].astype(float))[0]


def difference(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """Mean paired difference with its 95 % bootstrap interval."""
    return Bootstrap(len(ours), EvalConfig()).differences((ours - theirs)[:, None].astype(float))[0]


def said(found: Interval, digits: int = 3, *, sign: bool = False) -> str:
    """An interval as people read it."""
    form = f"{'+' if sign else ''}.{digits}f"
    return f"{found.mean:{form}} [{found.low:{form}}, {found.high:{form}}]"
