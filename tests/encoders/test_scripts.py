"""A model's scripts by its vocabulary, and titles in others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from encoders.config import EncoderConfig
from encoders.model_files import find_model
from encoders.scripts import known_scripts, script_note, unknown_titles
from kg.snapshot import Snapshot

MakeShop = Callable[..., Snapshot]
LATIN = [f"{a}{b}{c}" for a in "abcdefgh" for b in "abcdefgh" for c in "abcdefgh"]
CYRILLIC = [f"{a}{b}{c}" for a in "абвгдежз" for b in "абвгдежз" for c in "абвгдежз"]
CHINESE = [chr(0x4E00 + i) for i in range(4000)]


@pytest.fixture
def with_vocabulary(tiny_model: Path) -> Callable[..., frozenset[str] | None]:
    """The scripts of a model with this vocabulary."""

    def known(pieces: list[str], kind: str = "WordPiece", **parts: Any) -> frozenset[str] | None:
        scores = [[piece, -1.0] for piece in pieces]
        vocabulary: Any = scores if kind == "Unigram" else {piece: i for i, piece in enumerate(pieces)}
        path = tiny_model / "tokenizer.json"
        before = path.read_text()
        try:
            path.write_text(json.dumps({"model": {"type": kind, "vocab": vocabulary}, **parts}))
            return known_scripts(find_model(EncoderConfig(model=str(tiny_model))))
        finally:
            path.write_text(before)

    return known


def test_the_built_in_model_knows_latin_alone() -> None:
    # single letters of many scripts and 488 Chinese characters are in its vocabulary
    assert known_scripts(find_model(EncoderConfig())) == {"LATIN"}


def test_vocabularies(with_vocabulary: Callable[..., frozenset[str] | None]) -> None:
    assert with_vocabulary(LATIN + CYRILLIC[:100] + CHINESE[:2000]) == {"LATIN"}
    assert with_vocabulary([*LATIN, *(f"##{c}" for c in CYRILLIC), *CHINESE]) == {"LATIN", "CYRILLIC", "CJK"}
    assert with_vocabulary([f"▁{c}" for c in CYRILLIC], "Unigram") == {"CYRILLIC"}
    assert with_vocabulary(["a", "b"]) is None  # too small to tell anything


def test_a_vocabulary_of_bytes(with_vocabulary: Callable[..., frozenset[str] | None]) -> None:
    # GPT-2 writes the two bytes of a Cyrillic letter, D0 B0, as two others
    table = {0xD0: "Ð", **{byte: chr(256 + 0x21 + i) for i, byte in enumerate(range(0x7F, 0xA1))}}
    table |= {byte: chr(byte) for byte in range(0xA1, 0x100) if byte != 0xAD}
    pieces = ["".join(table[byte] for byte in word.encode()) for word in CYRILLIC]
    assert with_vocabulary(pieces, "BPE", pre_tokenizer={"type": "ByteLevel"}) == {"CYRILLIC"}


def test_share_of_titles_in_unknown_scripts(make_shop: MakeShop) -> None:
    shop = make_shop({"title": ["зелёный чай", "Ünïcöde çay", "緑茶 250g", "5 Ω", "tea", None, "зелёный чай"]})
    share, scripts = unknown_titles(shop, frozenset({"LATIN"}))
    assert share == pytest.approx(3 / 6)
    assert scripts == ["Cyrillic", "Chinese characters"]
    assert unknown_titles(shop, frozenset({"LATIN", "CYRILLIC", "CJK"})) == (0, [])
    assert unknown_titles(shop, frozenset({"CYRILLIC"}))[0] == pytest.approx(3 / 6)  # a g and an omega are no words
    assert unknown_titles(make_shop({"image": ["x"]}), frozenset({"LATIN"})) == (0, [])


def test_the_warning_begins_above_a_fifth(make_shop: MakeShop) -> None:
    files = find_model(EncoderConfig())
    fifth = make_shop({"title": ["茶", "té verde", "niño", "coffee", "milk"]})
    assert script_note(fifth, files) == ""
    above = make_shop({"title": ["茶", "咖啡", "niño", "coffee", "milk"]})
    assert script_note(above, files) == (
        "40% of the titles have words in a script that all-MiniLM-L6-v2 does not know (Chinese characters); "
        "set encode.model to a multilingual model"
    )
