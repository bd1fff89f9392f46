"""Text to words, and words to what they may mean in a shop."""

from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.errors import EncoderError
from encoders.search.lexicon import FORM, MENDED, SHORT, Lexicon
from encoders.search.words import stemmer, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Burt's Bees", ["burts", "bees"]),
        ("Burt&#39;s Crème BRÛLÉE", ["burts", "creme", "brulee"]),
        ("12oz SPF50, 0.5 fl.oz", ["12", "oz", "spf", "50", "0.5", "fl", "oz"]),
        ("Straße ﬁne", ["strasse", "fine"]),
        ("a\x00b\x1bc", ["a", "b", "c"]),
        ("+title:[* TO *] AND -x~2^3 \\", ["title", "to", "and", "x", "2", "3"]),
        ("зелёный чаи", ["зеленыи", "чаи"]),
        ("ชาเขียว", ["ชา", "าเ", "เข", "ขี", "ีย", "ยว"]),
        ("", []),
        ("?! … ☕", []),
    ],
)
def test_words_are_folded_and_parted(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_chinese_is_segmented_with_the_parts_of_long_words() -> None:
    assert words("中华人民共和国绿茶") == ["中华", "华人", "人民", "共和", "共和国", "中华人民共和国", "绿茶"]
    assert words("有机green茶") == ["有机", "green", "茶"]


@given(st.text(max_size=60))
def test_words_hold_letters_and_digits_alone(text: str) -> None:
    for word in words(text):
        assert word
        assert not set(word) & set(string.whitespace + '+-&|!(){}[]^"~*?:\\/')
        assert words(word)  # a word is made of words


def test_an_unknown_stemmer_is_named() -> None:
    with pytest.raises(EncoderError, match="klingon"):
        stemmer("klingon")
    assert stemmer("")("creams") == "creams"
    assert stemmer("english")("creams") == "cream"


def lexicon(counts: dict[str, int], real: tuple[str, ...] = ()) -> Lexicon:
    return Lexicon(list(counts), np.array(list(counts.values()), np.int32), "english", frozenset(real))


def read(lexicon: Lexicon, word: str) -> list[tuple[str, str, float]]:
    return [(one.word, one.kind, one.weight) for one in lexicon.readings(word)]


def test_a_known_word_means_itself_its_forms_and_its_abbreviations() -> None:
    shop = lexicon({"frozen": 5, "frzn": 3, "cream": 4, "creams": 2, "tea": 9})
    assert read(shop, "frozen") == [("frozen", "same", 1.0), ("frzn", "short", SHORT)]
    assert read(shop, "cream") == [("cream", "same", 1.0), ("creams", "form", FORM)]
    assert read(shop, "tea") == [("tea", "same", 1.0)]


@pytest.mark.parametrize("typed", ["shmapoo", "shampo", "shamppoo", "shanpoo", "hsampoo"])
def test_a_slip_is_mended(typed: str) -> None:
    shop = lexicon({"shampoo": 40, "soap": 10, "sampler": 3})
    assert read(shop, typed)[0] == ("shampoo", "mended", MENDED)


def test_two_letters_stand_for_a_word_only_where_the_shop_does_not_write_it_out() -> None:
    counts = {"br": 40, "beer": 2}
    assert [one[:2] for one in read(lexicon(counts, real=("bear",)), "beer")] == [("beer", "same")]
    assert [one[:2] for one in read(lexicon(counts, real=("bear",)), "bear")] == [("br", "short")]


def test_short_words_numbers_and_far_words_are_not_mended() -> None:
    shop = lexicon({"tea": 4, "lotion": 3, "505": 2, "oil": 5})
    assert read(shop, "te") == []
    assert read(shop, "506") == []
    assert read(shop, "teaa") == [("tea", "mended", MENDED)]
    assert read(shop, "teaaa") == []  # two edits, in a word of five letters
    assert read(shop, "lottionn") == [("lotion", "mended", MENDED)]
    assert shop.readings("teaa", mend=False) == []


def test_of_two_words_as_near_the_frequent_one_weighs_more() -> None:
    shop = lexicon({"color": 60, "colon": 1})
    found = read(shop, "colox")
    assert [one[0] for one in found] == ["color", "colon"]
    assert found[1][2] == round(MENDED * np.log1p(1) / np.log1p(60), 4)


def test_a_word_that_exists_is_not_taken_for_a_misspelt_one() -> None:
    counts = {"rice": 9, "wine": 30}
    assert [one[0] for one in read(lexicon(counts), "ripe")] == ["rice"]
    assert read(lexicon(counts, real=("ripe", "vine")), "ripe") == []
    assert read(lexicon({"onions": 9}, real=("lotion",)), "lotions") == []  # nor is another form of one


def test_a_rare_word_beside_a_frequent_one_may_mean_that_too() -> None:
    shop = lexicon({"shampoo": 200, "shampo": 1, "tea": 300, "teas": 20})
    assert [one[:2] for one in read(shop, "shampo")] == [("shampo", "same"), ("shampoo", "mended")]
    assert [one[:2] for one in read(shop, "shampoo")] == [("shampoo", "same")]


def test_a_rare_word_with_a_frequent_form_is_no_slip_nor_is_a_real_one() -> None:
    shop = lexicon({"beer": 2, "beers": 60, "beef": 900})
    assert [one[:2] for one in read(shop, "beer")] == [("beer", "same"), ("beers", "form")]
    lone = {"beer": 2, "beef": 900}
    assert [one[:2] for one in read(lexicon(lone), "beer")] == [("beer", "same"), ("beef", "mended")]
    assert [one[:2] for one in read(lexicon(lone, real=("beer",)), "beer")] == [("beer", "same")]


def test_words_of_names_alone_are_known_but_nothing_is_mended_to_them() -> None:
    shop = lexicon({"manufacturer": 0, "milk": 4})
    assert read(shop, "manufacturer") == [("manufacturer", "same", 1.0)]
    assert read(shop, "manufacturrer") == []
