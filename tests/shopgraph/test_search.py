"""`shopgraph search` as a person calls it: with everything, without vectors, without a model, on Neo4j's indexes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from click.testing import Result
from typer.testing import CliRunner

from encoders.search.searcher import Searcher
from ingest.errors import ShopgraphError
from ingest.progress import SilentProgress
from shopgraph.cli.main import app
from shopgraph.searching import Options, search, searching
from shopgraph.settings import load_settings
from shopgraph.stations import current_snapshot
from shopgraph.workspace import Workspace

Run = Callable[..., Result]
QUIET = SilentProgress()


class Shop(Protocol):
    tables: Path
    workspace: Path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, which reads torch once."""
    for name in ("NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE", "SHOPGRAPH_STORE"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str, environment: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(app, list(words), env=environment)

    return call


@pytest.fixture(scope="module")
def copy(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(shop.workspace, tmp_path_factory.mktemp("search") / "w")


def asked(run: Run, workspace: Path, *words: str, **more: Any) -> dict[str, Any]:
    done = run("search", *words, "--json", "--workspace", str(workspace), **more)
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refusal(done: Result) -> str:
    """The line that a person is told."""
    assert isinstance(done.exception, ShopgraphError), done.exception
    return str(done.exception)


def test_hits_say_why(run: Run, copy: Path) -> None:
    """Title, brand and category of the evens say coffee: the words, the names and the vectors all point there."""
    found = asked(run, copy, "cofee number 4", "--k", "3")
    assert found["mended"] == {"cofee": "coffee"}
    assert found["intents"][0] | {"confidence": 0, "words": []} == {
        "kind": "category", "name": "coffee", "confidence": 0, "words": [],
    }  # fmt: skip
    best = found["hits"][0]
    assert (best["product_id"], best["title"], best["category"]) == ("p04", "coffee number 4", "drinks > coffee")
    assert best["why"]["words"] == {"cofee": "coffee", "number": "number", "4": "4"}
    assert best["score"] == pytest.approx(sum(best["why"]["parts"].values()), abs=2e-4)
    assert 0 < best["why"]["similarity"] <= 1
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3]
    assert {one["path"] for one in found["facets"]["categories"]} == {"drinks > coffee"} or found["facets"]["products"]


def test_a_person_is_shown_the_same(run: Run, copy: Path) -> None:
    done = run("search", "cofee", "--workspace", str(copy))
    assert done.exit_code == 0
    assert "coffee for cofee" in " ".join(done.stdout.split())
    assert "cofee: searched for coffee" in done.stderr
    assert "names: category coffee (100%)" in done.stderr
    assert "products match" in done.stderr


def test_the_model_orders_for_its_user(copy: Path) -> None:
    """Both kinds match "number": a drinker of tea gets more of the tea than one of coffee."""
    workspace = Workspace(copy)
    snapshot = current_snapshot(workspace, None, QUIET)

    def teas(user: str | None) -> int:
        answer = search(workspace, snapshot, None, Options("number", 10, user), QUIET)
        assert (sum(hit.parts.personal for hit in answer.found.hits) > 0) == (user is not None)
        return sum(card.title.startswith("tea") for card in answer.cards)

    assert teas("u01") > teas("u00")
    assert teas(None) >= 0


def test_filters(run: Run, copy: Path) -> None:
    found = asked(run, copy, "number", "--brand", "Tea House 1", "--category", "drinks", "--k", "20")
    assert {hit["brand"] for hit in found["hits"]} == {"tea house 1"}
    assert len(found["hits"]) == 10
    assert asked(run, copy, "number", "--max-price", "3")["hits"] == []  # no product has a price


def test_the_index_is_kept_and_made_again_for_other_vectors(run: Run, copy: Path) -> None:
    workspace = Workspace(copy)
    (first,) = workspace.search_index.iterdir()
    made = (first / "index.json").stat().st_mtime_ns
    asked(run, copy, "tea")
    assert [path.name for path in workspace.search_index.iterdir()] == [first.name]
    assert (first / "index.json").stat().st_mtime_ns == made


def test_without_vectors_words_alone_find_and_say_so(run: Run, copy: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(copy, tmp_path / "w")
    shutil.rmtree(bare / "embeddings")
    done = run("search", "tea number 3", "--json", "--workspace", str(bare))
    found = json.loads(done.stdout)
    assert found["hits"][0]["product_id"] == "p03"
    assert found["hits"][0]["why"]["similarity"] is None
    assert "shopgraph encode" in done.stderr


def test_vectors_of_another_model_are_not_compared_with(copy: Path, tmp_path: Path) -> None:
    other = shutil.copytree(copy, tmp_path / "w")
    (other / "shopgraph.toml").write_text("[encode]\nmax_tokens = 9\n")
    workspace = Workspace(other)
    snapshot = current_snapshot(workspace, None, QUIET)
    with searching(workspace, snapshot, None, load_settings(workspace), QUIET) as (searcher, notes):
        assert isinstance(searcher, Searcher)
        assert searcher.search("tea").meaning == 0
    assert "another model" in notes[0]


def test_without_a_model_the_order_is_everybodys(run: Run, copy: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(copy, tmp_path / "w")
    shutil.rmtree(bare / "model")
    done = run("search", "tea", "--user", "u00", "--json", "--workspace", str(bare))
    found = json.loads(done.stdout)
    assert {hit["why"]["parts"]["personal"] for hit in found["hits"]} == {0}
    assert "shopgraph train" in done.stderr


def test_a_shop_without_text(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "events.csv").write_text("user_id,product_id,event\nu,p,purchase\n")
    work = str(tmp_path / "w")
    assert run("graph-build", str(tmp_path / "t"), "--workspace", work).exit_code == 0
    done = run("search", "tea", "--workspace", work)
    assert done.exit_code == 1
    assert "nothing to search" in refusal(done)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["tea", "--user", "u0"], "'u00'"),
        (["tea", "--user", "zzzzzzz"], "shopgraph query"),
        (["tea", "--category", "coffe"], "'coffee'"),
        (["tea", "--brand", "tea hose 1"], "'tea house 1'"),
        (["tea", "--min-price", "5", "--max-price", "2"], "--min-price"),
        (["?!"], "has no word"),
        ([""], "has no word"),
        (["tea", "--native"], "full-text index"),
    ],
)
def test_what_does_not_exist_is_named(run: Run, copy: Path, words: list[str], named: str) -> None:
    assert named in refusal(run("search", *words, "--workspace", str(copy)))


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "tea \x00\x1b[31m", "title:[a TO b] AND *:* -x~2^9", "'; MATCH (n) DELETE n //"]
)
def test_hostile_queries(run: Run, copy: Path, text: str) -> None:
    shown = text.replace("\x00", "\x01")  # no program can be given a NUL
    done = run("search", shown, "--workspace", str(copy))
    assert done.exit_code == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.neo4j
