"""`shopgraph sentiment` on a made-up shop: written once, the same again, gone with a build, and unseen by training."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ingest.progress import SilentProgress
from kg.snapshot_read import read_snapshot
from kg.stores import open_store

Run = Callable[..., subprocess.CompletedProcess[str]]
WORDS = {1: "broken and useless", 2: "poor quality", 4: "very good", 5: "simply wonderful"}


def write_tables(folder: Path) -> None:
    """Reviews with a rating and a text, with a text alone, with a rating alone; and purchases."""
    draw = np.random.default_rng(9)
    rows: list[dict[str, Any]] = []
    for n in range(160):
        rating = int(draw.choice(list(WORDS)))
        review = {"user_id": f"u{n % 20:02d}", "product_id": f"p{draw.integers(12):02d}", "event": "review"}
        review |= {"event_id": f"r{n:03d}", "time": f"2024-03-{1 + n % 28:02d}", "rating": rating}
        review["text"] = f"<b>{WORDS[rating]}</b>, number {n}"
        if n % 10 == 0:
            review["rating"] = None
        if n % 10 == 1:
            review["text"] = "  "
        rows += [review, review | {"event_id": f"b{n:03d}", "event": "purchase", "rating": None, "text": None}]
    folder.mkdir()
    pd.DataFrame(rows).to_csv(folder / "events.csv", index=False)


@pytest.fixture(params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """URL of an empty store, and the environment with its credentials."""
    if request.param == "ladybug":
        return str(tmp_path / "work" / "graph.lbug"), {}
    server = request.getfixturevalue("empty_neo4j")
    return server.url, {"NEO4J_USERNAME": server.username, "NEO4J_PASSWORD": server.password}


def sentiments(url: str) -> dict[str, tuple[float | None, float | None, str | None]]:
    with open_store(url) as store:
        rows = store.run("MATCH ()-[r:REVIEWED]->() RETURN r.id, r.sentiment, r.rating, r.text", {}).rows
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def test_from_reviews_to_the_graph_and_again(
    run: Run, place: tuple[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tables(tmp_path / "tables")
    store_url, credentials = place
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)

    def done(*words: str) -> subprocess.CompletedProcess[str]:
        options = ["--workspace", str(tmp_path / "work"), "--store", store_url]
        ended = run(*words, *options, environment=credentials)
        assert ended.returncode == 0, ended.stderr
        return ended

    done("graph-build", str(tmp_path / "tables"))
    with open_store(store_url) as store:
        before = read_snapshot(store, SilentProgress()).fingerprint
    report = json.loads(done("sentiment", "--json").stdout)
    assert (report["reviews"], report["with_text"], report["without_text"], report["written"]) == (160, 144, 16, 144)
    assert report["rated"] == 128
    assert json.loads((tmp_path / "work" / "reports" / "sentiment.json").read_text()) == report
    found = sentiments(store_url)
    for name, (value, _, text) in found.items():
        assert (value is None) == (int(name[1:]) % 10 == 1)
        if value is not None and text is not None:
            good = any(WORDS[n] in text for n in (4, 5))
            assert -1 <= value <= 1
            assert (value > 0) == good, (name, value, text)
    with open_store(store_url) as store:
        assert read_snapshot(store, SilentProgress()).fingerprint == before
    again = done("sentiment")
    assert "all as it was" in again.stderr
    assert "encode text" not in again.stderr
    assert sentiments(store_url) == found
    # what a build writes has none until the command has run again
    (tmp_path / "tables" / "products.csv").write_text("product_id\n" + "\n".join(f"p{n:02d}" for n in range(13)))
    done("graph-build", str(tmp_path / "tables"))
    assert {value for value, _, _ in sentiments(store_url).values()} == {None}
    done("sentiment")
    assert sentiments(store_url) == found
    for scratch in (tmp_path / "work").glob(".sentiment-*"):
        raise AssertionError(scratch)


def test_without_texts_or_ratings_it_says_so(run: Run, tmp_path: Path) -> None:
    events = pd.DataFrame(
        {"user_id": ["a", "b"], "product_id": ["p", "q"], "event": "review", "rating": [1, 5], "text": [None, None]}
    )
    (tmp_path / "tables").mkdir()
    work = ["--workspace", str(tmp_path / "work")]

    def last(*words: str) -> str:
        ended = run(*words, *work)
        assert ended.returncode == 1
        return ended.stderr.strip().splitlines()[-1]

    assert "there is no workspace" in last("sentiment")
    events.to_csv(tmp_path / "tables" / "events.csv", index=False)
    assert run("graph-build", str(tmp_path / "tables"), *work).returncode == 0
    assert last("sentiment").startswith("error: none of the 2 reviews has a text")
    events.assign(text=["bad", "good"]).to_csv(tmp_path / "tables" / "events.csv", index=False)
    assert run("graph-build", str(tmp_path / "tables"), *work).returncode == 0
    assert last("sentiment").startswith("error: 2 different reviews have text and rating, and sentiment.least is 50")
    events.assign(event="purchase").to_csv(tmp_path / "tables" / "events.csv", index=False)
    assert run("graph-build", str(tmp_path / "tables"), *work).returncode == 0
    assert last("sentiment").startswith("error: the graph has no reviews")
