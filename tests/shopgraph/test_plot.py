"""`shopgraph plot`: what the picture shows, that it needs no network, and that titles stay text."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol

import pytest

from ingest.progress import SilentProgress
from kg.stores import open_store
from shopgraph import stations
from shopgraph.errors import AppError
from shopgraph.picture.draw import figure
from shopgraph.picture.net import Reason, product_net, published, user_net
from shopgraph.publishing import PublishOptions, publish
from shopgraph.settings import load_settings
from shopgraph.workspace import Workspace

QUIET = SilentProgress()
Run = Callable[..., CompletedProcess[str]]
HOSTILE = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"


class Shop(Protocol):
    tables: Path
    workspace: Path


@pytest.fixture(scope="module")
def place(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    work = Workspace(shutil.copytree(shop.workspace, tmp_path_factory.mktemp("plot") / "work"))
    publish(work, None, PublishOptions(k=5, similar=3), QUIET)
    return work


@pytest.fixture
def hostile(tmp_path: Path) -> Workspace:
    tables = tmp_path / "tables"
    tables.mkdir()
    quoted = HOSTILE.replace('"', '""')
    (tables / "products.csv").write_text(f'product_id,title,brand,category\np1,"{quoted}","{quoted}","{quoted}"\n')
    (tables / "events.csv").write_text(f'user_id,product_id,event\n"{quoted}",p1,purchase\n"{quoted}",p1,view\n')
    work = Workspace(tmp_path / "work")
    stations.build(work, str(tables), None, load_settings(work), QUIET)
    return work


def test_a_product(place: Workspace) -> None:
    with open_store(place.store_url(None)) as store:
        net = product_net(store, "p03", 1, 4)
        shown = {(link.type, link.target if link.source == net.centre else link.source) for link in net.links.values()}
        assert ("MADE_BY", ("Brand", "tea house 3")) in shown
        assert ("IN_CATEGORY", ("Category", "drinks > tea")) in shown
        similar = store.run("MATCH (:Product {id: 'p03'})-[r:SIMILAR]->(b:Product) RETURN b.id", {}).rows
        assert {("SIMILAR", ("Product", row[0])) for row in similar} <= shown and len(similar) == 3
        buyers = store.run("MATCH (u:User)-[:PURCHASED]->(:Product {id: 'p03'}) RETURN DISTINCT u.id", {}).rows
        drawn = [node for node, s in net.nodes.items() if node[0] == "User"]
        assert len(drawn) == min(4, len(buyers))
        assert all(net.nodes[node].column == -1 for node in drawn)
        assert net.titles["Product", "p03"] == "tea number 3"
        wider = product_net(store, "p03", 2, 4)
    assert set(net.nodes) < set(wider.nodes)
    assert wider.nodes["Category", "drinks"].column == 2


def test_a_user_with_the_paths_of_the_reasons(place: Workspace) -> None:
    with open_store(place.store_url(None)) as store:
        reasons = published(store, "u07", 10)
        assert [reason.rank for reason in reasons] == [1, 2, 3, 4, 5]
        net = user_net(store, "u07", 1, 6, reasons, None)
        one = user_net(store, "u07", 1, 6, reasons, reasons[1].product)
    for found, marked in ((net, reasons), (one, reasons[1:2])):
        wanted = set()
        for reason in marked:
            nodes = [(("User", "Product", "Category", "Product")[at], n) for at, n in enumerate(reason.evidence)]
            assert reason.kind == "same-category" and len(nodes) == 4
            wanted |= {frozenset(pair) for pair in pairwise(nodes)}
        assert found.marked == wanted
        assert all(pair in {frozenset(key[:2]) for key in found.links} for pair in wanted)
    assert all(net.nodes["Product", r.product].role == "recommended" for r in reasons)
    had = {link.target: link for link in net.links.values() if link.source == ("User", "u07")}
    assert {link.type for link in had.values()} == {"PURCHASED"}
    assert len(had) == 6


def test_what_is_unknown_is_named(place: Workspace) -> None:
    with open_store(place.store_url(None)) as store:
        for call, named in (
            (lambda: product_net(store, "px", 1, 3), "unknown product 'px'"),
            (lambda: user_net(store, "ux", 1, 3, [], None), "unknown user 'ux'"),
        ):
            with pytest.raises(AppError, match=named):
                call()


def test_a_picture_shows_titles_letter_by_letter(hostile: Workspace) -> None:
    with open_store(hostile.store_url(None)) as store:
        net = product_net(store, "p1", 1, 3)
    drawn = figure(net, HOSTILE, HOSTILE).to_dict()
    texts = [a["text"] for a in drawn["layout"]["annotations"]] + [
        a.get("hovertext") or "" for a in drawn["layout"]["annotations"]
    ]
    texts += [drawn["layout"]["title"]["text"]] + [t for trace in drawn["data"] for t in trace.get("text") or []]
    assert any("&lt;script&gt;" in text for text in texts)
    for text in texts:
        assert set(re.findall(r"<[^>]*>", text)) <= {"<br>", "<b>", "</b>", "<sup>", "</sup>"}


def test_the_command(place: Workspace, run: Run, tmp_path: Path) -> None:
    words = ("--workspace", str(place.root))
    out = tmp_path / "made" / "u.html"
    done = run("plot", "--user", "u07", "--limit", "5", "--out", str(out), "--json", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["out"] == str(out)
    page = out.read_text()
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=", page)  # all is in the file
    assert "shopper u07" in page
    with open_store(place.store_url(None)) as store:
        listed = {reason.product for reason in published(store, "u07", 10)}
        had = {row[0] for row in store.run("MATCH (:User {id: 'u07'})-[:PURCHASED]->(p:Product) RETURN p.id", {}).rows}
    other = next(p for p in (f"p{n:02d}" for n in range(1, 40, 2)) if p not in listed | had)
    done = run("plot", "--user", "u07", "--explain", other, "--out", str(out), *words)
    assert done.returncode == 0, done.stderr
    assert f"Why tea number {int(other[1:])} ({other})?" in out.read_text()
    for bad, named in (
        (("--user", "nobody"), "error: unknown user 'nobody' (--user)"),
        (("--product", "p03", "--out", "/proc/none/p.html"), "cannot be written"),
    ):
        done = run("plot", *bad, *words)
        assert done.returncode == 1
        assert named in done.stderr.strip().splitlines()[-1]
    assert run("plot", *words).returncode == 2


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_runs_nothing_of_a_title(hostile: Workspace, tmp_path: Path) -> None:
    from shopgraph.picture.draw import draw

    with open_store(hostile.store_url(None)) as store:
        reason = Reason("p1", 1, "bought-before", HOSTILE, [HOSTILE, "p1"])
        for net in (product_net(store, "p1", 2, 3), user_net(store, HOSTILE, 2, 3, [reason], None)):
            draw(net, "a picture", HOSTILE, tmp_path / "p.html")
            words: list[Any] = ["--headless", "--no-sandbox", "--virtual-time-budget=4000", "--dump-dom"]
            done = subprocess.run(
                ["chromium", *words, f"file://{tmp_path / 'p.html'}"],
                capture_output=True, text=True, timeout=120, check=True,
            )  # fmt: skip
            assert "main-svg" in done.stdout  # it was drawn
            assert "<title>a picture</title>" in done.stdout
            assert not re.findall(r"<img[^>]*onerror", done.stdout)
