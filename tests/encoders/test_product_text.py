"""The text of a product, composed by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.product_text import other_script_share, product_texts

from .conftest import ShopMaker


def test_all_parts(make_shop: ShopMaker) -> None:
    shop = make_shop(
        {
            "title": ["Green tea 250 g", " Espresso ", None, None],
            "description": ["Loose leaves.", None, None, None],
            "brand_kind": ["Private", None, "National", None],
        },
        brands=["Leaf & Co", "Beans"],
        made_by=[(0, 0), (1, 1)],
        categories=["Drinks", "Drinks > Coffee", "Drinks > Tea > Green tea"],
        in_category=[(0, 2), (1, 1), (2, 0)],
    )
    assert product_texts(shop) == [
        "Green tea 250 g. Leaf & Co. Drinks, Tea. Private. Loose leaves.",  # "Tea" is no substring? see below
        "Espresso. Beans. Drinks, Coffee",
        "Drinks. National",
        "",
    ]
