"""Runs written into either store: whole, one at a time, again and again, and after a kill at any point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.query_library import run_query
from kg.runs import (
    Run,
    RunContent,
    RunFiles,
    archive_run,
    content_hashes,
    current_run,
    for_graph,
    forget_runs,
    list_runs,
    read_run,
)
from kg.snapshot_read import read_snapshot
from kg.stores import GraphFiles, Store, open_store

QUIET = SilentProgress()
ROOT = Path(__file__).parents[2]
USERS = [f"u{n:02d}" for n in range(40)]
PRODUCTS = [f"p{n:03d}" for n in range(120)]


def make_run(archive: Path, name: str, *, shift: int = 0, users: Sequence[str] = USERS, width: int = 4) -> RunFiles:
    """Three products for each user, the next product for each product; `shift` changes all of it."""
    rows = [(u, PRODUCTS[(3 * n + rank + shift) % 120], rank) for n, u in enumerate(users) for rank in (1, 2, 3)]
    source, target, rank = (list(column) for column in zip(*rows, strict=True))
    recommended = pa.table(
        {
            "source": source,
            "target": target,
            "rank": rank,
            "score": [1 / r for r in rank],
            "reason_kind": ["bought-before"] * len(rows),
            "reason": [f"You bought it in {name}"] * len(rows),
            "evidence": [[u, p, 'a "quoted", id'] for u, p, _ in rows],
        }
    )
    similar = pa.table(
        {
            "source": PRODUCTS,
            "target": [PRODUCTS[(n + 1 + shift) % 120] for n in range(120)],
            "rank": [1] * 120,
            "score": [0.5] * 120,
        }
    )
    vectors = None if not width else np.random.default_rng(shift).normal(size=(120, width)).astype(np.float32)
    run = Run(
        name, datetime(2024, 5, 1, shift % 24, tzinfo=UTC), "fused", "1", '{"k": 3}', "{}",
        None if shift else datetime(2024, 4, 1, tzinfo=UTC), "f" * 64,
    )  # fmt: skip
    return archive_run(archive, run, RunContent([recommended], [similar], pa.array(PRODUCTS), vectors))


def shown(store: Store) -> tuple[str | None, set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """The current run, and every RECOMMENDED and SIMILAR of a plain MATCH, whichever run they are of."""
    recommended = store.run(
        "MATCH (u:User)-[r:RECOMMENDED]->(p:Product) RETURN u.id, p.id, r.rank, r.score, r.reason_kind, r.reason, "
        "r.evidence, r.run",
        {},
    ).rows
    similar = store.run("MATCH (a:Product)-[r:SIMILAR]->(b:Product) RETURN a.id, b.id, r.rank, r.score, r.run", {}).rows
    hashable = {tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in recommended}
    assert len(hashable) == len(recommended)
    return current_run(store), hashable, {tuple(row) for row in similar}


def expected(files: RunFiles) -> tuple[str, set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    import pyarrow.parquet as pq

    names = ["source", "target", "rank", "score", "reason_kind", "reason", "evidence", "run"]
    tables = [pq.read_table(edge.path).to_pylist() for edge in files.edges]
    recommended = {tuple(tuple(row[n]) if n == "evidence" else row[n] for n in names) for row in tables[0]}
    return (
        files.run.id,
        recommended,
        {tuple(r[n] for n in ("source", "target", "rank", "score", "run")) for r in tables[1]},
    )


def test_one_run_after_another(store: Store, rich_graph: GraphFiles, tmp_path: Path) -> None:
    store.load(rich_graph, QUIET)
    before = read_snapshot(store, QUIET).fingerprint
    first, second = make_run(tmp_path, "one"), make_run(tmp_path, "two", shift=7, width=3)
    counters = [store.build_counter()]
    for files in (first, second, first):
        assert store.publish(files, QUIET)
        assert shown(store) == expected(files)
        counters.append(store.build_counter())
        assert not store.publish(files, QUIET)  # it is there already
        assert store.build_counter() == counters[-1]
        assert shown(store) == expected(files)
        assert read_snapshot(store, QUIET).fingerprint == before  # nothing of a run is training's
    assert len(set(counters)) == 4
    nodes = store.run(
        "MATCH (r:Run) RETURN r.id, r.current, r.created, r.cutoff, r.model, r.config, r.fingerprint ORDER BY r.id", {}
    )
    assert nodes.rows == [
        ["one", True, first.run.created, first.run.cutoff, "fused", '{"k": 3}', "f" * 64],
        ["two", False, second.run.created, None, "fused", '{"k": 3}', "f" * 64],
    ]
    assert store.counts()["Batch"] == (1 if "://" not in store.url else store.counts()["Batch"])


def test_a_rebuild_of_the_same_graph_keeps_the_run_and_of_another_does_not(
    store: Store, rich_graph: GraphFiles, small_graph: GraphFiles, tmp_path: Path
) -> None:
    store.load(rich_graph, QUIET)
    files = make_run(tmp_path, "one")
    store.publish(files, QUIET)
    assert not store.load(rich_graph, QUIET)
    assert shown(store) == expected(files)
    assert store.load(small_graph, QUIET)
    assert shown(store) == (None, set(), set())
    assert store.load(rich_graph, QUIET)
    assert store.publish(files, QUIET)
    assert shown(store) == expected(files)


def test_the_librarys_queries_answer_of_the_current_run_alone(
    store: Store, rich_graph: GraphFiles, tmp_path: Path
) -> None:
    store.load(rich_graph, QUIET)
    assert run_query(store, "recommendations", ["user=u03"]).rows == []
    files = make_run(tmp_path, "one")
    store.publish(files, QUIET)
    rows = run_query(store, "recommendations", ["user=u03"]).rows
    assert [(row[0], row[1]) for row in rows] == [(1, "p010"), (2, "p011"), (3, "p012")]
    assert rows[0][5] == "You bought it in one"
    assert [row[:2] for row in run_query(store, "similar_products", ["product=p119"]).rows] == [[1, "p000"]]


def test_an_end_that_the_graph_has_not(store: Store, rich_graph: GraphFiles, tmp_path: Path) -> None:
    store.load(rich_graph, QUIET)
    good = make_run(tmp_path, "good")
    store.publish(good, QUIET)
    bad = make_run(tmp_path, "bad", users=[*USERS[:5], "who"])
    with pytest.raises(GraphError, match=r"did not find both|publishing failed|holds"):
        store.publish(bad, QUIET)
    assert current_run(store) == "good"
    fitted, left = for_graph(bad, read_snapshot(store, QUIET), tmp_path)
    assert left == 3
    assert store.publish(fitted, QUIET)
    assert current_run(store) == "bad"
    assert len(shown(store)[1]) == 15


def test_without_a_graph(store: Store, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"no (finished )?graph.*graph-build"):
        store.publish(make_run(tmp_path, "one"), QUIET)


def test_the_archive(tmp_path: Path) -> None:
    made = [make_run(tmp_path, f"run{n}", shift=n, width=n) for n in range(4)]
    assert [run.id for run in list_runs(tmp_path)] == ["run3", "run2", "run1", "run0"]
    assert read_run(tmp_path, "run2") == made[2]
    assert (made[0].vectors, made[3].vectors and (made[3].vectors.rows, made[3].vectors.width)) == (None, (120, 3))
    assert forget_runs(tmp_path, 1, "run1") == ["run2", "run0"]
    assert [run.id for run in list_runs(tmp_path)] == ["run3", "run1"]
    for name in ("run0", "../tmp", ".", ""):
        with pytest.raises(GraphError, match="there is no run"):
            read_run(tmp_path, name)
    (tmp_path / "run3" / "similar.parquet").write_bytes(b"PAR1")
    with pytest.raises(GraphError, match="'run3' is damaged"):
        read_run(tmp_path, "run3")


def test_hashes_name_the_content_of_a_vector() -> None:
    vectors = np.asarray([[1, 2], [1, 2], [2, 1]], np.float32)
    one, same, other = content_hashes(vectors)
    assert one == same != other
    assert content_hashes(vectors.astype(np.float64)) == [one, same, other]


KILLED = """
import os, signal, sys
from pathlib import Path
import {module} as module
from ingest.progress import SilentProgress
from kg.runs import read_run
from kg.stores import open_store
left = int(sys.argv[4])
def deadly(function):
    def call(*words, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*words, **named)
    return call
{patches}
with open_store(sys.argv[1]) as store:
    store.publish(read_run(Path(sys.argv[2]), sys.argv[3]), SilentProgress())
