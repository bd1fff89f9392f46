"""A shop that brings vectors of its pictures: encoded, said, trained with, and refused in one line if wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

Run = Callable[..., subprocess.CompletedProcess[str]]


class Shop(Protocol):
    tables: Path
    workspace: Path


def test_pictures_from_the_workspace_to_the_model(run: Run, shop: Shop, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(shop.workspace, work)
    vectors = np.random.default_rng(2).normal(size=(32, 5)).astype(np.float32)
    vectors[3, 2] = np.nan
    ids = [f"p{n:02d}" for n in range(30)] + ["gone", "other"]
    pd.DataFrame({"sku": ids, "vector": list(vectors)}).to_parquet(work / "pictures.parquet")
    (work / "shopgraph.toml").write_text('[encode.images]\nfile = "pictures.parquet"\n')

    wrong = run("encode", "--workspace", str(work))
    assert wrong.returncode == 1
    assert wrong.stderr.strip().splitlines()[-1].startswith("error: there is no column 'product_id'; there are sku, v")

    with (work / "shopgraph.toml").open("a") as file:
        file.write('id_column = "sku"\n')
    done = run("encode", "--workspace", str(work))
    assert done.returncode == 0, done.stderr
    assert "29 of 40 products have a picture, 5 numbers each: pictures.parquet" in done.stderr
    assert "3 of its 32 rows are set aside (unknown_product 2, not_a_number 1)" in done.stderr
    said = json.loads(run("encode", "--json", "--workspace", str(work)).stdout)
    assert said["reused"]
    assert [block["width"] for block in said["blocks"]] == [384, 5, 1]
    assert (said["images"]["products"], said["images"]["without"]) == (29, 11)

    before = json.loads((work / "model" / "eval" / "bundle.json").read_text())
    assert before["config"]["models"]["text"]["width"] == 0
    refused = run("recommend", "--user", "u00", "--workspace", str(work))
    assert refused.returncode == 0, refused.stderr  # the same graph: what was trained scores without the vectors
    quick = ["--set", "train.epochs=2", "--set", "eval.bootstrap=50"]
    trained = run("train", "--workspace", str(work), *quick)
    assert trained.returncode == 0, trained.stderr
    head = json.loads((work / "model" / "eval" / "bundle.json").read_text())
    assert head["parts"]["network"]["text_width"] == 390
    assert head["config"]["models"]["text"]["width"] == 384
    found = run("search", "tea", "--json", "--workspace", str(work))
    assert found.returncode == 0, found.stderr
    assert all("tea" in hit["title"] for hit in json.loads(found.stdout)["hits"][:5])
    assert "by words alone" not in found.stderr
