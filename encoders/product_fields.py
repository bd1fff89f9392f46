"""What a template can say of products: brand, category names, attributes, description, reviews; cleaned."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoders.clean_text import cut, without_boilerplate, without_markup
from encoders.text_config import TextConfig
from ingest.contract import LEVEL_SEPARATOR, derived_names
from kg.schema import LABELS
from kg.snapshot import NodeTable, Snapshot

Texts = NDArray[np.object_]
_MANY = 50
_LINK = r"^\s*\w+://"
_WORD = r"\p{L}{2}"


def column(nodes: NodeTable, name: str) -> Texts:
    """A text property, trimmed and without markup; the empty text for null and where there is none. Shape (nodes,)."""
    if name not in nodes.columns.column_names:
        return np.full(len(nodes), "", dtype=object)
    text = pc.utf8_trim_whitespace(pc.fill_null(nodes.columns[name].cast(pa.large_string()), ""))
    found = np.array(text.to_numpy(zero_copy_only=False), dtype=object)
    for row in np.flatnonzero(pc.match_substring_regex(text, r"[<&]|\]\]>").to_numpy(zero_copy_only=False)).tolist():
        found[row] = without_markup(found[row])
    return found


def text_properties(nodes: NodeTable) -> list[str]:
    """Names of a label's text properties that may be said."""
    hidden = {name for table in ("products", "users") for name in derived_names(table)}  # they know the test period
    return [f.name for f in nodes.columns.schema if pa.types.is_large_string(f.type) and f.name not in hidden]


def brands(snapshot: Snapshot) -> Texts:
    """Name of each product's brand, else the empty text. Shape (products,).

    Brands that are a word and a number throughout ("Manufacturer 69") say nothing and are left out: the brand's place
    in the graph is the network's business, not the text's.
    """
    found = np.full(len(snapshot.nodes["Product"]), "", dtype=object)
    edges = snapshot.edges.get(("Product", "MADE_BY", "Brand"))
    if edges is None or not len(edges):
        return found
    brand = snapshot.nodes["Brand"]
    names, ids = column(brand, "name"), brand.ids.ids.to_numpy(zero_copy_only=False)
    names = np.where(names == "", ids, names) if "name" in brand.columns.column_names else np.asarray(ids, dtype=object)
    if not _numbered(names):
        found[edges.src] = names[edges.dst]
    return found


def categories(snapshot: Snapshot) -> Texts:
    """Full category path of each product; several, one after another, without repeated names. Shape (products,)."""
    found = np.full(len(snapshot.nodes["Product"]), "", dtype=object)
    edges = snapshot.edges.get(("Product", "IN_CATEGORY", "Category"))
    if edges is None or not len(edges):
        return found
    paths = paths_of(snapshot.nodes["Category"])
    found[edges.src] = paths[edges.dst]
    product, times = np.unique(edges.src, return_counts=True)
    lists: dict[int, list[str]] = {}
    for edge in np.flatnonzero(np.isin(edges.src, product[times > 1])).tolist():
        lists.setdefault(int(edges.src[edge]), []).extend(paths[edges.dst[edge]].split(LEVEL_SEPARATOR))
    for row, names in lists.items():
        found[row] = LEVEL_SEPARATOR.join(dict.fromkeys(names))
    return found


def paths_of(category: NodeTable) -> Texts:
    """Names from the top of each category. Shape (categories,)."""
    return np.array([without_markup(path) for path in category.ids.ids.to_pylist()], dtype=object)


def names_beside(title: str, path: str) -> str:
    """The names along a category path that do not stand in the title already, joined by commas."""
    levels = [name for name in path.split(LEVEL_SEPARATOR) if name]
    names = [name for name in levels if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", title, re.IGNORECASE)]
    return ", ".join(names)


def attributes(products: NodeTable, said: set[str]) -> Texts:
    """Every text property that is none of the contract and not said by itself, as "name value". Shape (products,).

    Left out are properties that tell products apart one by one (codes), links, and values without a word.
    """
    found = np.full(len(products), "", dtype=object)
    for name in text_properties(products):
        if name in LABELS["Product"].properties or name in said:
            continue
        values = column(products, name)
        array = pa.array(values, pa.large_string())
        word = pc.and_not(pc.match_substring_regex(array, _WORD), pc.match_substring_regex(array, _LINK))
        filled = np.flatnonzero(np.asarray(word))
        if len(filled) >= _MANY and len(set(values[filled])) > len(filled) / 2:
            continue
        for row in filled.tolist():
            found[row] += (", " if found[row] else "") + f"{name.replace('_', ' ')} {values[row]}"
    return found


def descriptions(products: NodeTable, config: TextConfig) -> Texts:
    """Descriptions without what all of them say, cut to the budget. Shape (products,)."""
    whole = column(products, "description")
    if not (whole != "").any():
        return whole
    kept = without_boilerplate(whole.tolist(), config.boilerplate)
    return np.array([cut(text, config.description_chars) for text in kept], dtype=object)


def _numbered(names: Texts) -> bool:
    """Whether the names are several and differ by a number at the end alone."""
    array = pa.array(names, pa.large_string())
    stems = pc.unique(pc.replace_substring_regex(array, r"\d+$", ""))
    return len(names) > 1 and len(stems) == 1 and bool(pc.all(pc.match_substring_regex(array, r"\d$")).as_py())
