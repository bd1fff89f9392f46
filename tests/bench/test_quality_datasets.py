"""A data set's workspace: built once, gone on with after an interruption, built anew for other raw files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data import contract_folder
from bench.quality import datasets
from bench.quality.datasets import DATA, DataSet, place, prepare, standing
from bench.quality.protocols import PROTOCOLS
from ingest.contract import DERIVED, derived_names
from shopgraph import stations

EVENTS = pd.DataFrame(
    {
        "user_id": ["u1", "u1", "u1", "u2", "u2", "u2"],
        "product_id": ["a", "b", "c", "b", "c", "a"],
        "event": "purchase",
        "sequence": [0, 1, 2, 0, 1, 2],
        "split": ["train", "valid", "test"] * 2,
    }
)


@pytest.fixture
def shop(tmp_path: Path) -> DataSet:
    raw = tmp_path / "raw.csv"
    EVENTS.to_csv(raw, index=False)

    def write(out: Path, _cache: Path) -> Path:
        written.append(out)
        return contract_folder.write_tables(out, {"events": pd.read_csv(raw)})

    written: list[Path] = []
    return DataSet(
        "small",
        lambda: [raw],
        contract_folder,
        write,
        groups=lambda contract: pd.read_parquet(contract / "events.parquet", columns=["user_id"]).drop_duplicates(),
        cold=lambda _: {"b", "not in the graph"},
    )


def fails(*_: Any, **__: Any) -> Any:
    raise AssertionError("it was built again")


def test_a_workspace_is_built_once(shop: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    assert standing(shop, cache) is None
    first = prepare(shop, cache=cache)
    assert first.snapshot.nodes["Product"].ids.ids.to_pylist() == ["a", "b", "c"]
    assert len(first.snapshot.edges["User", "PURCHASED", "Product"]) == 6
    assert (first.vectors, first.vectors_digest) == (None, "")
    np.testing.assert_array_equal(first.cold, [False, True, False])
    assert first.groups is not None
    assert first.groups["user_id"].tolist() == ["u1", "u2"]
    # figures must stay comparable: nothing that is derived or inferred is in the graph
    derived = {name for table in DERIVED for name in derived_names(table)}
    for label in ("User", "Product"):
        assert derived.isdisjoint(first.snapshot.nodes[label].columns.column_names)
    monkeypatch.setattr(stations, "build", fails)
    monkeypatch.setattr(datasets, "_build", fails)
    for again in (prepare(shop, cache=cache), standing(shop, cache)):
        assert again is not None
        assert again.snapshot.fingerprint == first.snapshot.fingerprint


def test_an_interrupted_build_is_gone_on_with(shop: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stations, "shape_graph", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(shop, cache=cache)
    assert (place(shop, cache) / "workspace" / "tables" / "events.parquet").exists()
    assert standing(shop, cache) is None
    untouched = replace(shop, write=fails)  # the contract folder stands already
    assert len(prepare(untouched, cache=cache).snapshot.edges["User", "PURCHASED", "Product"]) == 6
    assert standing(shop, cache) is not None


def test_other_raw_files_are_another_workspace(shop: DataSet, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = place(shop, cache)
    raw = next(iter(shop.files()))
    raw.write_text(raw.read_text().replace("u2", "u3"))
    assert place(shop, cache) != before
    assert place(replace(shop, name="other"), cache) != place(shop, cache)


def test_every_protocol_has_its_data_set() -> None:
    assert {protocol.data for protocol in PROTOCOLS.values()} == set(DATA)
    assert all(data.like in {"", *DATA} for data in DATA.values())
