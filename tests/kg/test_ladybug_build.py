from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import ladybug
import pytest

from ingest import memory
from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.ladybug_store import build as build_module
from kg.ladybug_store import copying
from kg.ladybug_store.store import LadybugStore
from kg.snapshot_read import read_snapshot
from kg.stores import GraphFiles

PROGRESS = SilentProgress()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_build_leaves_one_file(small_graph: GraphFiles, tmp_path: Path) -> None:
    with LadybugStore(tmp_path / "graph.lbug") as store:
        store.load(small_graph, PROGRESS)
        assert store.built() == small_graph.fingerprint
    assert names(tmp_path) == ["graph.lbug"]


def test_an_interrupted_build_leaves_the_old_graph(
    small_graph: GraphFiles, rich_graph: GraphFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with LadybugStore(tmp_path / "graph.lbug") as store:
        store.load(small_graph, PROGRESS)
        with monkeypatch.context() as patch:
            patch.setattr(build_module, "_check_counts", interrupt)
            with pytest.raises(KeyboardInterrupt):
                store.load(rich_graph, PROGRESS)
        assert store.built() == small_graph.fingerprint
        assert store.counts()["Product"] == 1
        assert names(tmp_path) == ["graph.lbug"]
        assert store.load(rich_graph, PROGRESS)
        assert store.counts()["Product"] == 120


def test_a_killed_build_is_simply_run_again(rich_graph: GraphFiles, tmp_path: Path) -> None:
    path = tmp_path / "graph.lbug"
    code = """
import os, pickle, signal, sys
from pathlib import Path
from ingest.progress import SilentProgress
from kg.ladybug_store import build
build._check_counts = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
build.build(Path(sys.argv[1]), pickle.loads(sys.stdin.buffer.read()), SilentProgress())
"""
    import pickle

    killed = subprocess.run([sys.executable, "-c", code, str(path)], input=pickle.dumps(rich_graph), check=False)
    assert killed.returncode == -9
    assert not path.exists()
    assert [n.startswith("graph.lbug.building-") for n in names(tmp_path)].count(True) >= 1
    with LadybugStore(path) as store:
        assert store.built() is None
        assert store.load(rich_graph, PROGRESS)
        assert store.counts()["User"] == next(n.rows for n in rich_graph.nodes if n.label == "User")
    assert names(tmp_path) == ["graph.lbug"]


def test_the_files_of_a_build_that_still_runs_stay(small_graph: GraphFiles, tmp_path: Path) -> None:
    running = tmp_path / f"graph.lbug.building-{os.getppid()}"
    dead = tmp_path / "graph.lbug.building-999999999"
    running.touch()
    dead.touch()
    with LadybugStore(tmp_path / "graph.lbug") as store:
        store.load(small_graph, PROGRESS)
    assert names(tmp_path) == ["graph.lbug", running.name]


def test_a_log_of_the_old_file_is_not_replayed(small_graph: GraphFiles, tmp_path: Path) -> None:
    (tmp_path / "graph.lbug.wal").write_bytes(b"left by a crash")
    with LadybugStore(tmp_path / "graph.lbug") as store:
        store.load(small_graph, PROGRESS)
        assert store.built() == small_graph.fingerprint


def test_wrong_counts_are_noticed(small_graph: GraphFiles, tmp_path: Path) -> None:
    nodes = tuple(replace(n, rows=2) if n.label == "User" else n for n in small_graph.nodes)
    with LadybugStore(tmp_path / "graph.lbug") as store, pytest.raises(GraphError, match="holds 1 User, the files 2"):
        store.load(replace(small_graph, nodes=nodes), PROGRESS)
    assert names(tmp_path) == []


def test_a_file_that_is_no_database_is_named_and_kept(small_graph: GraphFiles, tmp_path: Path) -> None:
    path = tmp_path / "diary.txt"
    path.write_text("this is not a database\n" * 1000)
    with LadybugStore(path) as store:
        for use in (store.labels, lambda: store.load(small_graph, PROGRESS)):
            with pytest.raises(GraphError, match=r"no database that can be opened.*diary\.txt.*name another file"):
                use()
    assert path.read_text().startswith("this is not a database\n")


def test_a_database_of_others_is_kept(small_graph: GraphFiles, tmp_path: Path) -> None:
    path = tmp_path / "graph.lbug"
    with ladybug.Database(path) as database, ladybug.Connection(database) as connection:
        connection.execute("CREATE NODE TABLE Batch(id STRING PRIMARY KEY, build STRING)")
    with LadybugStore(path) as store, pytest.raises(GraphError, match="not written by shopgraph"):
        store.load(small_graph, PROGRESS)


def test_a_reader_sees_what_another_process_built(
    small_graph: GraphFiles, rich_graph: GraphFiles, tmp_path: Path
) -> None:
    path = tmp_path / "graph.lbug"
    with LadybugStore(path) as reader, LadybugStore(path) as writer:
        writer.load(small_graph, PROGRESS)
        assert reader.counts()["Product"] == 1
        before = reader.build_counter()
        writer.load(rich_graph, PROGRESS)
        assert reader.counts()["Product"] == 120
        assert reader.build_counter() != before


def test_a_folder_that_cannot_be_made_is_an_error(small_graph: GraphFiles, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with LadybugStore(tmp_path / "file" / "graph.lbug") as store, pytest.raises(GraphError, match="cannot write"):
        store.load(small_graph, PROGRESS)


def test_files_too_large_for_the_memory_are_copied_in_pieces(
    rich_graph: GraphFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LadybugStore(tmp_path / "whole.lbug") as store:
        store.load(rich_graph, PROGRESS)
        whole = read_snapshot(store, PROGRESS, everything=True).fingerprint
    copied: list[str] = []
    literal = copying.copy_literal
    monkeypatch.setattr(copying, "copy_literal", lambda path: copied.append(path.name) or literal(path))
    monkeypatch.setattr(copying, "machine_memory", lambda: 0)
    monkeypatch.setattr(copying, "_ROW_BYTES", copying.LEAST_POOL_BYTES // 300)
    with LadybugStore(tmp_path / "pieces.lbug") as store:
        store.load(rich_graph, PROGRESS)
        assert read_snapshot(store, PROGRESS, everything=True).fingerprint == whole
    pieces = [-(-e.rows // 300) for e in rich_graph.edges if e.rows > 300]
    assert sum(name.endswith(".piece.parquet") for name in copied) == sum(pieces) > len(pieces)
    assert names(tmp_path) == ["pieces.lbug", "whole.lbug"]


def test_the_pool_grows_with_the_file_up_to_half_of_the_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 4 << 20}[name])
    monkeypatch.setattr(memory, "_CGROUP_LIMIT", tmp_path / "none")
    assert copying.pool_bytes(1_000) == 2 << 30
    assert copying.pool_bytes(4_000_000) == 4_000_000 * 820
    assert copying.pool_bytes(100_000_000) == 8 << 30  # half of 16 GiB
    for text, most in (("max\n", 8 << 30), (f"{6 << 30}\n", 3 << 30), (f"{1 << 30}\n", 2 << 30)):
        (tmp_path / "none").write_text(text)
        assert copying.pool_bytes(100_000_000) == most
