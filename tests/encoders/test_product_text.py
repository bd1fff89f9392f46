"""The text of a product, composed by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from encoders.product_text import other_script_share, product_texts
from kg.snapshot import Snapshot

MakeShop = Callable[..., Snapshot]


def test_all_parts(make_shop: MakeShop) -> None:
    shop = make_shop(
        {
            "title": ["Green tea 250 g", " Espresso ", None, None],
            "description": ["Loose leaves.", None, None, None],
            "brand_kind": ["Private", None, "National", None],
        },
        brands=["Leaf & Co", "Beans"],
        made_by=[(0, 0), (1, 1)],
        categories=["Drinks", "Drinks > Coffee", "Drinks > Tea bags > Green tea"],
        in_category=[(0, 2), (1, 1), (2, 0)],
    )
    assert product_texts(shop) == [
        "Green tea 250 g. Leaf & Co. Drinks, Tea bags. Private. Loose leaves.",
        "Espresso. Beans. Drinks, Coffee",
        "Drinks. National",
        "",
    ]


def test_several_categories_and_repeated_combinations(make_shop: MakeShop) -> None:
    shop = make_shop(
        {"title": ["Soap", "Cup", "Soap"]},
        categories=["Bath", "Bath > Gifts", "Home > Gifts"],
        in_category=[(0, 1), (0, 2), (1, 0), (2, 1), (2, 2)],
    )
    assert product_texts(shop) == ["Soap. Bath, Gifts, Home", "Cup. Bath", "Soap. Bath, Gifts, Home"]


@pytest.mark.parametrize(("title", "said"), [("SHAMPOO (Ham)", True), ("Shampoo", False), ("ham.", True)])
def test_a_category_is_left_out_where_the_title_has_the_word(make_shop: MakeShop, title: str, said: bool) -> None:
    shop = make_shop({"title": [title]}, categories=["Ham"], in_category=[(0, 0)])
    assert product_texts(shop) == [title if said else f"{title}. Ham"]


@pytest.mark.parametrize(
    ("brands", "text"),
    [
        (["Manufacturer 69", "Manufacturer 7"], "Tea"),  # a number each: nothing is said
        (["Manufacturer 69"], "Tea. Manufacturer 69"),  # one alone may be a name
        (["Manufacturer 69", "Area 51"], "Tea. Manufacturer 69"),
        (["4711", "Leaf"], "Tea. 4711"),
        (["Leaf", "Leaf"], "Tea. Leaf"),
    ],
)
def test_numbered_brands_are_left_out(make_shop: MakeShop, brands: list[str], text: str) -> None:
    assert product_texts(make_shop({"title": ["Tea"]}, brands=brands, made_by=[(0, 0)])) == [text]


def test_a_shop_without_any_words(make_shop: MakeShop) -> None:
    shop = make_shop({"image": ["a", None]})
    assert product_texts(shop) == ["", ""]
    assert other_script_share(shop) == 0


def test_share_of_titles_in_another_script(make_shop: MakeShop) -> None:
    shop = make_shop({"title": ["зелёный чай", "Ünïcöde çay", "緑茶 250g", "5 Ω", "tea", None]})
    assert other_script_share(shop) == pytest.approx(2 / 5)
