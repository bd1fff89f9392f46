"""The matrix on disk: aligned with its snapshot, whole or not there, and never taken for another graph's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders.config import EncoderConfig
from encoders.errors import EncoderError
from encoders.text_config import TextConfig
from encoders.text_encoder import TextEncoder
from encoders.vectors import encode_products, load_vectors
from kg.snapshot import Snapshot

MakeShop = Callable[..., Snapshot]
TITLES = ["green tea", "coffee", "green tea", "milk 2 ml"]


@pytest.fixture
def config(tiny_model: Path) -> EncoderConfig:
    return EncoderConfig(model=str(tiny_model), device="cpu", precision="fp32")


def test_rows_are_the_products(make_shop: MakeShop, config: EncoderConfig, tmp_path: Path) -> None:
    shop = make_shop({"title": TITLES})
    made = encode_products(shop, config, tmp_path / "embeddings")
    expected = np.concatenate([TextEncoder(config).encode([title]) for title in TITLES])
    np.testing.assert_allclose(made.matrix, expected, atol=1e-5)
    assert (made.head.products, made.head.texts, made.head.encoded, made.head.dim) == (4, 3, 3, 16)
    assert made.head.snapshot == shop.fingerprint
    loaded = load_vectors(tmp_path / "embeddings", shop)
    assert isinstance(loaded.matrix, np.memmap)
    assert (loaded.matrix == made.matrix).all()
    assert loaded.head == made.head


def test_unchanged_is_reused_and_changed_encodes_the_new_text_only(
    make_shop: MakeShop, config: EncoderConfig, tmp_path: Path
) -> None:
    encode_products(make_shop({"title": TITLES}), config, tmp_path)
    again = encode_products(make_shop({"title": TITLES}), config, tmp_path)
    assert again.reused
    changed = encode_products(make_shop({"title": [*TITLES[:3], "dark milk"]}), config, tmp_path)
    assert not changed.reused
    assert changed.head.encoded == 1
    assert len(list(tmp_path.glob("products-*.npy"))) == 1


def test_workspaces_may_share_what_was_encoded(make_shop: MakeShop, config: EncoderConfig, tmp_path: Path) -> None:
    shared = replace(config, cache=str(tmp_path / "shared"))
    first = encode_products(make_shop({"title": TITLES}), shared, tmp_path / "a")
    other = encode_products(make_shop({"title": [*TITLES, "dark"]}), shared, tmp_path / "b")
    assert (first.head.encoded, other.head.encoded) == (3, 1)
    assert (other.matrix[:4] == first.matrix).all()
    assert list((tmp_path / "b").glob("*.cache")) == []


def test_what_the_texts_say_is_kept_with_the_vectors(
    make_shop: MakeShop, config: EncoderConfig, tmp_path: Path
) -> None:
    """So that they are known again, in a graph with another fingerprint, by the template that they were made with."""
    short = replace(config, text=TextConfig(product=("{title}",)))
    shop = {"title": TITLES, "colour": ["dark", "black", "green", "milk"]}
    encode_products(make_shop(shop), short, tmp_path)
    assert load_vectors(tmp_path, make_shop({**shop, "image": ["x"] * 4})).head.text["product"] == ["{title}"]
    assert load_vectors(tmp_path, make_shop({**shop, "colour": ["dark"] * 4})).head.products == 4
    with pytest.raises(EncoderError, match="another graph's products"):
        load_vectors(tmp_path, make_shop({**shop, "title": TITLES[::-1]}))
    whole = encode_products(make_shop(shop), config, tmp_path)
    assert not whole.reused
    assert whole.head.text == {}


@pytest.mark.parametrize("titles", [[*TITLES, "coffee"], [*TITLES[:3], "dark milk"], TITLES[::-1]])
def test_another_graphs_vectors_are_refused(
    make_shop: MakeShop, config: EncoderConfig, tmp_path: Path, titles: list[str]
) -> None:
    encode_products(make_shop({"title": TITLES}), config, tmp_path)
    with pytest.raises(EncoderError, match=r"another graph's products .*run shopgraph encode"):
        load_vectors(tmp_path, make_shop({"title": titles}))


def test_same_products_in_another_graph_are_accepted(
    make_shop: MakeShop, config: EncoderConfig, tmp_path: Path
) -> None:
    encode_products(make_shop({"title": TITLES}), config, tmp_path)
    other = make_shop({"title": TITLES, "image": ["x"] * 4})  # a property that no text shows
    assert load_vectors(tmp_path, other).head.products == 4


def test_no_vectors(make_shop: MakeShop, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"no text vectors .*run shopgraph encode"):
        load_vectors(tmp_path, make_shop({"title": TITLES}))


@pytest.mark.parametrize("damage", ["head", "format", "gone", "torn", "other", "field"])
def test_damage_is_named_and_mended_by_encoding_again(
    make_shop: MakeShop, config: EncoderConfig, tmp_path: Path, damage: str
) -> None:
    shop = make_shop({"title": TITLES})
    head, matrix = tmp_path / "products.json", tmp_path / encode_products(shop, config, tmp_path).head.matrix
    if damage == "head":
        head.write_text(head.read_text()[:20])
    elif damage in ("format", "field"):
        read = json.loads(head.read_text())
        head.write_text(json.dumps({**read, "format": 99} if damage == "format" else {**read, "colour": 1}))
    elif damage == "gone":
        matrix.unlink()
    elif damage == "torn":
        matrix.write_bytes(matrix.read_bytes()[:-50])
    else:
        with matrix.open("wb") as file:
            np.save(file, np.zeros((2, 16), np.float32))
    with pytest.raises(EncoderError, match="run shopgraph encode"):
        load_vectors(tmp_path, shop)
    encode_products(shop, config, tmp_path)
    assert load_vectors(tmp_path, shop).matrix.shape == (4, 16)


def test_a_failed_write_leaves_the_old_vectors(
    make_shop: MakeShop, config: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_shop({"title": TITLES})
    before = np.array(encode_products(old, config, tmp_path).matrix)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("encoders.vectors.np.save", full)
    with pytest.raises(EncoderError, match="No space left on device"):
        encode_products(make_shop({"title": ["tea"]}), config, tmp_path)
    monkeypatch.undo()
    assert (load_vectors(tmp_path, old).matrix == before).all()
    assert {path.suffix for path in tmp_path.iterdir()} == {".cache", ".json", ".npy"}


def test_note_about_another_script(make_shop: MakeShop, tmp_path: Path) -> None:
    shop = make_shop({"title": ["зелёный чай", "tea", "coffee"]})
    made = encode_products(shop, EncoderConfig(device="cpu"), tmp_path)
    assert made.head.note.startswith(
        "33% of the titles have words in a script that all-MiniLM-L6-v2 does not know (Cyril"
    )
    plain = encode_products(make_shop({"title": ["thé vert", "tea"]}), EncoderConfig(device="cpu"), tmp_path)
    assert plain.head.note == ""
