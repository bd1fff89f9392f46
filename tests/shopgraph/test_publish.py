"""`shopgraph publish` on a small shop, in either store."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pytest

from ingest.progress import SilentProgress
from kg.query_library import run_query
from kg.runs import RunContent, archive_run, list_runs
from kg.stores import Store, open_store
from shopgraph import stations
from shopgraph.publishing import PublishOptions, bring_back, publish, runs
from shopgraph.settings import load_settings
from shopgraph.workspace import Workspace

QUIET = SilentProgress()
Run = Callable[..., CompletedProcess[str]]
FEW = ["train.epochs=2", "eval.bootstrap=20", "train.threads=1"]


class Shop(Protocol):
    tables: Path
    workspace: Path


@pytest.fixture(params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def place(request: pytest.FixtureRequest, shop: Shop, tmp_path: Path) -> Iterator[Workspace]:
    """The small shop, built into the store and trained."""
    work = Workspace(shutil.copytree(shop.workspace, tmp_path / "work"))
    if request.param == "neo4j":
        server = request.getfixturevalue("empty_neo4j")
        stations.build(work, str(shop.tables), server.url, load_settings(work), QUIET)
    yield work


def opened(place: Workspace) -> Store:
    return open_store(place.store_url(None))


def test_published_lists_are_those_of_recommend_and_their_paths_are_in_the_graph(place: Workspace) -> None:
    from shopgraph.serving import load_model

    done = publish(place, None, PublishOptions(k=5, similar=4), QUIET)
    assert (done.written, done.recommended, done.similar) == (True, 150, 160)
    snapshot = stations.current_snapshot(place, None, QUIET)
    want = load_model(place, snapshot).recommend(None, 5)
    with opened(place) as store:
        rows = store.run("MATCH (u:User)-[r:RECOMMENDED]->(p:Product) RETURN u.id, r.rank, p.id, r.score", {}).rows
        assert sorted(map(tuple, rows)) == sorted(want.itertuples(index=False, name=None))
        for user in ("u00", "u07", "u29"):
            listed = store.run(
                "MATCH (:User {id: $u})-[r:RECOMMENDED]->(p:Product) RETURN p.id, r.reason_kind, r.evidence",
                {"u": user},
            ).rows
            kinds = {product: kind for product, kind, _ in listed}
            assert "same-category" in kinds.values()
            paths = run_query(store, "recommendation_paths", [f"user={user}"]).rows
            assert {row[1]: row[2] for row in paths} == {p: k for p, k in kinds.items() if k != "popular"}
            evidence = {product: nodes for product, _, nodes in listed}
            for _, product, _, had, via in paths:
                assert evidence[product][0] == user and evidence[product][1] == had
                assert not via or via in evidence[product]
        run = store.run("MATCH (r:Run) RETURN r.id, r.current, r.model, r.fingerprint", {}).rows
        assert run == [[done.run.id, True, "fused", snapshot.fingerprint]]


def test_again_and_back(place: Workspace) -> None:
    first = publish(place, None, PublishOptions(k=3), QUIET)
    counter = place.state()["snapshot"]
    again = publish(place, None, PublishOptions(k=3), QUIET)
    assert (again.run, again.written, place.state()["snapshot"]) == (first.run, False, counter)
    second = publish(place, None, PublishOptions(k=2, similar=0, vectors=False), QUIET)
    assert second.run.id != first.run.id
    assert [(r["run"], r["current"]) for r in runs(place, None)] == [(second.run.id, True), (first.run.id, False)]
    back = bring_back(place, None, first.run.id, QUIET)
    assert (back.written, back.recommended, back.run) == (True, 90, first.run)
    with opened(place) as store:
        assert store.counts()["RECOMMENDED"] == 90
        if store.capabilities.vector_index:
            assert len(run_query(store, "similar_by_vector", ["product=p03", "k=5"]).rows) == 5


def test_nothing_that_a_run_wrote_is_read_by_a_training(place: Workspace) -> None:
    """A planted run that says: everybody takes p00, everything is like p00, and all vectors are the same."""

    def trained() -> tuple[str, dict[str, str]]:
        snapshot = stations.current_snapshot(place, None, QUIET)
        stations.train(place, snapshot, load_settings(place, FEW), QUIET)
        files = sorted(place.model().glob("*.safetensors"))
        return snapshot.fingerprint, {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}

    before = trained()
    assert "part-network.safetensors" in before[1]
    snapshot = stations.current_snapshot(place, None, QUIET)
    users, products = (snapshot.nodes[label].ids.ids for label in ("User", "Product"))
    absurd = {"target": pa.array(["p00"] * len(users)), "rank": [1] * len(users), "score": [1e9] * len(users)}
    why = {
        "reason_kind": ["popular"] * len(users),
        "reason": ["so it is"] * len(users),
        "evidence": [["p00"]] * len(users),
    }
    alike = {"source": products[1:], "target": ["p00"] * 39, "rank": [1] * 39, "score": [1.0] * 39}
    real = publish(place, None, PublishOptions(k=3), QUIET).run
    planted = archive_run(
        place.runs,
        replace(real, id="canary"),
        RunContent(
            [pa.table({"source": users, **absurd, **why})], [pa.table(alike)], products, np.ones((40, 64), np.float32)
        ),
    )  # fmt: skip
    with opened(place) as store:
        assert store.publish(planted, QUIET)
        assert store.counts()["RECOMMENDED"] == 30
    shutil.rmtree(place.snapshot)
    assert trained() == before


def test_a_changed_graph_wants_a_training_and_older_runs_lose_what_is_gone(
    place: Workspace, shop: Shop, tmp_path: Path
) -> None:
    from shopgraph.errors import AppError

    first = publish(place, None, PublishOptions(k=3), QUIET)
    tables = shutil.copytree(shop.tables, tmp_path / "tables")
    events = (tables / "events.csv").read_text().splitlines()
    (tables / "events.csv").write_text("\n".join(line for line in events if not line.startswith("u07,")) + "\n")
    stations.build(place, str(tables), None, load_settings(place), QUIET)
    with opened(place) as store:
        assert store.counts()["RECOMMENDED"] == store.counts()["Run"] == 0
    with pytest.raises(AppError, match=r"the graph has changed since the model was trained .*run shopgraph train"):
        publish(place, None, PublishOptions(k=3), QUIET)
    back = bring_back(place, None, first.run.id, QUIET)
    assert (back.recommended, back.left_out) == (87, 3)
    stale = publish(place, None, PublishOptions(k=3, stale=True), QUIET)
    assert stale.run.id != first.run.id
    assert stale.recommended == 87
    assert not list(place.root.rglob(".run-*"))


def test_the_command(shop: Shop, tmp_path: Path, run: Run) -> None:
    work = shutil.copytree(shop.workspace, tmp_path / "work")
    words = ("--workspace", str(work))
    assert run("evaluate", "--set", "eval.bootstrap=20", *words).returncode == 0
    done = run("publish", "--k", "2", "--similar", "3", "--json", *words)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["recommended"], said["similar"], said["vectors"], said["written"]) == (60, 120, 0, True)
    listed = json.loads(run("publish", "--list", "--json", *words).stdout)
    assert [(row["run"], row["current"], row["config"]["publish"]["k"]) for row in listed] == [(said["run"], True, 2)]
    report = json.loads((work / "reports" / "evaluation.json").read_text())
    measured = report["tasks"]["new-product"]["recommenders"]["fused"]["metrics"]["ndcg@20"]["mean"]
    assert listed[0]["metrics"]["new-product"]["ndcg@20"] == measured
    shown = run("publish", "--list", *words)
    assert said["run"] in shown.stdout and f"{measured:.4f}" in shown.stdout
    assert len(list_runs(work / "runs")) == 1


def test_errors_are_one_line(shop: Shop, tmp_path: Path, run: Run) -> None:
    def fails(work: Any, *words: str) -> str:
        done = run("publish", *words, "--workspace", str(work))
        assert done.returncode == 1, done.stderr
        return done.stderr.strip().splitlines()[-1]

    assert fails(tmp_path / "none").startswith("error: there is no workspace")
    untrained = tmp_path / "untrained"
    assert run("graph-build", str(shop.tables), "--workspace", str(untrained)).returncode == 0
    assert fails(untrained).startswith("error: there is no model")
    assert fails(shop.workspace, "--run", "who").startswith("error: there is no run 'who'")
    assert fails(shop.workspace, "--store", str(tmp_path / "no.lbug")).startswith("error: there is no graph")
