"""Vectors of the products' pictures, computed elsewhere: read from a Parquet file, aligned, every row accounted for."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from encoders.errors import EncoderError
from ingest.contract import MISSING
from kg.snapshot import IdMap

SET_ASIDE = "images-set-aside.parquet"
"""Rows of the file that no product has got, beside the vectors: `row` (from 1), `product_id`, `rule`."""
RULES = ("no_id", "unknown_product", "no_vector", "wrong_width", "not_a_number", "zero_vector", "repeated")
_BATCH_ROWS = 16_384
_KEY = "encode.images"


@dataclass(frozen=True)
class ImageConfig:
    """Vectors of the products' pictures, which any image model has made.

    Attributes:
        file: a Parquet file with a row per product, absolute or from the workspace on. Empty: there are no pictures.
        id_column: its column of product ids.
        vector_column: its column of vectors: lists of numbers, all of one length.
    """

    file: str = ""
    id_column: str = "product_id"
    vector_column: str = "vector"


@dataclass(frozen=True)
class Images:
    """The vectors of a file in the rows of the products.

    Attributes:
        matrix: float32, of length one, zero for a product without a picture; shape (products, width).
        there: which products have one, shape (products,).
        said: what became of the file; JSON-able: `file`, `digest`, `width`, `rows`, `products` (that have a picture),
            `without` (that have none) and `set_aside`, rows per rule. rows = products + what was set aside.
        set_aside: the rows that were.
    """

    matrix: NDArray[np.float32]
    there: NDArray[np.bool_]
    said: dict[str, Any]
    set_aside: pa.Table


def images_digest(config: ImageConfig) -> str:
    """Names the file's content and what is read of it; empty without a file.

    Raises:
        EncoderError: there is no such file.
    """
    if not config.file:
        return ""
    path = Path(config.file)
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        what = f"the vectors of the pictures cannot be read: {error.strerror}"
        remedy = "name a Parquet file, absolute or from the workspace on, or leave the setting out"
        raise EncoderError(what, f"{_KEY}.file, {path}", remedy) from error
    named = "\0".join(("images 1", content, config.id_column, config.vector_column))
    return hashlib.sha256(named.encode()).hexdigest()


def read_images(config: ImageConfig, ids: IdMap, digest: str) -> Images:
    """Read the file and give every product its vector.

    The width is that of most rows. Of several rows of one product the last one counts, as in the products table.

    Args:
        config: which file and columns.
        ids: the products.
        digest: `images_digest` of the file.

    Raises:
        EncoderError: it is no Parquet file, lacks a column, or no row of it has a vector of a product.
    """
    file = _open(config)
    width = _usual_width(file, config)
    matrix = np.zeros((len(ids), width), np.float32)
    holder = np.full(len(ids), -1)  # the row of the file whose vector a product has
    names: list[pa.Array] = []
    rules: list[NDArray[np.int8]] = []
    begin = 0
    for batch in _batches(file, config):
        names.append(_clean_ids(batch.column(0)))
        products = ids.rows(names[-1])
        rule, vectors = _judge(batch.column(1), names[-1], products, width)
        fit = np.flatnonzero(rule < 0)
        matrix[products[fit]] = vectors[fit]
        rules.append(rule)
        _replace_earlier(holder, rules, products[fit], begin + fit)
        begin += len(batch)
    return _account(config, digest, matrix, holder, names, rules)


def _open(config: ImageConfig) -> pq.ParquetFile:
    where = config.file
    try:
        file = pq.ParquetFile(where)
    except (OSError, pa.ArrowInvalid) as error:
        what = "the vectors of the pictures are no Parquet file that can be read"
        raise EncoderError(what, where, "write it with pandas or pyarrow: a column of ids, one of vectors") from error
    for key, name in (("id_column", config.id_column), ("vector_column", config.vector_column)):
        if name not in file.schema_arrow.names:
            found = ", ".join(file.schema_arrow.names)
            raise EncoderError(f"there is no column {name!r}; there are {found}", where, f"set {_KEY}.{key}")
    kind = file.schema_arrow.field(config.vector_column).type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not listed or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        what = f"the column {config.vector_column!r} holds {kind}, not lists of numbers"
        raise EncoderError(what, where, f"write vectors as lists, or set {_KEY}.vector_column")
    return file


def _batches(file: pq.ParquetFile, config: ImageConfig) -> Iterator[pa.RecordBatch]:
    """The two columns, vectors as lists of float32 whatever they were."""
    columns = [config.id_column, config.vector_column]
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
        vectors = batch.column(config.vector_column)
        numbers = vectors.cast(pa.large_list(vectors.type.value_type)).cast(pa.large_list(pa.float32()), safe=False)
        yield pa.RecordBatch.from_arrays([batch.column(config.id_column), numbers], names=["id", "vector"])


def _usual_width(file: pq.ParquetFile, config: ImageConfig) -> int:
    """Numbers of most vectors; of two widths that are as frequent the larger one."""
    found: Counter[int] = Counter()
    for batch in _batches(file, config):
        found.update(pc.list_value_length(batch.column(1)).drop_null().to_pylist())
    del found[0]
    if not found:
        raise EncoderError("no row has a vector", config.file, f"correct the file, or leave {_KEY}.file out")
    return max(found, key=lambda width: (found[width], width))


def _clean_ids(column: pa.Array) -> pa.Array:
    """Ids as the products' own were cleaned: trimmed, in NFC, null where they are missing."""
    texts = column.cast(pa.large_string()).to_pylist()
    clean = [None if text is None else unicodedata.normalize("NFC", text.strip()) for text in texts]
    known = [None if text is None or text.casefold() in MISSING else text for text in clean]
    return pa.array(known, pa.large_string())


