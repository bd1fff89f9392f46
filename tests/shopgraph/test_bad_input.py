"""What a person can get wrong: one line that says what, where and what to do; exit code 1; nothing half-written."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


class Shop(Protocol):
    tables: Path
    workspace: Path


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 1 and one error line that holds the words; stations that ran before may stand above it."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: "), done.stderr
    assert "internal error" not in last
    for word in words:
        assert word in last, last


def copied(shop: Shop, folder: Path) -> Path:
    shutil.copytree(shop.tables, folder)
    return folder


def test_unknown_source(run: Run, tmp_path: Path) -> None:
    refused(run("graph-build", "no-such-shop", "--workspace", str(tmp_path / "w")), "no-such-shop", "complete-journey")


def test_missing_column(run: Run, shop: Shop, tmp_path: Path) -> None:
    tables = copied(shop, tmp_path / "t")
    text = (tables / "events.csv").read_text()
    (tables / "events.csv").write_text(text.replace("product_id", "sku", 1))
    done = run("graph-build", str(tables), "--workspace", str(tmp_path / "w"))
    refused(done, "events.csv", "product_id", "sku")
    assert not (tmp_path / "w" / "graph.lbug").exists()


def test_a_file_that_cannot_be_read(run: Run, shop: Shop, tmp_path: Path) -> None:
    tables = copied(shop, tmp_path / "t")
    (tables / "products.csv").unlink()
    (tables / "products.parquet").write_bytes(b"PAR1 but no more")
    refused(run("graph-build", str(tables), "--workspace", str(tmp_path / "w")), "products.parquet")


def test_wrong_types_cost_the_field_or_the_row_and_are_counted(run: Run, shop: Shop, tmp_path: Path) -> None:
    tables = copied(shop, tmp_path / "t")
    with (tables / "events.csv").open("a") as file:
        file.write("u00,p01,purchase,2024-03-01,many,o1\nu00,p01,purchase,soon,1,o2\n")
    done = run("graph-build", str(tables), "--json", "--workspace", str(tmp_path / "w"))
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)["quality"]["tables"]["events"]
    assert (account["rows_in"], account["quarantined"], account["mended"]) == (302, 1, 1)


def test_an_empty_table_builds_and_training_says_what_is_missing(run: Run, shop: Shop, tmp_path: Path) -> None:
    tables = copied(shop, tmp_path / "t")
    header = (tables / "events.csv").read_text().splitlines()[0]
    (tables / "events.csv").write_text(header + "\n")
    tail = ["--workspace", str(tmp_path / "w")]
    assert run("graph-build", str(tables), *tail).returncode == 0
    refused(run("train", *tail), "event")
    assert not (tmp_path / "w" / "model" / "eval").exists()


def test_commands_before_the_build_name_it(run: Run, tmp_path: Path) -> None:
    for words in (["encode"], ["train"], ["evaluate"], ["recommend", "--user", "1"], ["query", "--cypher", "RETURN 1"]):
        refused(run(*words, "--workspace", str(tmp_path / "none")), "graph-build")


def test_commands_before_training_name_it(run: Run, shop: Shop, tmp_path: Path) -> None:
    tail = ["--workspace", str(tmp_path / "w")]
    assert run("graph-build", str(shop.tables), *tail).returncode == 0
    for words in (["evaluate"], ["recommend", "--user", "u00"], ["similar", "--product", "p00"]):
        refused(run(*words, *tail), "train")


def test_a_store_that_is_down(run: Run, shop: Shop, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"neo4j://localhost:{probe.getsockname()[1]}"
        done = run("graph-build", str(shop.tables), "--store", url, "--workspace", str(tmp_path / "w"))
    refused(done, url, "neo4j start")


def test_an_unknown_kind_of_store(run: Run, shop: Shop, tmp_path: Path) -> None:
    done = run("graph-build", str(shop.tables), "--store", "mysql://x", "--workspace", str(tmp_path / "w"))
    refused(done, "mysql://x", "neo4j://")


@pytest.mark.neo4j
def test_a_wrong_password(run: Run, shop: Shop, neo4j_server: Any, tmp_path: Path) -> None:
    login = {"NEO4J_USERNAME": neo4j_server.username, "NEO4J_PASSWORD": "not-the-password"}
    words = ["graph-build", str(shop.tables), "--store", neo4j_server.url, "--workspace", str(tmp_path / "w")]
    done = run(*words, environment=login)
    refused(done, neo4j_server.url, "NEO4J_PASSWORD")
    assert "not-the-password" not in done.stderr


def test_a_workspace_that_cannot_be_written(run: Run, shop: Shop, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    # root may write anywhere but into a file system that is not one
    place = Path("/proc/shopgraph") if os.geteuid() == 0 else locked / "w"
    refused(run("graph-build", str(shop.tables), "--workspace", str(place)), str(place), "--workspace")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["recommend", "--user", "nobody"], "nobody"),
        (["explain", "--user", "nobody", "--product", "p01"], "nobody"),
        (["explain", "--user", "u00", "--product", "nothing"], "nothing"),
        (["similar", "--product", "nothing"], "nothing"),
        (["search", "tea", "--brand", "tea hose 1"], "'tea house 1'"),
        (["query", "no-such-query"], "no-such-query"),
        (["query", "--cypher", "MATCH (n) SET n.x = 1"], "SET"),
        (["query", "--cypher", "MATCH (n:Nowhere) RETURN n"], "Nowhere"),
        (["train", "--set", "train.epoch=1"], "epoch"),
        (["train", "--split", "sideways"], "sideways"),
        (["encode", "--set", "encode.model=./no-such-model"], "no-such-model"),
        (["recommend", "--users", "no-such-file.txt", "--out", "x.parquet"], "no-such-file.txt"),
    ],
)
def test_names_that_do_not_exist(run: Run, shop: Shop, words: list[str], named: str) -> None:
    refused(run(*words, "--workspace", str(shop.workspace)), named)


def test_a_model_of_another_graph(run: Run, shop: Shop, tmp_path: Path) -> None:
    tables = copied(shop, tmp_path / "t")
    for name in ("products.csv", "events.csv"):
        path = tables / name
        path.write_text(re.sub(r"(?m)(^|,)([pu])(\d\d)(?=,)", r"\1other-\2\3", path.read_text()))
    tail = ["--workspace", str(tmp_path / "w")]
    assert run("graph-build", str(tables), *tail).returncode == 0
    shutil.copytree(shop.workspace / "model", tmp_path / "w" / "model")
    refused(run("recommend", "--user", "other-u00", *tail), "train")


def test_a_failed_build_leaves_the_last_graph(run: Run, shop: Shop, tmp_path: Path) -> None:
    tables, tail = copied(shop, tmp_path / "t"), ["--workspace", str(tmp_path / "w")]
    assert run("graph-build", str(tables), *tail).returncode == 0
    (tables / "events.csv").write_bytes(b"")
    refused(run("graph-build", str(tables), *tail), "events.csv")
    counted = run("query", "--cypher", "MATCH (u:User) RETURN count(u) AS n", "--format", "csv", *tail)
    assert counted.stdout.split() == ["n", "30"]
