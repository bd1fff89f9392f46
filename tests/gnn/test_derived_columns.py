"""Labels are made of all events, those of the test period included: no model and no text may read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from encoders.product_text import product_texts
from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.evaluation.evaluate import evaluate
from gnn.model.training import train
from ingest.config_dict import from_dict
from ingest.contract import DERIVED, Kind, derived_names
from ingest.progress import SilentProgress
from kg.snapshot import NodeTable, Snapshot

ROOT = Path(__file__).parents[2]
TABLES = {"users": "User", "products": "Product"}


def labelled(snapshot: Snapshot) -> Snapshot:
    """The graph with every derived column, full of telling values."""
    rng = np.random.default_rng(13)
    nodes = dict(snapshot.nodes)
    for table, columns in DERIVED.items():
        node = nodes[TABLES[table]]
        n, found = len(node), node.columns
        for column in columns:
            values: Any = {
                Kind.BOOLEAN: lambda n=n: pa.array(rng.random(n) < 0.5),
                Kind.FLOAT: lambda n=n: pa.array(rng.random(n) * 1000),
                Kind.INTEGER: lambda n=n: pa.array(rng.integers(0, 99, n)),
                Kind.TEXT: lambda n=n: pa.array([f"tea {v}" for v in rng.integers(0, 5, n)], pa.large_string()),
            }[column.kind]()
            found = found.append_column(column.name, values) if found.num_columns else pa.table({column.name: values})
        nodes[TABLES[table]] = NodeTable(node.ids, found)
    return Snapshot(nodes, snapshot.edges)


def constants(room: str) -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.name, node.value


def test_training_and_evaluation_are_the_same_with_and_without(
    bundle_folder: Path, shop: Snapshot, text: NDArray[np.float32], config: GnnConfig, tmp_path: Path
) -> None:
    other = labelled(shop)
    assert {c.name for c in DERIVED["users"]} <= set(other.nodes["User"].columns.column_names)
    train(other, text, config, tmp_path / "eval", SilentProgress(), refit=True)
    for stage in ("eval", "live"):
        ours, theirs = tmp_path / stage, bundle_folder.parent / stage
        names = {p.relative_to(theirs).as_posix() for p in theirs.rglob("*") if p.is_file()}
        assert names == {p.relative_to(ours).as_posix() for p in ours.rglob("*") if p.is_file()}
        weights = [n for n in names if n.endswith((".safetensors", ".npz", ".npy", ".parquet", ".arrow"))]
        assert weights
        for name in weights:
            assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    with_labels = evaluate(tmp_path / "eval", other, text, SilentProgress())
    assert with_labels == evaluate(bundle_folder, shop, text, SilentProgress())


def test_texts_are_the_same_with_and_without(shop: Snapshot) -> None:
    texts = product_texts(shop)
    assert len(set(texts)) > 10
    assert product_texts(labelled(shop)) == texts


@pytest.mark.parametrize("room", ["encoders", "gnn"])
def test_no_code_of_models_names_a_derived_column(room: str) -> None:
    derived = {name for table in DERIVED for name in derived_names(table)}
    found = [(file, value) for file, value in constants(room) if value in derived]
    assert found == []


def test_users_of_an_evaluation_are_not_grouped_by_labels() -> None:
    with pytest.raises(GnnError, match=r"'label_segment': it is made of all events, .*eval\.user_groups"):
        from_dict(GnnConfig, {"eval": {"user_groups": ["income", "label_segment"]}}, "test")
