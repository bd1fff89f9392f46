"""Which products may be found: brand, category with those below, price, and by default only what may be recommended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.errors import EncoderError
from encoders.search.catalogue import Catalogue, Rows, members
from encoders.search.words import words

_SUGGESTED = 3
_ALIKE = 60
"""Likeness, of 100, from which a name is worth suggesting."""


@dataclass(frozen=True)
class Filters:
    """What products must be. Several brands or categories mean any of them.

    Attributes:
        brands: ids or names.
        categories: full paths or names; categories below belong to them.
        min_price: least price; a product without one is left out.
        max_price: greatest price; likewise.
        every: whether products that must not be recommended are found as well.
    """

    brands: Sequence[str] = ()
    categories: Sequence[str] = ()
    min_price: float | None = None
    max_price: float | None = None
    every: bool = False


def allowed(filters: Filters, catalogue: Catalogue) -> NDArray[np.bool_]:
    """Which products pass, shape (products,).

    Raises:
        EncoderError: an unknown brand or category (with near names), or prices that leave nothing.
    """
    passes = np.ones(catalogue.products, np.bool_) if filters.every else catalogue.recommendable.copy()
    if filters.brands:
        passes &= _mask(catalogue, members(catalogue.by_brand, _brand_rows(filters.brands, catalogue)))
    if filters.categories:
        passes &= _mask(catalogue, members(catalogue.by_category, _category_rows(filters.categories, catalogue)))
    least, most = filters.min_price, filters.max_price
    for option, price in (("--min-price", least), ("--max-price", most)):
        if price is not None and not price >= 0:
            raise EncoderError(f"the price is {price}", option, "give 0 or more")
    if least is not None and most is not None and least > most:
        raise EncoderError(f"the least price {least:g} is above the greatest {most:g}", "--min-price", "swap them")
    with np.errstate(invalid="ignore"):
        if least is not None:
            passes &= catalogue.price >= least
        if most is not None:
            passes &= catalogue.price <= most
    return passes


def _mask(catalogue: Catalogue, products: Rows) -> NDArray[np.bool_]:
    found = np.zeros(catalogue.products, np.bool_)
    found[products] = True
    return found


def _brand_rows(wanted: Sequence[str], catalogue: Catalogue) -> list[int]:
    ids = [str(one) for one in catalogue.snapshot.nodes["Brand"].ids.ids.to_pylist()]
    return _rows(wanted, (catalogue.brand_names, ids), "brand")


def _category_rows(wanted: Sequence[str], catalogue: Catalogue) -> list[int]:
    return _rows(wanted, (catalogue.category_names, catalogue.category_paths), "category")


def _rows(wanted: Sequence[str], spellings: Sequence[Sequence[str]], kind: str) -> list[int]:
    """Rows of the nodes with any of these names; case, accents and punctuation do not matter."""
    known: dict[str, list[int]] = {}
    for names in spellings:
        for row, name in enumerate(names):
            known.setdefault(_key(name), []).append(row)
    rows: list[int] = []
    for one in wanted:
        found = known.get(_key(one))
        if found is None:
            raise EncoderError(f"unknown {kind} {one!r}", f"--{kind}", _remedy(one, spellings[0], kind))
        rows += found
    return rows


def _key(name: str) -> str:
    return " ".join(words(name)) or name


def _remedy(name: str, names: Sequence[str], kind: str) -> str:
    from rapidfuzz import fuzz, process

    distinct = list(dict.fromkeys(one for one in names if one))
    if not distinct:
        return f"the graph has no {kind}"
    near = process.extract(name, distinct, scorer=fuzz.WRatio, processor=_key, limit=_SUGGESTED, score_cutoff=_ALIKE)
    return (
        f"did you mean {', '.join(repr(one) for one, _, _ in near)}" if near else "see the names with shopgraph query"
    )
