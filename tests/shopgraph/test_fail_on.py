"""`graph-build --fail-on`: exit codes, what is printed, and a graph that stays as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kg.stores import open_store
from shopgraph.cli.main import app

EVENTS = "user_id,product_id,event,time\n" + "".join(f"u{i},p{i % 3},purchase,2024-03-0{i + 1}\n" for i in range(6))


def _build(source: Path, work: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["graph-build", str(source), "--workspace", str(work), *words])


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A source and a workspace whose settings have thresholds, built once."""
    monkeypatch.delenv("SHOPGRAPH_STORE", raising=False)
    source, work = tmp_path / "source", tmp_path / "work"
    source.mkdir()
    work.mkdir()
    (source / "events.csv").write_text(EVENTS)
    (work / "shopgraph.toml").write_text("[ingest.quality]\nmax_quarantined = 0.2\nmin_rows = { events = 5 }\n")
    assert _build(source, work, "--fail-on").exit_code == 0
    return source, work


def _count(work: Path) -> int:
    with open_store(str(work / "graph.lbug")) as store:
        return store.counts()["PURCHASED"]


def test_broken_thresholds_stop_the_build_before_the_store(shop: tuple[Path, Path]) -> None:
    source, work = shop
    before = {p.name: p.stat().st_mtime_ns for p in (work / "tables").iterdir()}
    (source / "events.csv").write_text("".join(EVENTS.splitlines(keepends=True)[:4]) + "u9,,purchase,2024-03-09\n")
    refused = _build(source, work, "--fail-on")
    assert refused.exit_code == 1
    assert [line for line in refused.stderr.splitlines() if line.startswith("error:")] == [
        "error: events: the share of rows in quarantine is 0.25, above max_quarantined = 0.2",
        "error: events: the number of rows is 3, below min_rows = 5",
    ]
    assert "Traceback" not in refused.output
    assert _count(work) == 6
    assert {p.name: p.stat().st_mtime_ns for p in (work / "tables").iterdir()} == before
    assert "refused" in (work / "reports/quality.html").read_text()
    asked = _build(source, work, "--fail-on", "--json")
    assert asked.exit_code == 1
    answer = json.loads(asked.stdout)
    assert answer["refused"] is True
    assert [b["threshold"] for b in answer["quality"]["broken"]] == ["max_quarantined", "min_rows"]


def test_without_the_flag_they_are_warnings(shop: tuple[Path, Path]) -> None:
    source, work = shop
    (source / "events.csv").write_text("".join(EVENTS.splitlines(keepends=True)[:4]))
    built = _build(source, work)
    assert built.exit_code == 0
    assert "warning: events: the number of rows is 3, below min_rows = 5" in built.stderr
    assert _count(work) == 3


def test_thresholds_that_hold(shop: tuple[Path, Path]) -> None:
    source, work = shop
    (source / "events.csv").write_text(EVENTS + "u1,p1,purchase,2024-03-09\n")
    built = _build(source, work, "--fail-on", "--json")
    assert built.exit_code == 0
    assert json.loads(built.stdout)["quality"]["broken"] == []
    assert _count(work) == 7
