"""Markup and boilerplate go, everything else stays to the letter."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.clean_text import cut, without_boilerplate, without_markup


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Crabtree &amp; Evelyn", "Crabtree & Evelyn"),
        ("Pond&#39;s", "Pond's"),
        ("caf&eacute; &#x4e2d;&#25991;", "café 中文"),
        ("twice &amp;amp; escaped &amp;eacute;", "twice & escaped é"),
        ("<p>Loose <b>leaves</b>.</p><ul><li>green<li>fine</ul>", "Loose leaves. green fine"),
        ("H<sub>2</sub>O and soft<br/>water", "H2O and soft water"),
        ("&lt;br&gt;escaped &lt;b&gt;tags&lt;/b&gt;", "escaped tags"),
        ("see <a href=\"https://x.example/a?b=1&amp;c=2\" class='k'>here</a>", "see here"),
        ("a<script>var x = '<b>';</script>b<style>p {}</style><!-- no -->c", "a b c"),
        ("<![CDATA[Té verde]]>", "Té verde"),
        ("non&nbsp;breaking", "non breaking"),
        ("<P ALIGN=center>Té</P>", "Té"),
        ("有机<strong>绿茶</strong>&nbsp;250克", "有机绿茶 250克"),
    ],
)
def test_markup(text: str, clean: str) -> None:
    assert without_markup(text) == clean
    assert without_markup(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "Clean & Clear",
        "AT&T; no entity",
        "R&D",
        "a<b and c>d",
        "5 < 6 > 4",
        "<3 this",
        "x <unknown> y",
        "two  spaces\nand a line",
        "size <10 cm, >5 cm",
        "Té verde orgánico ¡250 g!",
        "有机绿茶，250克",  # noqa: RUF001
        "",
    ],
)
def test_text_without_markup_stays_to_the_letter(text: str) -> None:
    assert without_markup(text) == text


@given(st.text(st.characters(exclude_characters="<&>]")))
def test_any_text_without_the_signs_of_markup_stays(text: str) -> None:
    assert without_markup(text) == text


def _shop(sentence: str, n: int = 40) -> list[str]:
    return [f"Tea number {i}. {sentence} It weighs {i}.5 oz." for i in range(n)]


def test_a_sentence_that_all_have_is_boilerplate() -> None:
    texts = _shop("Free shipping on orders over $20.99!")
    assert without_boilerplate(texts, 0.05) == [f"Tea number {i}. It weighs {i}.5 oz." for i in range(40)]
    assert without_boilerplate(texts, 0) == texts


def test_chinese_sentences_end_without_a_space() -> None:
    texts = [f"绿茶第{i}号。本店所有商品均为正品保证。重{i}克。" for i in range(30)]
    assert without_boilerplate(texts, 0.05) == [f"绿茶第{i}号。重{i}克。" for i in range(30)]


def test_what_few_have_stays() -> None:
    said = "Grown in the shade of tall trees."
    texts = [*_shop(said, 19), *(f"Coffee number {i}." for i in range(30))]
    assert without_boilerplate(texts, 0.05) == texts  # 19 are too few
    many = [*_shop(said, 25), *(f"Coffee number {i}." for i in range(75))]
    assert without_boilerplate(many, 0.5) == many  # a quarter is less than half


def test_variants_share_a_description_that_is_none_of_boilerplate() -> None:
    texts = ["A shirt of soft cotton, washed twice."] * 60 + [f"Cup number {i}." for i in range(40)]
    assert without_boilerplate(texts, 0.05) == texts


def test_short_sentences_stay() -> None:
    texts = _shop("Organic")
    assert without_boilerplate([t.replace("Organic", "Vegan.") for t in texts], 0.05)[3].count("Vegan.") == 1


def test_cut_at_a_word() -> None:
    assert cut("green tea leaves", 11) == "green tea"
    assert cut("green tea leaves", 9) == "green tea"
    assert cut("green tea leaves", 10) == "green tea"
    assert cut("green tea leaves", 0) == "green tea leaves"
    assert cut("green tea leaves", 16) == "green tea leaves"
    assert cut("a verylongwordindeed", 10) == "a verylong"


def test_cut_of_chinese_and_of_marks() -> None:
    assert cut("有机绿茶二百五十克", 4) == "有机绿茶"
    spelt = unicodedata.normalize("NFD", "té")  # t, e, accent
    assert cut(spelt + "s", 2) == "t"
    assert cut("👩\u200d🔬x", 2) == ""


@given(st.text(), st.integers(1, 30))
def test_a_cut_is_a_beginning_within_the_budget(text: str, limit: int) -> None:
    found = cut(text, limit)
    assert len(found) <= limit
    assert text.startswith(found)
