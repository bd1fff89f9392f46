"""A very small random model on disk, and small hand-made snapshots."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*MARKS, "green", "black", "tea", "coffee", "dark", "milk", "ml", *".,>123"]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers and 16 numbers with random weights, saved as sentence-transformers lays it out."""
    folder = tmp_path_factory.mktemp("tiny-model")
    torch.manual_seed(11)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
    # wide weights: texts come out far apart
    config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=24, initializer_range=0.5, **size)
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return folder


def _edges(src: list[int], dst: list[int]) -> EdgeTable:
    columns = pa.table({"x": pa.nulls(len(src))}).drop_columns(["x"])
    return EdgeTable(np.array(src, np.int64), np.array(dst, np.int64), columns)


@pytest.fixture
def make_shop() -> Callable[..., Snapshot]:
    """Builds a snapshot from product columns, brand names, category ids and (product, other) pairs."""

    def make(
        columns: dict[str, list[str | None]],
        brands: list[str] | None = None,
        made_by: list[tuple[int, int]] | None = None,
        categories: list[str] | None = None,
        in_category: list[tuple[int, int]] | None = None,
    ) -> Snapshot:
        count = len(next(iter(columns.values())))
        products = IdMap.of([f"p{i:02d}" for i in range(count)])
        table = pa.table({k: pa.array(v, pa.large_string()) for k, v in columns.items()})
        names, paths = brands or [], categories or []
        brand_ids = IdMap.of([f"b{i:02d}" for i in range(len(names))])
        category_ids = IdMap.of(paths)
        assert category_ids.ids.to_pylist() == paths, "give categories in order"
        nodes = {
            "Product": NodeTable(products, table),
            "Brand": NodeTable(brand_ids, pa.table({"name": pa.array(names, pa.large_string())})),
            "Category": NodeTable(
                category_ids, pa.table({"name": pa.array([p.split(" > ")[-1] for p in paths], pa.large_string())})
            ),
        }
        edges = {
            ("Product", "MADE_BY", "Brand"): _edges(
                *map(list, zip(*(made_by or []), strict=True)) if made_by else ([], [])
            ),
            ("Product", "IN_CATEGORY", "Category"): _edges(
                *map(list, zip(*(in_category or []), strict=True)) if in_category else ([], [])
            ),
        }
        return Snapshot(nodes, edges)

    return make
