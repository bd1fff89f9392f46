"""`graph-build --offline` where no server of ours runs; tests/kg has the import itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    rows = ["user_id,product_id,event", *(f"u{n % 3},p{n},view" for n in range(7))]
    (tmp_path / "shop" / "events.csv").write_text("\n".join(rows))
    return tmp_path / "shop"


def test_a_server_of_ones_own_is_told_the_command(run: Run, source: Path, tmp_path: Path) -> None:
    words = ["graph-build", str(source), "--workspace", str(tmp_path / "w"), "--offline"]
    words += ["--store", "bolt://127.0.0.1:1"]  # nothing answers there: it may be stopped for the import
    elsewhere = {"SHOPGRAPH_STATE": str(tmp_path / "state")}
    done = run(*words, environment=elsewhere)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "w" / "import"
    assert f"cd {folder} && neo4j-admin database import full neo4j @import.args" in done.stdout
    assert "run this graph-build again without --offline" in " ".join(done.stderr.split())
    arguments = (folder / "import.args").read_text().split()
    assert "--relationships=VIEWED=User.VIEWED.Product.header.csv,User.VIEWED.Product.csv" in arguments
    products = (folder / "Product.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in products] == [[f'"p{n}"', "true"] for n in range(7)]
    assert (folder / "Product.header.csv").read_text().startswith("id:ID(Product),recommendable:boolean")
    assert "store" not in json.loads((tmp_path / "w" / "workspace.json").read_text())
    report = json.loads(run(*words, "--json", environment=elsewhere).stdout)
    assert report["command"] == f"cd {folder} && neo4j-admin database import full neo4j @import.args"
    assert (report["loaded"], report["counts"]) == (False, {})


def test_the_embedded_store_needs_no_importer(run: Run, source: Path, tmp_path: Path) -> None:
    done = run("graph-build", str(source), "--workspace", str(tmp_path / "w"), "--offline")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "the embedded store is loaded from files anyway" in line
    assert "without --offline" in line
