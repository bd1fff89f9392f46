"""The contract folder of a converter, opaque ids and the draw of cold products."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.contract_folder import is_cold, opaque, write_tables
from bench.data.source import ROOT, VARIABLE, raw
from ingest.errors import ShopgraphError


def test_an_older_folder_is_replaced_whole(tmp_path: Path) -> None:
    write_tables(tmp_path / "shop", {"events": pd.DataFrame({"a": [1]}), "triples": pd.DataFrame({"b": [1]})})
    write_tables(tmp_path / "shop", {"events": pd.DataFrame({"a": [2]})})
    assert [p.name for p in (tmp_path / "shop").iterdir()] == ["events.parquet"]
    assert pd.read_parquet(tmp_path / "shop" / "events.parquet")["a"].tolist() == [2]


def test_a_write_that_fails_leaves_the_older_folder_and_nothing_else(tmp_path: Path) -> None:
    write_tables(tmp_path / "shop", {"events": pd.DataFrame({"a": [1]})})
    with pytest.raises(AttributeError):
        write_tables(tmp_path / "shop", {"events": pd.DataFrame({"a": [2]}), "users": None})  # type: ignore[dict-item]
    assert pd.read_parquet(tmp_path / "shop" / "events.parquet")["a"].tolist() == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["shop"]


@given(st.lists(st.text(min_size=1, max_size=8), max_size=50))
def test_opaque_ids_are_one_to_one(ids: list[str]) -> None:
    found = opaque(ids, "p-", "salt")
    assert set(found) == set(ids)
    assert len(set(found.values())) == len(set(ids))


def test_opaque_ids_are_the_hash_of_salt_and_id() -> None:
    assert opaque(["7"], "p-", "salt") == {"7": "p-" + hashlib.sha256(b"salt:7").hexdigest()[:12]}


def test_opaque_ids_do_not_keep_the_order() -> None:
    ids = [str(n) for n in range(2000)]
    renamed = pd.Series(opaque(ids, "", "salt"))[ids]
    ascending = (renamed > renamed.shift())[1:].mean()
    assert 0.45 < ascending < 0.55


def test_a_tenth_is_cold_and_each_id_is_drawn_by_itself() -> None:
    ids = [f"p{n}" for n in range(20_000)]
    drawn = is_cold(ids)
    assert abs(drawn.mean() - 0.1) < 0.0085  # four standard errors
    np.testing.assert_array_equal(is_cold(ids[::-1]), drawn[::-1])
    assert (is_cold(ids, salt="another") != drawn).any()
    assert not is_cold(ids, share=0.0).any()
    assert is_cold(ids, share=1.0).all()


def test_raw_data_that_is_not_there_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ShopgraphError, match="raw data set is not here"):
        raw("lastfm-kg")
    (tmp_path / "lastfm-kg").mkdir()
    assert raw("lastfm-kg") == tmp_path / "lastfm-kg"


def test_a_command_without_the_raw_data_ends_with_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "bench.ablations", "lastfm-kg"]
    environment = {**os.environ, VARIABLE: str(tmp_path), "SHOPGRAPH_BENCH_CACHE": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert said == f"error: the raw data set is not here (shared/data/lastfm-kg); set {VARIABLE} to its parent"
    assert "Traceback" not in done.stderr
