"""What is said of a product in words: the text that is encoded.

"title. brand. category names. kind of brand. description", where
- category names that stand in the title already are left out (Complete Journey's titles are its finest category);
- brand names that are one word and a number throughout ("Manufacturer 69") say nothing and are left out: the brand's
  place in the graph is the network's business, not the text's;
- the kind of brand (Complete Journey: National or Private) stands in where the source has it.
Parts that are missing leave no trace; a product without any has the empty text.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.contract import LEVEL_SEPARATOR
from kg.snapshot import Snapshot

_OTHER_SCRIPT = r"[^\P{L}\p{Latin}]{2,}"
"""Two letters in a row that are no Latin ones (RE2 syntax)."""
_PARTS = ("title", "brand", "category", "brand_kind", "description")


def product_texts(snapshot: Snapshot) -> list[str]:
    """One text per product, in the order of its rows.

    Args:
        snapshot: read are Product's title, description and brand_kind, Brand's name, MADE_BY and IN_CATEGORY.
    """
    parts = pd.DataFrame(
        {
            "title": _column(snapshot, "title"),
            "brand": _brands(snapshot),
            "category": _categories(snapshot),
            "brand_kind": _column(snapshot, "brand_kind"),
            "description": _column(snapshot, "description"),
        },
        dtype=object,
    )
    # products repeat one another's parts: compose each combination once
    code = parts.groupby(list(_PARTS), sort=False).ngroup().to_numpy()
    _, first = np.unique(code, return_index=True)
    composed = np.array([_compose(*row) for row in parts.iloc[first].itertuples(index=False)], dtype=object)
    texts: list[str] = composed[code].tolist()
    return texts


def other_script_share(snapshot: Snapshot) -> float:
    """Share of the titles with words in another script than Latin; 0 without titles."""
    titles = pa.array(_column(snapshot, "title"), pa.large_string())
    named = pc.sum(pc.not_equal(titles, "")).as_py() or 0
    other = pc.sum(pc.match_substring_regex(titles, _OTHER_SCRIPT)).as_py() or 0
    return float(other / named) if named else 0.0


def _compose(title: str, brand: str, category: str, kind: str, description: str) -> str:
    levels = [name for name in category.split(LEVEL_SEPARATOR) if name]
    names = [name for name in levels if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", title, re.IGNORECASE)]
    return ". ".join(part for part in (title, brand, ", ".join(names), kind, description) if part)


def _column(snapshot: Snapshot, name: str) -> NDArray[np.object_]:
    """A text column of Product, trimmed, with the empty text for null. Shape (products,)."""
    product = snapshot.nodes["Product"]
    if name not in product.columns.column_names:
        return np.full(len(product), "", dtype=object)
    text = pc.utf8_trim_whitespace(pc.fill_null(product.columns[name].cast(pa.large_string()), ""))
    return np.asarray(text.to_numpy(), dtype=object)


def _brands(snapshot: Snapshot) -> NDArray[np.object_]:
    """Name of each product's brand, else the empty text. Shape (products,)."""
    found = np.full(len(snapshot.nodes["Product"]), "", dtype=object)
    edges = snapshot.edges.get(("Product", "MADE_BY", "Brand"))
    if edges is None or not len(edges):
        return found
    brand = snapshot.nodes["Brand"]
    ids = brand.ids.ids.cast(pa.large_string())
    named = brand.columns["name"].cast(pa.large_string()) if "name" in brand.columns.column_names else ids
    names = np.asarray(pc.fill_null(pc.coalesce(named, ids), "").to_numpy(zero_copy_only=False), dtype=object)
    if not _numbered(names):
        found[edges.src] = names[edges.dst]
    return found


def _numbered(names: NDArray[np.object_]) -> bool:
    """Whether the names are several and differ by a number at the end alone."""
    array = pa.array(names, pa.large_string())
    stems = pc.unique(pc.replace_substring_regex(array, r"\d+$", ""))
    return len(names) > 1 and len(stems) == 1 and bool(pc.all(pc.match_substring_regex(array, r"\d$")).as_py())


def _categories(snapshot: Snapshot) -> NDArray[np.object_]:
    """Full category path of each product; several, one after another, without repeated names. Shape (products,)."""
    found = np.full(len(snapshot.nodes["Product"]), "", dtype=object)
    edges = snapshot.edges.get(("Product", "IN_CATEGORY", "Category"))
    if edges is None or not len(edges):
        return found
    paths = np.asarray(snapshot.nodes["Category"].ids.ids.to_numpy(zero_copy_only=False), dtype=object)
    found[edges.src] = paths[edges.dst]
    product, times = np.unique(edges.src, return_counts=True)
    lists: dict[int, list[str]] = {}
    for edge in np.flatnonzero(np.isin(edges.src, product[times > 1])).tolist():
        lists.setdefault(int(edges.src[edge]), []).extend(paths[edges.dst[edge]].split(LEVEL_SEPARATOR))
    for row, names in lists.items():
        found[row] = LEVEL_SEPARATOR.join(dict.fromkeys(names))
    return found
