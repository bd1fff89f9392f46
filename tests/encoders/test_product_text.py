"""The text of a product, composed by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from encoders.errors import EncoderError
from encoders.product_text import labels_with_text, node_texts, product_texts
from encoders.text_config import TextConfig
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


def test_markup_is_taken_out_of_every_part(make_shop: MakeShop) -> None:
    shop = make_shop(
        {"title": ["Pond&#39;s <b>Cream</b>"], "description": ["<p>For dry skin.</p><br>Caf&eacute;"]},
        brands=["Crabtree &amp; Evelyn"],
        made_by=[(0, 0)],
        categories=["Hands &amp; Nails > Creams"],
        in_category=[(0, 0)],
    )
    # the title says Cream, not Creams
    assert product_texts(shop) == ["Pond's Cream. Crabtree & Evelyn. Hands & Nails, Creams. For dry skin. Café"]


def test_text_beyond_english_arrives_whole(make_shop: MakeShop) -> None:
    shop = make_shop(
        {
            "title": ["有机绿茶 250克", "Té verde orgánico «niño», 250 g"],
            "description": ["采自福建高山。清香回甘，适合冷泡。", "¡Recogido a mano! Suave y aromático."],  # noqa: RUF001
        },
        brands=["武夷山", "Peñalba & Cía"],
        made_by=[(0, 0), (1, 1)],
        categories=["Bebidas > Té", "饮料 > 茶叶"],
        in_category=[(0, 1), (1, 0)],
    )
    assert product_texts(shop) == [
        "有机绿茶 250克. 武夷山. 饮料, 茶叶. 采自福建高山。清香回甘，适合冷泡。",  # noqa: RUF001
        "Té verde orgánico «niño», 250 g. Peñalba & Cía. Bebidas. ¡Recogido a mano! Suave y aromático.",
    ]


def test_a_template_of_ones_own(make_shop: MakeShop) -> None:
    shop = make_shop(
        {"title": ["Green tea", "Cup"], "colour": ["dark {title}", None]},
        brands=["Leaf"],
        made_by=[(0, 0)],
        categories=["Drinks > Tea"],
        in_category=[(0, 0)],
    )
    config = TextConfig(product=("{title} by {brand}", "in {category_path}", "{{{colour}}}"))
    # a part lacks a field: none of it is said; what a value holds is no template
    assert product_texts(shop, config) == ["Green tea by Leaf. in Drinks, Tea. {dark {title}}", ""]
    assert product_texts(shop, TextConfig(product=())) == ["", ""]
    assert product_texts(shop, TextConfig(product=("{category}",))) == ["Drinks", ""]  # the title has the word tea


def test_attributes(make_shop: MakeShop) -> None:
    rows = 60
    shop = make_shop(
        {
            "title": [f"Shirt {i}" for i in range(rows)],
            "main_colour": ["red", "blue"] * 30,
            "material": ["cotton", None, "wool"] * 20,
            "code": [f"AB{i:03d}" for i in range(rows)],  # tells products apart one by one
            "page": ["https://shop.example/shirt"] * rows,
            "size": ["41"] * rows,  # no word
            "image": ["red shirt"] * rows,  # of the contract
            "label_lifecycle": ["selling out"] * rows,  # knows the test period
            "brand_kind": ["Private"] * rows,  # said by itself
        }
    )
    texts = product_texts(shop)
    assert texts[:2] == ["Shirt 0. Private. main colour red, material cotton", "Shirt 1. Private. main colour blue"]
    named = product_texts(shop, TextConfig(product=("{title}", "{material}", "{attributes}")))
    assert named[0] == "Shirt 0. cotton. main colour red, brand kind Private"


@pytest.mark.parametrize("field", ["colour", "label_lifecycle", "price", "path"])
def test_a_field_that_is_not_there(make_shop: MakeShop, field: str) -> None:
    shop = make_shop({"title": ["Tea"], "label_lifecycle": ["new"]})
    with pytest.raises(
        EncoderError, match=rf"no Product has the text '{field}' .*encode.text.product.*use one of .*title"
    ):
        product_texts(shop, TextConfig(product=("{title}", "{" + field + "}")))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"product": ("title",)}, "encode.text.product"),
        ({"brand": ("{name",)}, "encode.text.brand"),
        ({"category": ("{path.x}",)}, "encode.text.category"),
        ({"category": ("{path!r}",)}, "encode.text.category"),
        ({"entity": ("{}",)}, "encode.text.entity"),
        ({"reviews": -1}, "encode.text.reviews"),
        ({"boilerplate": 1.5}, "encode.text.boilerplate"),
        ({"reviews_until": "yesterday"}, "encode.text.reviews_until"),
        ({"product": ("{title}", "{reviews}")}, "encode.text.product"),  # and no reviews_until
    ],
)
def test_settings_without_a_meaning(settings: dict[str, object], names: str) -> None:
    with pytest.raises(EncoderError, match=names):
        TextConfig(**settings)


def test_other_labels(make_shop: MakeShop) -> None:
    shop = make_shop({"title": ["Tea"]}, brands=["Leaf &amp; Co"], categories=["Drinks", "Drinks > Tea &amp; more"])
    assert labels_with_text(shop) == ["Product", "Brand", "Category"]
    assert node_texts(shop, "Brand") == ["Leaf & Co"]
    assert node_texts(shop, "Category") == ["Drinks", "Drinks, Tea & more"]
    assert node_texts(shop, "Category", TextConfig(category=("aisle {name}",)))[1] == "aisle Tea & more"
    assert node_texts(shop, "User") == []


def test_boilerplate_and_budget_of_descriptions(make_shop: MakeShop) -> None:
    said = "Free shipping on all orders over twenty dollars."
    shop = make_shop({"description": [f"Tea number {i} of the house. {said}" for i in range(30)]})
    assert product_texts(shop)[3] == "Tea number 3 of the house."
    assert product_texts(shop, TextConfig(boilerplate=0))[3].endswith(said)
    assert product_texts(shop, TextConfig(description_chars=12))[3] == "Tea number 3"


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Reviews of p00 in 2020, 2021 and 2022, one of p01 without a time, and what is no review."""
    rows = [
        ("e1", "p00", "review", datetime(2020, 5, 1, tzinfo=UTC), "<b>Fine</b> tea"),
        ("e2", "p00", "review", datetime(2021, 5, 1, tzinfo=UTC), "muy bueno &amp; suave"),
        ("e3", "p00", "review", datetime(2022, 5, 1, tzinfo=UTC), "太好喝了"),
        ("e4", "p01", "review", None, "never dated"),
        ("e5", "p01", "review", datetime(2020, 5, 1, tzinfo=UTC), "  "),
        ("e6", "p01", "purchase", datetime(2020, 5, 1, tzinfo=UTC), "no review"),
    ]
    names = ("event_id", "product_id", "event", "time", "text")
    table = pa.table({name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)})
    pq.write_table(table, tmp_path / "events.parquet")
    return tmp_path / "events.parquet"


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        ({"reviews_until": "2022-01-01"}, ["Tea. muy bueno & suave Fine tea", "Cup"]),
        ({"reviews_until": "2022-05-01"}, ["Tea. muy bueno & suave Fine tea", "Cup"]),  # at that instant is not before
        ({"reviews_until": "all"}, ["Tea. 太好喝了 muy bueno & suave Fine tea", "Cup. never dated"]),
        ({"reviews_until": "all", "reviews": 1}, ["Tea. 太好喝了", "Cup. never dated"]),
        ({"reviews_until": "all", "reviews": 2, "review_chars": 9}, ["Tea. 太好喝了 muy bueno", "Cup. never"]),
        ({"reviews": 0}, ["Tea", "Cup"]),
    ],
)
def test_snippets_of_reviews(make_shop: MakeShop, events: Path, settings: dict[str, object], texts: list[str]) -> None:
    shop = make_shop({"title": ["Tea", "Cup"]})
    config = TextConfig(product=("{title}", "{reviews}"), **settings)
    assert product_texts(shop, config, events) == texts


def test_reviews_without_the_table(make_shop: MakeShop, tmp_path: Path) -> None:
    config = TextConfig(product=("{reviews}",), reviews_until="all")
    for table in (None, tmp_path / "events.parquet"):
        with pytest.raises(EncoderError, match="needs the clean table of events"):
            product_texts(make_shop({"title": ["Tea"]}), config, table)