def _judge(
    vectors: pa.LargeListArray, names: pa.Array, products: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The rule that sets each row aside, -1 where none does, and the vectors of length one, zero elsewhere."""
    n = len(vectors)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(vectors), 0).to_numpy(zero_copy_only=False))
    right = lengths == width
    out = np.zeros((n, width), np.float32)
    whole = vectors.filter(pa.array(right)).flatten()
    out[right] = np.asarray(whole.to_numpy(zero_copy_only=False), np.float32).reshape(-1, width)
    finite = np.isfinite(out).all(1)
    out[~finite] = 0
    norm = np.linalg.norm(out.astype(np.float64), axis=1)
    out /= np.where(norm > 0, norm, 1).astype(np.float32)[:, None]
    broken = {
        "no_id": ~np.asarray(names.is_valid()),
        "unknown_product": products < 0,
        "no_vector": lengths == 0,
        "wrong_width": ~right,
        "not_a_number": ~finite,
        "zero_vector": norm == 0,
    }
    rule = np.select(list(broken.values()), [RULES.index(name) for name in broken], -1)
    return rule.astype(np.int8), out


def _replace_earlier(
    holder: NDArray[np.int64], rules: list[NDArray[np.int8]], products: NDArray[np.int64], rows: NDArray[np.int64]
) -> None:
    """Give products to `rows`, in their order; whoever had one before is set aside as repeated."""
    repeated = RULES.index("repeated")
    starts = np.cumsum([0, *(len(rule) for rule in rules)])
    _, last = np.unique(products[::-1], return_index=True)
    keeps = np.zeros(len(products), np.bool_)
    keeps[len(products) - 1 - last] = True
    before = holder[products[keeps]]
    for row in np.concatenate([rows[~keeps], before[before >= 0]]).tolist():
        part = int(np.searchsorted(starts, row, side="right")) - 1
        rules[part][row - starts[part]] = repeated
    holder[products[keeps]] = rows[keeps]


def _account(
    config: ImageConfig,
    digest: str,
    matrix: NDArray[np.float32],
    holder: NDArray[np.int64],
    names: list[pa.Array],
    rules: list[NDArray[np.int8]],
) -> Images:
    rule, every = np.concatenate(rules), pa.chunked_array(names, pa.large_string())
    aside, there = np.flatnonzero(rule >= 0), holder >= 0
    counts = {name: int((rule == n).sum()) for n, name in enumerate(RULES) if (rule == n).any()}
    if not there.any():
        why = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        what = f"none of the {len(rule):,} rows has a vector of a product ({why})"
        raise EncoderError(what, config.file, f"its {config.id_column!r} must be the ids of the products table")
    if len(rule) != int(there.sum()) + len(aside):
        raise AssertionError("a row of the file is unaccounted for")
    said = {
        "file": Path(config.file).name, "digest": digest, "width": matrix.shape[1], "rows": len(rule),
        "products": int(there.sum()), "without": int((~there).sum()), "set_aside": counts,
    }  # fmt: skip
    table = pa.table(
        {
            "row": pa.array(aside + 1),
            "product_id": every.take(pa.array(aside)),
            "rule": pa.array([RULES[n] for n in rule[aside]], pa.string()),
        }
    )
    return Images(matrix, there, said, table)