"""
LADYBUG = (
    "kg.ladybug_store.publish",
    "\n".join(f"module.{name} = deadly(module.{name})" for name in ("edge_table", "load_edges", "check_edges"))
    + "\nimport kg.ladybug_store.replacing as replacing"
    + "\nreplacing.remove_side_files = deadly(replacing.remove_side_files)",
)
NEO4J = (
    "kg.neo4j_store.publish",
    "\n".join(
        [
            *(
                f"module.vectors.{name} = deadly(module.vectors.{name})"
                for name in ("prepare", "_set", "apply", "tidy")
            ),
            "module.ledger.write = deadly(module.ledger.write)",
            "module.edge_batches = deadly(module.edge_batches)",
            "module._count_other = deadly(module._count_other)",
            "import kg.neo4j_store.batches as batches; batches.BATCH_ROWS = 25",
        ]
    ),
)


@pytest.mark.parametrize("point", [0, 3, 6, 8, 11, 14, 17, 19, 21])
def test_killed_anywhere_readers_see_one_run_and_the_next_publish_ends_it(
    store_url: str, rich_graph: GraphFiles, tmp_path: Path, point: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = "://" not in store_url
    if embedded and point > 8:
        pytest.skip("the embedded store has fewer steps")
    old, new = make_run(tmp_path, "old"), make_run(tmp_path, "new", shift=5, width=3)
    with open_store(store_url) as store:
        store.load(rich_graph, QUIET)
        store.publish(old, QUIET)
    module, patches = LADYBUG if embedded else NEO4J
    if point % 2:  # the next publish writes batches of the killed one's size, or of another
        monkeypatch.setattr("kg.neo4j_store.batches.BATCH_ROWS", 25)
    script = KILLED.format(module=module, patches=patches)
    done = subprocess.run(
        [sys.executable, "-c", script, store_url, str(tmp_path), "new", str(point)], check=False, cwd=ROOT,
        capture_output=True, text=True, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    with open_store(store_url) as store:
        current = current_run(store)
        assert current == "new" if done.returncode == 0 else current in ("old", "new")
        wanted = {"old": old, "new": new}[str(current)]
        mine = {row for row in shown(store)[1] if row[-1] == current}
        assert mine == expected(wanted)[1]  # whole, whatever stands beside it
        store.publish(new, QUIET)
        assert shown(store) == expected(new)
        assert not store.publish(new, QUIET)
    if embedded:
        assert [p.name for p in Path(store_url).parent.iterdir() if p.name.startswith("graph.lbug")] == ["graph.lbug"]


def vectors_in(store: Store) -> tuple[Mapping[str, Any], dict[str, list[float]]]:
    run = store.run("MATCH (r:Run) WHERE r.current RETURN r.vector_property AS p, r.vector_index AS i", {}).rows[0]
    rows = store.run("MATCH (p:Product) RETURN p.id, p.vector_a, p.vector_b", {}).rows
    assert not any(row[1] and row[2] for row in rows)  # one property at a time
    return {"property": run[0], "index": run[1]}, {row[0]: row[1] or row[2] for row in rows if row[1] or row[2]}


@pytest.mark.neo4j
def test_vectors_in_neo4j(empty_neo4j: Any, rich_graph: GraphFiles, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    one, two = make_run(tmp_path, "one"), make_run(tmp_path, "two", shift=3)
    wide, none = make_run(tmp_path, "wide", shift=4, width=6), make_run(tmp_path, "none", shift=5, width=0)
    with open_store(empty_neo4j.url) as store:
        store.load(rich_graph, QUIET)
        for files in (one, two, wide, none, one):
            store.publish(files, QUIET)
            named, found = vectors_in(store)
            if files.vectors is None:
                assert (named, found) == ({"property": None, "index": None}, {})
                continue
            table = pq.read_table(files.vectors.path)
            wanted = dict(zip(table["id"].to_pylist(), table["vector"].to_pylist(), strict=True))
            assert found == wanted
            indexes = store.run("SHOW VECTOR INDEXES YIELD name, state RETURN name, state", {}).rows
            assert indexes == [[named["index"], "ONLINE"]]
            matrix = np.asarray([wanted[p] for p in PRODUCTS])
            unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
            order = np.argsort(-(unit @ unit[11]), kind="stable")
            nearest = [PRODUCTS[n] for n in order if n != 11][:5]
            rows = run_query(store, "similar_by_vector", ["product=p011", "k=5"]).rows
            assert [row[0] for row in rows] == nearest


@pytest.mark.neo4j
def test_only_changed_vectors_are_written(
    empty_neo4j: Any, rich_graph: GraphFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kg.neo4j_store import vectors

    one, two = make_run(tmp_path, "one"), make_run(tmp_path, "two")
    assert one.vectors and two.vectors
    written: list[int] = []
    plain = vectors._set

    def counted(tx: Any, name: str, ids: list[str], *rest: Any) -> None:
        written.append(len(ids))
        plain(tx, name, ids, *rest)

    monkeypatch.setattr(vectors, "_set", counted)
    with open_store(empty_neo4j.url) as store:
        store.load(rich_graph, QUIET)
        store.publish(one, QUIET)
        assert written == [120]
        store.publish(two, QUIET)  # the very same vectors
        assert written == [120]
        changed = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
        changed[[3, 50]] = 1
        three = archive_run(
            tmp_path, make_run(tmp_path, "three", shift=1).run, RunContent([], [], pa.array(PRODUCTS), changed)
        )
        store.publish(three, QUIET)
        assert written == [120, 2]
        assert vectors_in(store)[1]["p003"] == [1.0] * 4
