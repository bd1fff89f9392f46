"""The sentiment of reviews: texts from the store, heads supervised by ratings, values back onto REVIEWED."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.config_dict import to_dict
from ingest.progress import Progress
from kg.schema import Type
from kg.stores import EdgeFile, Store, open_store
from shopgraph.errors import AppError
from shopgraph.settings import Settings
from shopgraph.stations import current_snapshot, keep_snapshot
from shopgraph.workspace import Workspace, write_whole

if TYPE_CHECKING:
    from encoders.sentiment.rate import Rated
    from encoders.text_encoder import TextEncoder

KEY = ("User", "REVIEWED", "Product")
DECIMALS = 4
"""Of a sentiment: what another machine's rounding changes is no change."""
_WHOLE = {"version": "1.0", "data_page_version": "1.0"}
"""Version 1 of the format: the embedded store reads no other."""


@dataclass(frozen=True)
class Reviews:
    """The reviews of a graph.

    Attributes:
        table: source, target, id, rating and sentiment (as it stands in the store), a row per review.
        texts: the different texts, cleaned.
        text_of: row of each review's text in `texts`, -1 where it has none; shape (reviews,).
    """

    table: pa.Table
    texts: list[str]
    text_of: NDArray[np.int64]

    def ratings(self) -> NDArray[np.float64]:
        """Mean rating of the reviews of each text, NaN without any; shape (texts,)."""
        given = np.asarray(self.table["rating"].to_numpy(zero_copy_only=False), np.float64)
        rated = (self.text_of >= 0) & np.isfinite(given)
        sums = np.bincount(self.text_of[rated], weights=given[rated], minlength=len(self.texts))
        counts = np.bincount(self.text_of[rated], minlength=len(self.texts))
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def write_sentiment(
    workspace: Workspace, store_url: str | None, settings: Settings, progress: Progress
) -> dict[str, Any]:
    """Write `sentiment` onto every review with a text, by what the ratings of the others teach.

    Only values that differ from those in the store are written. A review without text has none.

    Returns:
        What was found, which is also in reports/sentiment.json.

    Raises:
        ShopgraphError: no graph, no review with text, too few ratings, no such language model.
    """
    from encoders.sentiment.rate import rate_texts
    from encoders.vectors import encode_texts

    current_snapshot(workspace, store_url, progress)
    url = workspace.store_url(store_url)
    with open_store(url) as store:
        reviews = read_reviews(store, url)
        # by `encode.model` as it came: what was tuned on purchases says nothing of opinions
        encoder, vectors = encode_texts(settings.encode, reviews.texts, workspace.embeddings, progress)
        with progress.station("fit the heads") as station:
            rated = rate_texts(reviews.texts, vectors, reviews.ratings(), settings.sentiment)
            station.note(f"{rated.said['rated']:,} texts with a rating")
        written = _write(workspace, store, url, reviews, rated, progress)
    report = _report(reviews, rated, encoder, settings, url) | {"written": written}
    write_whole(workspace.reports / "sentiment.json", json.dumps(report, indent=1))
    return report


def read_reviews(store: Store, url: str) -> Reviews:
    """The reviews in the store, their texts without markup.

    Raises:
        AppError: the graph was built before reviews had a sentiment, or none has a text.
    """
    from encoders.clean_text import without_markup
    from encoders.distinct import distinct

    if "sentiment" not in store.patterns().get(KEY, {}):
        raise AppError("this graph was built before reviews had a sentiment", url, "run shopgraph graph-build again")
    names = ["id", "rating", "text", "sentiment"]
    parts = []
    for batch in store.relationships(KEY, names):
        ends = {end: batch.column(end).cast(pa.large_string()) for end in ("source", "target")}
        parts.append(pa.table({**ends, **{name: batch.column(name) for name in names}}))
    table = pa.concat_tables(parts) if parts else None
    found = [] if table is None else table["text"].to_pylist()
    clean = ["" if text is None else " ".join(without_markup(text).split()) for text in found]
    texts, text_of = distinct(clean)
    if table is None or not texts:
        what = f"none of the {len(clean):,} reviews has a text" if clean else "the graph has no reviews"
        raise AppError(what, url, "load events of the kind review with a column text")
    return Reviews(table.drop_columns(["text"]), texts, text_of)


def _write(workspace: Workspace, store: Store, url: str, reviews: Reviews, rated: Rated, progress: Progress) -> int:
    """Write what differs from the store; the number of reviews that it does for."""
    wanted = np.full(len(reviews.text_of), np.nan)
    has = reviews.text_of >= 0
    wanted[has] = np.round(rated.sentiment, DECIMALS)[reviews.text_of[has]] + 0.0  # no negative zero
    stands = np.asarray(reviews.table["sentiment"].to_numpy(zero_copy_only=False), np.float64)
    differs = np.flatnonzero(~((wanted == stands) | (np.isnan(wanted) & np.isnan(stands))))
    if not len(differs):
        return 0
    table = reviews.table.select(["source", "target", "id"]).take(pa.array(differs))
    values = pa.array(wanted[differs], pa.float64(), from_pandas=True)  # NaN is none
    table = table.append_column("sentiment", values).sort_by([(name, "ascending") for name in ("source", "target")])
    for leftover in workspace.root.glob(".sentiment-*"):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".sentiment-", dir=workspace.root) as scratch:
        path = Path(scratch) / "sentiment.parquet"
        pq.write_table(table, path, **_WHOLE)
        built = store.built()
        store.annotate(EdgeFile(*KEY, path, len(table), {"id": Type.STRING, "sentiment": Type.FLOAT}), progress)
        keep_snapshot(workspace, store, url, built)
    return len(differs)


def _report(reviews: Reviews, rated: Rated, encoder: TextEncoder, settings: Settings, url: str) -> dict[str, Any]:
    """Where the values come from, and how right they are."""
    with_text = int((reviews.text_of >= 0).sum())
    values = np.round(rated.sentiment, DECIMALS)
    named = json.dumps([reviews.texts, values.tolist()])
    return {
        "store": url,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "reviews": len(reviews.text_of),
        "with_text": with_text,
        "without_text": len(reviews.text_of) - with_text,
        "mean": float(rated.sentiment[reviews.text_of[reviews.text_of >= 0]].mean()),
        "model": encoder.files.name,
        "digest": encoder.digest,
        "settings": to_dict(settings.sentiment),
        "values": hashlib.sha256(named.encode()).hexdigest(),
        **rated.said,
    }
