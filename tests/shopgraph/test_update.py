"""`graph-build --update`: what it prints, what it goes on with, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ingest.errors import ShopgraphError
from ingest.progress import SilentProgress
from ingest.update import pending
from kg.ladybug_store.store import LadybugStore
from kg.snapshot_read import read_snapshot
from kg.stores import open_store
from shopgraph import updating
from shopgraph.cli.main import app

HEADER = "user_id,product_id,event,time,quantity,price,order_id\n"
FIRST = {
    "products.csv": "product_id,title,brand\np1,Tea,Leaf\np2,Cup,Clay\n",
    "events.csv": HEADER + "u1,p1,purchase,2024-03-01,1,2,o1\nu2,p2,view,2024-03-02,,,\n",
}
SECOND = {
    "products.csv": "product_id,title,brand\np2,Cup,Leaf\np3,Pot,Clay\n",
    "events.csv": HEADER + "u1,p3,purchase,2024-03-01,2,9,o1\nu3,p1,view,2024-03-05,,,\n",
}


def write(folder: Path, tables: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        (folder / name).write_text(text)
    return folder


def build(source: Path, work: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["graph-build", str(source), "--workspace", str(work), *words])


def answer(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    said: dict[str, Any] = json.loads(result.stdout)
    return said


def content(path: Path) -> str:
    with open_store(str(path)) as store:
        return read_snapshot(store, SilentProgress(), everything=True).fingerprint


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the workspace `work` of the first delivery, the second one, and the graph of both at once."""
    monkeypatch.delenv("SHOPGRAPH_STORE", raising=False)
    answer(build(write(tmp_path / "first", FIRST), tmp_path / "work", "--json"))
    write(tmp_path / "second", SECOND)
    both = {f"{n.removesuffix('.csv')}-{i}.csv": t for i, d in enumerate((FIRST, SECOND)) for n, t in d.items()}
    answer(build(write(tmp_path / "both", both), tmp_path / "once", "--json"))
    return tmp_path


def test_a_delivery_is_added(shop: Path) -> None:
    work = shop / "work"
    said = answer(build(shop / "second", work, "--update", "--json"))
    assert said["loaded"] is True
    assert said["changes"]["nodes added"] == 2  # p3 and u3
    assert said["changes"]["relationships removed"] == 1  # p2 was made by Clay
    assert said["quality"]["tables"]["events"]["rows_in"] == 2
    assert content(work / "graph.lbug") == content(shop / "once" / "graph.lbug")
    assert not pending(work / "tables").exists()
    again = answer(build(shop / "second", work, "--update", "--json"))
    assert (again["loaded"], again["changes"]) == (False, {})


def test_what_is_printed(shop: Path) -> None:
    shown = build(shop / "second", shop / "work", "--update").output
    assert "Changes of the graph" in shown
    assert "relationships added" in shown
    assert "The store held this very graph already" in build(shop / "second", shop / "work", "--update").output


@pytest.mark.parametrize("where", ["shape_delta", "update", "remember_graph", "accept_update"])
def test_an_interrupted_update_is_brought_to_its_end(shop: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = shop / "work"

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if where == "update":
            patch.setattr(LadybugStore, "update", interrupt)
        else:
            patch.setattr(updating, where, interrupt)
        assert build(shop / "second", work, "--update").exit_code != 0
    assert pending(work / "tables").exists()
    said = answer(build(shop / "second", work, "--update", "--json"))
    assert said["quality"]["tables"]["events"]["rows_in"] == 2
    assert content(work / "graph.lbug") == content(shop / "once" / "graph.lbug")
    assert not pending(work / "tables").exists()


def test_a_stop_while_the_tables_are_put_in_place(shop: Path) -> None:
    """The tables before are aside, those after not yet in place; then they are, and only the rest is to be removed."""
    work = shop / "work"
    answer(build(shop / "second", work, "--update", "--json"))
    place = pending(work / "tables")
    place.mkdir()
    (work / "tables").rename(place / "tables")
    (place / "before").mkdir()
    answer(build(shop / "second", work, "--update", "--json"))
    assert content(work / "graph.lbug") == content(shop / "once" / "graph.lbug")
    (place / "before").mkdir(parents=True)
    answer(build(shop / "second", work, "--update", "--json"))
    assert not place.exists()


def test_a_store_that_holds_another_graph_is_loaded_whole(shop: Path) -> None:
    work, other = shop / "work", shop / "other.lbug"
    answer(build(shop / "first", shop / "elsewhere", "--store", str(other), "--json"))
    write(shop / "third", {"events.csv": HEADER + "u9,p1,view,2024-03-09,,,\n"})
    answer(build(shop / "third", shop / "elsewhere", "--store", str(other), "--update", "--json"))
    said = answer(build(shop / "second", work, "--store", str(other), "--update", "--json"))
    assert list(said["changes"]) == ["loaded anew"]
    assert content(other) == content(shop / "once" / "graph.lbug")


def test_a_whole_build_puts_an_unfinished_update_aside(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = shop / "work"
    before = content(work / "graph.lbug")
    with monkeypatch.context() as patch:
        patch.setattr(updating, "shape_delta", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        build(shop / "second", work, "--update")
    answer(build(shop / "first", work, "--json"))
    assert not pending(work / "tables").exists()
    assert content(work / "graph.lbug") == before


def test_errors_are_one_line(shop: Path) -> None:
    nothing = build(shop / "second", shop / "nowhere", "--update")
    assert isinstance(nothing.exception, ShopgraphError)
    assert nothing.exception.what == "there is no workspace"
    assert not (shop / "nowhere").exists()
    accounts = build(write(shop / "accounts", {"accounts.csv": "account_id\na\n"}), shop / "work", "--update")
    assert isinstance(accounts.exception, ShopgraphError)
    assert accounts.exception.what == "accounts are resolved over all of them at once"