def test_candidates_from_neo4js_indexes(run: Run, shop: Shop, empty_neo4j: Any, tmp_path: Path) -> None:
    """A run without a network publishes the text's vectors: words and vectors are both looked up in the store."""
    login = {"NEO4J_USERNAME": empty_neo4j.username, "NEO4J_PASSWORD": empty_neo4j.password}
    work = tmp_path / "w"
    for words in (["graph-build", str(shop.tables), "--store", empty_neo4j.url], ["encode"]):
        assert run(*words, "--workspace", str(work), environment=login).exit_code == 0
    native = asked(run, work, "cofee number 4", "--native", environment=login)
    process = asked(run, work, "cofee number 4", environment=login)
    assert native["hits"][0] == process["hits"][0]
    assert native["hits"][0]["product_id"] == "p04"
    assert "the store's vector index does not hold the text vectors" in native["notes"][0]
    hostile = 'title:x OR * ) "] \\ AND NOT ~ ^ tea'
    assert asked(run, work, hostile, "--native", environment=login)["hits"]
    for words in (["train", "--model", "item-knn"], ["publish", "--k", "2", "--similar", "0"]):
        done = run(*words, "--workspace", str(work), environment=login)
        assert done.exit_code == 0, done.stderr
    both = asked(run, work, "a warm drink", "--native", "--k", "40", environment=login)
    assert both["notes"] == [] or "vector index" not in both["notes"][0]
    exact = asked(run, work, "a warm drink", "--k", "40", environment=login)
    assert {hit["product_id"] for hit in both["hits"]} == {hit["product_id"] for hit in exact["hits"]}
