"""What is said of a product, or of another node, in words: its label's template, filled from the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from encoders.errors import EncoderError
from encoders.product_fields import (
    Texts,
    attributes,
    brands,
    categories,
    column,
    descriptions,
    names_beside,
    paths_of,
    text_properties,
)
from encoders.reviews import review_snippets
from encoders.text_config import TEMPLATES, TextConfig, fields_of
from ingest.contract import LEVEL_SEPARATOR
from kg.snapshot import NodeTable, Snapshot

Makers = dict[str, Callable[[], Texts]]


def product_texts(snapshot: Snapshot, config: TextConfig | None = None, events: Path | None = None) -> list[str]:
    """One text per product, in the order of its rows; a product without any part has the empty text.

    Args:
        snapshot: read are Product's text properties, Brand's name, MADE_BY and IN_CATEGORY.
        config: templates and budgets.
        events: tables/events.parquet, for templates that quote reviews.

    Raises:
        EncoderError: a template names a field that is not there.
    """
    return node_texts(snapshot, "Product", config, events)


def node_texts(
    snapshot: Snapshot, label: str, config: TextConfig | None = None, events: Path | None = None
) -> list[str]:
    """One text per node of a label, in the order of its rows; empty texts for a label without a template.

    Raises:
        EncoderError: a template names a field that is not there.
    """
    config = config or TextConfig()
    nodes = snapshot.nodes.get(label)
    if nodes is None or not len(nodes):
        return []
    template = config.template(label)
    fields = dict.fromkeys(field for part in template for field in fields_of(part, label))
    if not fields:
        return [""] * len(nodes)
    if label == "Product" and fields.pop("category", "") is None:
        fields |= {"category_path": None, "title": None}  # what `category` is made of
    makers = _makers(snapshot, label, nodes, config, events)
    # nodes repeat one another's values: compose each combination once
    table = pd.DataFrame({field: _values(field, nodes, makers, label) for field in fields}, dtype=object)
    code = table.groupby(list(table.columns), sort=False).ngroup().to_numpy()
    _, first = np.unique(code, return_index=True)
    rows = table.iloc[first].to_dict("records")
    composed = np.array([_compose(template, {str(k): str(v) for k, v in row.items()}) for row in rows], dtype=object)
    texts: list[str] = composed[code].tolist()
    return texts


def sample_texts(
    snapshot: Snapshot, count: int, config: TextConfig | None = None, events: Path | None = None
) -> list[tuple[str, str, str]]:
    """(label, id, text) of `count` nodes of each label with text, taken evenly from the different texts."""
    samples = []
    for label in labels_with_text(snapshot):
        texts = node_texts(snapshot, label, config, events)
        rows = list({text: row for row, text in enumerate(texts) if text}.values())
        wanted = np.unique(np.linspace(0, len(rows) - 1, count if rows else 0).astype(int)).tolist()
        ids = snapshot.nodes[label].ids.ids
        samples += [(label, str(ids[rows[at]]), texts[rows[at]]) for at in wanted]
    return samples


def labels_with_text(snapshot: Snapshot) -> list[str]:
    """Labels that have a template and nodes."""
    return [label for label in TEMPLATES if label in snapshot.nodes and len(snapshot.nodes[label])]


def _makers(snapshot: Snapshot, label: str, nodes: NodeTable, config: TextConfig, events: Path | None) -> Makers:
    """The fields of a label that are no property."""
    if label == "Category":
        return {"path": lambda: np.array([", ".join(p.split(LEVEL_SEPARATOR)) for p in paths_of(nodes)], dtype=object)}
    if label != "Product":
        return {}
    said = {field for part in config.product for field in fields_of(part, label)}
    return {
        "brand": lambda: brands(snapshot),
        "category_path": lambda: categories(snapshot),
        "attributes": lambda: attributes(nodes, said),
        "description": lambda: descriptions(nodes, config),
        "reviews": lambda: _reviews(nodes, config, events),
    }


def _values(field: str, nodes: NodeTable, makers: Makers, label: str) -> Texts:
    if field in makers:
        return makers[field]()
    usual = {name for part in TextConfig().template(label) for name in fields_of(part, label)}
    properties = text_properties(nodes)
    if field not in properties and field not in usual:
        remedy = f"use one of {', '.join(sorted({*properties, *makers, *usual}))}"
        raise EncoderError(f"no {label} has the text {field!r}", f"encode.text.{TEMPLATES[label]}", remedy)
    return column(nodes, field)


def _reviews(nodes: NodeTable, config: TextConfig, events: Path | None) -> Texts:
    if not config.quotes_reviews:
        return np.full(len(nodes), "", dtype=object)
    if events is None:
        raise EncoderError("{reviews} needs the clean table of events", "encode.text.product", "use shopgraph encode")
    return review_snippets(events, nodes.ids.ids.to_pylist(), config)


def _compose(template: Sequence[str], values: Mapping[str, str]) -> str:
    """The parts whose fields all have a value, joined."""
    shown = dict(values)
    if "category_path" in values:
        shown["category"] = names_beside(values.get("title", ""), values["category_path"])
        shown["category_path"] = ", ".join(name for name in values["category_path"].split(LEVEL_SEPARATOR) if name)
    return ". ".join(part.format_map(shown) for part in template if all(shown[name] for name in fields_of(part, "")))
