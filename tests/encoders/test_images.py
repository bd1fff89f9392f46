"""Vectors of pictures: aligned by id, of length one, every row of the file accounted for, beside those of the text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders import images
from encoders.config import EncoderConfig
from encoders.errors import EncoderError
from encoders.images import SET_ASIDE, ImageConfig, images_digest, read_images
from encoders.search.config import SearchConfig
from encoders.search.index import open_index
from encoders.vectors import encode_products, load_vectors
from ingest.progress import SilentProgress
from kg.snapshot import IdMap, Snapshot

MakeShop = Callable[..., Snapshot]
TITLES = ["green tea", "coffee", "green tea", "milk 2 ml"]
NAN = float("nan")


def write(path: Path, ids: Sequence[Any], vectors: Sequence[Any], kind: pa.DataType | None = None) -> ImageConfig:
    column = pa.array(vectors, kind or pa.list_(pa.float32()))
    pq.write_table(pa.table({"product_id": pa.array(ids), "vector": column}), path)
    return ImageConfig(str(path))


def read(config: ImageConfig, *ids: str) -> images.Images:
    return read_images(config, IdMap.of(ids), images_digest(config))


def test_every_row_is_a_products_picture_or_set_aside_with_its_rule(tmp_path: Path) -> None:
    rows = {
        "b": [3, 4], "x": [1, 0], "a": [NAN, 1], "c": [1, 2, 3], None: [1, 1], "d": None, " a ": [0, 2],
        "": [1, 1], "e": [0, 0], "f": [], "g": [float("inf"), 0],
    }  # fmt: skip
    config = write(tmp_path / "i.parquet", [*rows, "b"], [*rows.values(), [-6, 8]])
    found = read(config, *"abcdefgh")
    expected = np.zeros((8, 2))
    expected[0], expected[1] = [0, 1], [-0.6, 0.8]  # of b the later row
    np.testing.assert_allclose(found.matrix, expected, atol=1e-7)
    assert found.there.tolist() == [True, True] + [False] * 6
    aside = {(row, rule) for row, rule in zip(*(found.set_aside[n].to_pylist() for n in ("row", "rule")), strict=True)}
    assert aside == {
        (1, "repeated"), (2, "unknown_product"), (3, "not_a_number"), (4, "wrong_width"), (5, "no_id"),
        (6, "no_vector"), (8, "no_id"), (9, "zero_vector"), (10, "no_vector"), (11, "not_a_number"),
    }  # fmt: skip
    said = found.said
    assert (said["rows"], said["products"], said["without"], said["width"]) == (12, 2, 6, 2)
    assert said["set_aside"] == {
        "no_id": 2, "unknown_product": 1, "no_vector": 2, "wrong_width": 1, "not_a_number": 2, "zero_vector": 1,
        "repeated": 1,
    }  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", "zz"]), st.lists(st.integers(-3, 3), min_size=1, max_size=3)),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 7),
)
def test_whatever_the_batches_the_last_good_row_counts(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, list[int]]], batch: int
) -> None:
    config = write(tmp_path_factory.mktemp("i") / "i.parquet", *map(list, zip(*rows, strict=True)))
    lengths = [len(vector) for _, vector in rows]
    width = max(set(lengths), key=lambda n: (lengths.count(n), n))
    last = {i: v for i, v in rows if len(v) == width and any(v) and i != "zz"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "_BATCH_ROWS", batch)
        if not last:
            with pytest.raises(EncoderError, match="none of the"):
                read(config, "a", "b", "c")
            return
        found = read(config, "a", "b", "c")
    for row, name in enumerate("abc"):
        vector = np.array(last.get(name, [0] * width), np.float64)
        np.testing.assert_allclose(found.matrix[row], vector / max(1e-9, np.linalg.norm(vector)), atol=1e-6)
    assert found.said["rows"] == len(rows) == found.said["products"] + len(found.set_aside)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.large_list(pa.float16()), pa.list_(pa.float32(), 2), pa.list_(pa.int16())]
)
def test_any_list_of_numbers_and_ids_that_are_numbers(tmp_path: Path, kind: pa.DataType) -> None:
    values: Any = [[np.float16(3), np.float16(4)], [np.float16(0), np.float16(-1)]] if "half" in str(kind) else None
    found = read(write(tmp_path / "i.parquet", [7, 8], values or [[3, 4], [0, -1]], kind), "7", "8")
    np.testing.assert_allclose(found.matrix, [[0.6, 0.8], [0, -1]], atol=1e-6)


def test_what_a_person_may_get_wrong_is_one_line(tmp_path: Path) -> None:
    missing = ImageConfig(str(tmp_path / "nowhere.parquet"))
    with pytest.raises(EncoderError, match=r"cannot be read: No such file .*nowhere\.parquet"):
        images_digest(missing)
    (tmp_path / "text.parquet").write_text("product_id,vector\n")
    with pytest.raises(EncoderError, match="no Parquet file"):
        read(ImageConfig(str(tmp_path / "text.parquet")), "a")
    good = write(tmp_path / "i.parquet", ["a"], [[1, 2]])
    with pytest.raises(EncoderError, match=r"no column 'asin'; there are product_id, vector .*images\.id_column"):
        read(replace(good, id_column="asin"), "a")
    with pytest.raises(EncoderError, match="holds string, not lists of numbers"):
        read(replace(good, vector_column="product_id"), "a")
    with pytest.raises(EncoderError, match=r"none of the 1 rows has a vector of a product \(unknown_product 1\)"):
        read(good, "other")
    with pytest.raises(EncoderError, match="no row has a vector"):
        read(write(tmp_path / "e.parquet", ["a", "b"], [None, []]), "a")


@pytest.fixture
def config(tiny_model: Path) -> EncoderConfig:
    return EncoderConfig(model=str(tiny_model), device="cpu", precision="fp32")


def test_pictures_stand_beside_the_text(make_shop: MakeShop, config: EncoderConfig, tmp_path: Path) -> None:
    shop = make_shop({"title": TITLES})
    plain = encode_products(shop, config, tmp_path / "plain")
    pictures = write(tmp_path / "i.parquet", ["p01", "p03", "p99"], [[0, 5, 0], [1, 0, 0], [1, 1, 1]])
    seeing = replace(config, images=pictures)
    made = encode_products(shop, seeing, tmp_path / "e")
    assert [(block["name"], block["width"]) for block in made.head.blocks] == [
        ("text", 16), ("image", 3), ("has_image", 1)
    ]  # fmt: skip
    assert (made.text == plain.matrix).all()
    assert made.matrix[:, 16:].tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert pq.read_table(tmp_path / "e" / SET_ASIDE).to_pylist() == [
        {"row": 3, "product_id": "p99", "rule": "unknown_product"}
    ]
    loaded = load_vectors(tmp_path / "e", shop)
    assert loaded.head == made.head
    assert (loaded.matrix == made.matrix).all()
    assert encode_products(shop, seeing, tmp_path / "e").reused
    # another picture is other vectors, though no text has changed
    write(tmp_path / "i.parquet", ["p01"], [[0, 0, 1]])
    other = encode_products(shop, seeing, tmp_path / "e")
    assert (other.reused, other.head.encoded) == (False, 0)
    assert other.head.identity != made.head.identity
    assert not (tmp_path / "e" / SET_ASIDE).exists()
    assert len(list((tmp_path / "e").glob("products-*.npy"))) == 1
    # and without the setting there is nothing left of them
    again = encode_products(shop, config, tmp_path / "e")
    assert again.head.blocks == []
    assert (again.matrix == plain.matrix).all()


def test_without_pictures_the_files_do_not_know_of_them(
    make_shop: MakeShop, config: EncoderConfig, tmp_path: Path
) -> None:
    made = encode_products(make_shop({"title": TITLES}), config, tmp_path)
    head = json.loads((tmp_path / "products.json").read_text())
    assert {"blocks", "images"}.isdisjoint(head)
    assert made.head.identity == (head["inputs"], head["digest"])
    assert made.matrix.shape == made.text.shape == (4, 16)


def test_search_reads_the_text_alone(make_shop: MakeShop, config: EncoderConfig, tmp_path: Path) -> None:
    shop = make_shop({"title": TITLES})
    seeing = replace(config, images=write(tmp_path / "i.parquet", ["p00"], [[1, 2]]))
    vectors = encode_products(shop, seeing, tmp_path / "e")
    index = open_index(shop, vectors, SearchConfig(), tmp_path / "search", SilentProgress())
    assert index.vectors is not None
    assert np.array_equal(index.vectors, vectors.matrix[[0, 1, 3], :16])


def test_a_damaged_head_of_blocks_is_said(make_shop: MakeShop, config: EncoderConfig, tmp_path: Path) -> None:
    shop = make_shop({"title": TITLES})
    seeing = replace(config, images=write(tmp_path / "i.parquet", ["p00"], [[1, 2]]))
    encode_products(shop, seeing, tmp_path / "e")
    head = tmp_path / "e" / "products.json"
    head.write_text(json.dumps(json.loads(head.read_text()) | {"blocks": [{"name": "text"}]}))
    with pytest.raises(EncoderError, match="head cannot be read"):
        load_vectors(tmp_path / "e", shop)
