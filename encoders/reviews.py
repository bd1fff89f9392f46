"""Snippets of reviews for the texts of products, read from the clean table of events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.clean_text import cut, without_markup
from encoders.errors import EncoderError
from encoders.text_config import TextConfig


def review_snippets(events: Path, products: Sequence[str], config: TextConfig) -> NDArray[np.object_]:
    """The latest reviews of each product, shortened and put together; the empty text without one. Shape (products,).

    Args:
        events: tables/events.parquet.
        products: their ids, in the order of the rows.
        config: how many, how long, and before which instant.

    Raises:
        EncoderError: there is no such table.
    """
    import duckdb  # few shops quote reviews

    if not events.exists():
        raise EncoderError("{reviews} needs the clean table of events", str(events), "run shopgraph graph-build SOURCE")
    time = "AND time < $until" if config.until else ""
    values = {"events": str(events), "most": config.reviews} | ({"until": config.until} if config.until else {})
    # the order of ties is that of the events' ids, so that the same table gives the same text
    query = f"""
        SELECT product_id, text FROM read_parquet($events)
        WHERE event = 'review' AND trim(coalesce(text, '')) <> '' {time}
        QUALIFY row_number() OVER (PARTITION BY product_id ORDER BY time DESC NULLS LAST, event_id) <= $most
        ORDER BY product_id, time DESC NULLS LAST, event_id"""  # noqa: S608 - one of two fixed conditions
    with duckdb.connect() as connection:
        rows = connection.execute(query, values).fetchall()
    found: dict[str, list[str]] = {}
    for product, text in rows:
        snippet = cut(" ".join(without_markup(text).split()), config.review_chars)
        if snippet:
            found.setdefault(product, []).append(snippet)
    return np.array([" ".join(found.get(product, ())) for product in products], dtype=object)
