"""Cells are measured once, failures are told, interruptions gone on from; the page holds whatever is there."""

# ruff: noqa: RUF001 - the page has en dashes
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data import contract_folder
from bench.data.source import ROOT
from bench.partial_lists import compared, of_lists
from bench.quality import __main__ as scoreboard_main
from bench.quality import one_cell
from bench.quality.__main__ import sections
from bench.quality.assemble import CUT_OFF, NOT_YET, Kept, kept_cells, section
from bench.quality.cells import (
    ALONE,
    PARTS,
    REFIT,
    REFIT_ALONE,
    Cell,
    cold_alone,
    load,
    per_user,
    run_cell,
    with_suffix,
    work_folder,
)
from bench.quality.datasets import DataSet, Prepared, prepare
from bench.quality.one_cell import Run, measure, measure_apart, peak_mib, unmeasured_within
from bench.quality.page import page
from bench.quality.peers import peers, score
from bench.quality.protocols import PROTOCOLS, Protocol
from bench.quality.scoreboard import Measure, Plan, fill
from gnn.model.catalogue import FUSED
from gnn.protocol.tasks import recommendable

MODELS = ("popularity", "item-knn", "network")
SMALL = Protocol(
    "small",
    "small",
    "Made by hand.",
    {"split": {"method": "column", "min_buyers": 0}, "eval": {"k": [2], "bootstrap": 50}, "train": {"threads": 1}},
    ("ndcg@2", "recall@2"),
    ("cold products",),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Everyone takes a, b, c, d in train; e is next to everyone's last; f has no buyer before test."""
    home = tmp_path_factory.mktemp("small")
    rows = [(f"u{u}", p, "train") for u in range(8) for p in "abcd" if p != "abcd"[u % 4]]
    rows += [(f"u{u}", "abcd"[u % 4], "valid") for u in range(4)]
    rows += [("u6", "e", "train"), ("u7", "e", "train"), ("u0", "e", "test"), ("u1", "f", "test")]
    events = pd.DataFrame(rows, columns=["user_id", "product_id", "split"]).assign(event="purchase")
    raw = home / "events.csv"
    events.to_csv(raw, index=False)
    shop = DataSet(
        "small",
        lambda: [raw],
        contract_folder,
        lambda out, _: contract_folder.write_tables(out, {"events": pd.read_csv(raw)}),
        groups=lambda _: pd.DataFrame({"user_id": ["u0", "u1"], "group": ["finds e", "finds f"]}),
        cold=lambda _: {"e", "f"},
    )
    return prepare(shop, cache=home / "cache")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan([SMALL], MODELS, 2, tmp_path, lambda _: "code 1")


def made_up(found: list[str]) -> Run:
    """A run that trains nothing: u0 has the rank of the seed's number, u1 nothing."""

    def run(cell: Cell, stem: Path) -> dict[str, Any]:
        found.append(f"{cell.model} {cell.seed}")
        stem.parent.mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame({"task": "new-product", "user": cell.data.snapshot.nodes["User"].ids.rows(["u0", "u1"])})
        frame["ndcg@2"], frame["recall@2"] = [1.0 - cell.seed / 2, 0.0], [1.0, 0.0]
        frame.to_parquet(with_suffix(stem, ".parquet"))
        sizes = {"users": 2, "cold_users": 0, "candidates": 6, "relevant": 2}
        slices = {"cold products": {"ndcg@2": {"mean": 0.25}}}
        tasks = {"new-product": sizes | {"metrics": {}, "lists": {}, "slices": slices}}
        return {"validation": {"new-product": 0.5}, "seconds": 2.0, "tasks": tasks, "split": {}}

    return run


def measuring(run: Run) -> Measure:
    return lambda cell, stem: measure(cell, stem, run)


def ready(data: Prepared) -> Callable[[Protocol], Prepared]:
    return lambda _: data


def test_a_second_run_trains_nothing(plan: Plan, data: Prepared) -> None:
    found: list[str] = []
    assert fill(plan, ready(data), measuring(made_up(found)), say=lambda _: None) == 4
    # deterministic models once, the network with both seeds, first seeds first
    assert found == ["popularity 0", "item-knn 0", "network 0", "network 1"]
    assert fill(plan, ready(data), measuring(made_up(found)), say=lambda _: None) == 0
    assert len(found) == 4


def test_cells_are_of_their_inputs(plan: Plan, data: Prepared) -> None:
    cell = Cell(SMALL, "network", 0, data, "code 1")
    others = [
        replace(cell, seed=1),
        replace(cell, model="ease"),
        replace(cell, code="code 2"),
        replace(cell, protocol=replace(SMALL, settings={**SMALL.settings, "model": {"dim": 8}})),
        replace(cell, data=replace(data, vectors_digest="v")),
        replace(cell, data=replace(data, cold=None)),
        replace(cell, tuned={"train.lr": 0.5}),
        replace(cell, model="fused", tuned={"models.ease.penalties": [3.0]}),
        replace(cell, model="fused"),
        replace(cell, model="ease", tuned={"models.ease.penalties": [3.0]}),
    ]
    stems = {one.stem(plan.cells) for one in (cell, *others)}
    assert len(stems) == 1 + len(others)
    # the settings of others do not matter
    assert replace(cell, tuned={"models.ease.penalties": [3.0]}).stem(plan.cells) in stems
    assert replace(cell, tuned={"auto.models": ["ease"]}).stem(plan.cells) in stems
    for network_alone in ({"train.lr": 0.5}, {"model.dim": 8}, {"fusion.pool": 7}):
        assert replace(cell, model="ease", tuned=network_alone).stem(plan.cells) in stems
        assert replace(cell, model="fused", tuned=network_alone).stem(plan.cells) not in stems
    assert replace(cell, model="ease", tuned={"train.full_softmax": 9}).stem(plan.cells) not in stems
    assert replace(cell, seed=0).stem(plan.cells) in stems


def test_a_failed_cell_is_shown_as_missing_with_its_reason(plan: Plan, data: Prepared) -> None:
    found: list[str] = []

    def run(cell: Cell, stem: Path) -> dict[str, Any]:
        if cell.model == "item-knn":
            found.append("item-knn failed")
            raise MemoryError("4.1 GiB are more than the cap of 4")
        return made_up(found)(cell, stem)

    said: list[str] = []
    assert fill(plan, ready(data), measuring(run), said.append) == 4
    assert "small, item-knn, seed 0: failed: 4.1 GiB are more than the cap of 4" in said
    cells = kept_cells(SMALL, data, MODELS, 2, plan.results, plan.code)
    text = page([section(SMALL, data, MODELS, cells)])
    assert "| item-knn | – | – | – | – | – | – |" in text
    assert "- item-knn: 4.1 GiB are more than the cap of 4" in text
    assert fill(plan, ready(data), measuring(run), said.append) == 0  # it is known to fail
    assert fill(replace(plan, retry=True), ready(data), measuring(run), said.append) == 1
    assert found.count("item-knn failed") == 2


def test_an_interrupted_run_goes_on_where_it_stopped(plan: Plan, data: Prepared) -> None:
    found: list[str] = []

    def run(cell: Cell, stem: Path) -> dict[str, Any]:
        if cell.model == "network":
            raise KeyboardInterrupt
        return made_up(found)(cell, stem)

    with pytest.raises(KeyboardInterrupt):
        fill(plan, ready(data), measuring(run), say=lambda _: None)
    cells = kept_cells(SMALL, data, MODELS, 2, plan.results, plan.code)
    assert [cell.model for cell in cells] == ["popularity", "item-knn"]
    assert f"- network: {NOT_YET}" in page([section(SMALL, data, MODELS, cells)])
    assert fill(plan, ready(data), measuring(made_up(found)), say=lambda _: None) == 2
    assert found == ["popularity 0", "item-knn 0", "network 0", "network 1"]


def test_minutes_and_budget_stop_before_a_cell_is_begun(plan: Plan, data: Prepared) -> None:
    found: list[str] = []
    clock = iter([0.0, 59.0, 61.0]).__next__
    assert fill(replace(plan, minutes=1.0), ready(data), measuring(made_up(found)), lambda _: None, clock) == 1
    assert fill(replace(plan, budget=2), ready(data), measuring(made_up(found)), lambda _: None) == 2
    assert found == ["popularity 0", "item-knn 0", "network 0"]


def test_what_does_not_apply_is_not_run_and_says_so(plan: Plan, data: Prepared) -> None:
    found: list[str] = []
    bare = replace(SMALL, lacks=frozenset({"order", "text"}))
    models = ("popularity", "sasrec", "text")
    fill(replace(plan, protocols=[bare], models=models), ready(data), measuring(made_up(found)), say=lambda _: None)
    assert found == ["popularity 0"]
    cells = kept_cells(bare, data, models, 1, plan.results, plan.code)
    text = page([section(bare, data, models, cells)])
    assert "- sasrec: not applicable: the data has no order" in text
    assert "- text: not applicable: the data has no text" in text


def test_figures_of_older_code_are_marked_until_there_are_newer_ones(
    plan: Plan, data: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = SimpleNamespace(ru_utime=1.5, ru_stime=0.5)
    monkeypatch.setattr(one_cell.resource, "getrusage", lambda _: used)
    monkeypatch.setattr(one_cell, "peak_mib", lambda: 7)
    fill(replace(plan, models=("popularity",)), ready(data), measuring(made_up([])), say=lambda _: None)
    for code, name in (("code 1", "| popularity"), ("code 2", "| *popularity*")):
        cells = kept_cells(SMALL, data, ("popularity",), 2, plan.results, lambda _, c=code: c)
        text = page([section(SMALL, data, ("popularity",), cells)])
        assert f"{name} | .5000 [.0000, 1.0000] | .5000 [.0000, 1.0000] | best baseline | 1 | 2.0 | 7.0 |" in text
    other_data = replace(data, vectors_digest="others")
    assert kept_cells(SMALL, other_data, ("popularity",), 2, plan.results, plan.code) == []


def test_the_page_shows_seeds_groups_and_slices(plan: Plan, data: Prepared) -> None:
    fill(plan, ready(data), measuring(made_up([])), say=lambda _: None)
    cells = kept_cells(SMALL, data, MODELS, 2, plan.results, plan.code)
    text = page([section(SMALL, data, MODELS, cells)])
    assert "2 users are asked, 6 candidates, 2 relevant products." in text
    # seeds give u0 1.0 and 0.5, u1 nothing: .5 and .25, their standard deviation .25 / sqrt(2)
    assert "| network | .3750 [.0000, .7500] ± .1768 |" in text
    assert "| -.1250 [-.2500, +.0000] | 2 |" in text
    assert "| model | finds e (1 users) | finds f (1 users) | cold products |" in text
    assert "| network | .7500 [.7500, .7500] | .0000 [.0000, .0000] | .2500 |" in text


def test_only_cold_products_may_be_recommended_when_they_are_alone(data: Prepared) -> None:
    assert data.cold is not None
    only = cold_alone(data.snapshot, data.cold)
    np.testing.assert_array_equal(recommendable(only), data.cold)
    assert recommendable(data.snapshot).all()
    assert only.fingerprint == data.snapshot.fingerprint


def test_a_real_cell_agrees_with_counting_by_hand(data: Prepared, tmp_path: Path) -> None:
    """Popularity at test: a to d have 7 buyers each (6 or 7), e has 2, f none; a, b, c, d are masked for u0 and u1."""
    cell = Cell(SMALL, "popularity", 0, data, "code")
    stem = cell.stem(tmp_path)
    record = measure(cell, stem)
    assert record["status"] == "done", record
    users = per_user(stem, "new-product", data.snapshot)
    # u0's candidates are e, f: e stands first; u1's are e, f as well: f stands second
    assert users["ndcg@2"].to_dict() == pytest.approx({"u0": 1.0, "u1": 1 / np.log2(3)})
    alone = per_user(stem, "new-product", data.snapshot, ALONE)
    assert alone["ndcg@2"].to_dict() == pytest.approx({"u0": 1.0, "u1": 1 / np.log2(3)})
    assert record["tasks"]["new-product"]["candidates"] == 6
    assert record["alone"]["new-product"]["candidates"] == 2
    assert load(stem) is not None


def test_what_is_trained_is_read_again_after_a_refit(data: Prepared, tmp_path: Path) -> None:
    cell = Cell(SMALL, "lightgcn", 0, data, "code")
    stem = cell.stem(tmp_path / "cells")
    record = measure(cell, stem)
    assert record["status"] == "done", record
    for part, candidates in ((REFIT, 6), (REFIT_ALONE, 2)):
        assert record[part]["new-product"]["candidates"] == candidates
        assert sorted(per_user(stem, "new-product", data.snapshot, part).index) == ["u0", "u1"]
    kept = Kept(stem, record, True, data)
    text = page([section(SMALL, data, ["lightgcn"], [kept])])
    first, alone = text.split(", cold products alone")
    assert "| lightgcn, refit | " in first
    assert "| lightgcn, refit | " in alone


def test_a_fusions_network_is_measured_by_the_way(data: Prepared, tmp_path: Path) -> None:
    protocol = replace(SMALL, settings={**SMALL.settings, "fusion": {"parts": ["network", "item-knn"]}})
    fused = Cell(protocol, FUSED, 0, data, "code")
    within = unmeasured_within(fused, tmp_path / "by the way")
    (network,) = within
    measure(fused, fused.stem(tmp_path / "by the way"), partial(run_cell, within=within))
    measure(network, network.stem(tmp_path / "alone"))
    assert not unmeasured_within(fused, tmp_path / "by the way")
    assert not unmeasured_within(network, tmp_path / "elsewhere")
    one, other = (load(network.stem(tmp_path / place)) for place in ("by the way", "alone"))
    assert one is not None
    assert other is not None
    assert all(one[part] == other[part] for part in PARTS)
    assert "cpu_seconds" not in one
    for part in PARTS:
        tables = [per_user(network.stem(tmp_path / place), "new-product", data.snapshot, part)
                  for place in ("by the way", "alone")]  # fmt: skip
        pd.testing.assert_frame_equal(*tables)


def test_the_peak_is_the_programs_own_not_its_parents() -> None:
    held = np.ones(2**27)  # 1 GiB in this process when the child is forked, which getrusage would count as the child's
    words = [sys.executable, "-c", "from bench.quality.one_cell import peak_mib; print(peak_mib())"]
    child = int(subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    assert child < held.nbytes / 2**20 < peak_mib()


def test_seconds_of_a_training_that_goes_on_are_not_known(data: Prepared, tmp_path: Path) -> None:
    cell = Cell(SMALL, "popularity", 0, data, "code")
    stem = cell.stem(tmp_path)
    assert measure(cell, stem, made_up([]))["cpu_seconds"] > 0
    work_folder(stem).mkdir()
    record = measure(cell, stem, made_up([]))
    assert (record["cpu_seconds"], record["wall_seconds"]) == (None, None)
    assert record["peak_mib"] > 0
    text = page([section(SMALL, data, ["popularity"], [Kept(stem, record, True, data)])])
    assert f"| best baseline | 1 | – | {record['peak_mib']:,} |" in text


def test_a_model_that_cannot_be_trained_is_a_failed_cell(data: Prepared, tmp_path: Path) -> None:
    cell = Cell(SMALL, "unheard-of", 0, data, "code")
    record = measure(cell, cell.stem(tmp_path), run_cell)
    assert record["status"] == "failed"
    assert "unknown model 'unheard-of'" in record["reason"]


def test_lists_of_peers_are_rows_beside_the_models(data: Prepared, tmp_path: Path) -> None:
    folder = tmp_path / "peers" / "small"
    folder.mkdir(parents=True)
    lists = pd.DataFrame({"user_id": ["u0", "u1"], "rank": 1, "product_id": ["e", "e"], "score": 1.0})
    lists.to_parquet(folder / "other-tool-seed3.parquet")
    said = {"peak_mib": 11, "ended": "time limit", "settings": {"rate": 0.1}, "versions": {"tool": "1"}}
    (folder / "other-tool-seed3.json").write_text(json.dumps({**said, "seconds": {"train": 7.0}}))
    lists.to_parquet(folder / "no seed.parquet")
    (stem,) = peers(SMALL, data, tmp_path, tmp_path / "results", "code")
    assert per_user(stem, "new-product", data.snapshot)["ndcg@2"].to_dict() == {"u0": 1.0, "u1": 0.0}
    record = load(stem)
    assert record is not None
    assert (record["model"], record["seed"]) == ("other-tool", 3)
    assert record["training"] == {"seconds": 7.0, **said}
    text = page([section(SMALL, data, [], [Kept(stem, record, True, data, peer=True)])])
    assert f"\n- other-tool: {CUT_OFF}\n" in text
    # on a machine without the lists their figures stay, but for another graph they do not hold
    elsewhere = tmp_path / "empty"
    assert list(peers(SMALL, data, elsewhere, tmp_path / "results", "other code")) == [stem]
    nodes = {**data.snapshot.nodes, "Brand": data.snapshot.nodes["User"]}
    other = replace(data, snapshot=replace(data.snapshot, nodes=nodes))
    assert list(peers(SMALL, other, elsewhere, tmp_path / "results", "code")) == []
    # of lists that were made again the newest hold
    later = stem.with_name("another-name")
    with_suffix(later, ".json").write_text(json.dumps(record | {"at": "2999-01-01T00:00:00+00:00"}))
    assert list(peers(SMALL, data, elsewhere, tmp_path / "results", "code")) == [later]


def test_peers_run_where_they_apply_and_have_no_figures(
    data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(scoreboard_main, "_prepared", lambda _: data)
    monkeypatch.setattr(scoreboard_main, "CACHE", tmp_path)
    monkeypatch.setattr(scoreboard_main, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(scoreboard_main, "run_peer", ran.append)
    (tmp_path / "peers" / "small").mkdir(parents=True)
    lists = pd.DataFrame({"user_id": ["u0"], "rank": 1, "product_id": ["e"], "score": 1.0})
    lists.to_parquet(tmp_path / "peers" / "small" / "gds-fastrp-seed1.parquet")
    plain = replace(SMALL, lacks=frozenset({"relations"}))
    scoreboard_main.run_peers([plain], ["gds-fastrp", "gds-similarity", "recbole-kgat"])
    assert ran == [["gds-similarity", "--protocol", "small"]]


def test_peers_without_figures_are_listed_among_new_products_of_all(data: Prepared, tmp_path: Path) -> None:
    cell = Cell(SMALL, "popularity", 0, data, "code 1")
    record = measure(cell, cell.stem(tmp_path), made_up([]))
    record |= {"alone": record["tasks"]}
    cells = [Kept(cell.stem(tmp_path), record, True, data)]
    with_suffix(cell.stem(tmp_path), ".cold.parquet").write_bytes(
        with_suffix(cell.stem(tmp_path), ".parquet").read_bytes()
    )
    plain = replace(SMALL, lacks=frozenset({"relations"}))
    everyone, alone = section(plain, data, ["popularity"], cells, others=["gds-fastrp", "recbole-kgat"]).tables
    assert everyone.missing == {"gds-fastrp": NOT_YET, "recbole-kgat": "not applicable: the data has no relations"}
    assert alone.missing == {}


def test_lists_of_peers_say_nothing_of_repeats(tmp_path: Path) -> None:
    rows = [(f"u{u}", p, "train") for u in range(4) for p in "ab"]
    rows += [("u0", "b", "valid"), ("u1", "c", "valid"), ("u0", "a", "test"), ("u0", "c", "test")]
    raw = tmp_path / "events.csv"
    events = pd.DataFrame(rows, columns=["user_id", "product_id", "split"]).assign(event="purchase")
    events.assign(sequence=range(len(events))).to_csv(raw, index=False)
    tables = {"events": pd.read_csv(raw)}
    shop = DataSet("repeats", lambda: [raw], contract_folder, lambda out, _: contract_folder.write_tables(out, tables))
    data = prepare(shop, cache=tmp_path / "cache")
    lists = tmp_path / "other-tool-seed0.parquet"
    pd.DataFrame({"user_id": ["u0"], "rank": [1], "product_id": ["c"], "score": [1.0]}).to_parquet(lists)
    cell = Cell(SMALL, "other-tool", 0, data, "code")
    tasks = score(cell, cell.stem(tmp_path), lists)["tasks"]
    assert tasks["new-product"]["metrics"]["ndcg@2"]["mean"] == 1.0
    assert tasks["next-purchase"] == {"users": 1, "cold_users": 0, "candidates": 3, "relevant": 2}


@pytest.mark.parametrize(
    ("status", "reason"),
    [(-9, "the process was killed, most likely for want of memory"), (1, "the process was ended with 1")],
)
def test_a_process_that_dies_is_a_failed_cell(
    data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, status))
    cell = Cell(SMALL, "ease", 0, data, "code")
    record = measure_apart(cell, cell.stem(tmp_path), tmp_path, tmp_path)
    assert (record["status"], record["reason"]) == ("failed", reason)
    assert load(cell.stem(tmp_path)) == record


def test_figures_of_code_that_changed_meanwhile_are_not_kept(
    data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Cell(SMALL, "popularity", 0, data, "code of yesterday")
    monkeypatch.setattr(one_cell, "PROTOCOLS", {"small": SMALL})
    words = ["one_cell", "small", "popularity", "0", "--cache", str(tmp_path), "--results", str(tmp_path)]
    words += ["--code", cell.code]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        one_cell.main()
    monkeypatch.setattr(subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, ended.value.code))
    with pytest.raises(SystemExit, match="the code of the model has changed"):
        measure_apart(cell, cell.stem(tmp_path), tmp_path, tmp_path)
    assert load(cell.stem(tmp_path)) is None


def test_a_page_without_any_cell_lists_every_protocol(tmp_path: Path) -> None:
    text = page(sections(tmp_path, tmp_path, ("item-knn", "text"), 1, lambda _: "code"))
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(PROTOCOLS)
    # text has no row where there is none, or where relations that it does not read make the difference
    without_text = 2 + sum(protocol.lacks >= {"text"} for protocol in PROTOCOLS.values())
    waiting = [line[2:].split(":")[0].split(", ") for line in text.splitlines() if line.endswith(f": {NOT_YET}")]
    counts = {name: sum(name in names for names in waiting) for name in ("item-knn", "text", "gds-similarity")}
    assert counts == {
        "item-knn": len(PROTOCOLS),
        "text": len(PROTOCOLS) - without_text,
        "gds-similarity": len(PROTOCOLS) - 2,
    }


def test_a_peer_with_lists_for_some_users_is_compared_over_those(data: Prepared, plan: Plan) -> None:
    """u1 alone has a list, whose second place is right; the model found what u0 wanted and nothing of u1."""
    fill(plan, ready(data), measuring(made_up([])))
    lists = pd.DataFrame({"user_id": ["u1", "u1"], "rank": [1, 2], "product_id": ["e", "f"], "score": [2.0, 1.0]})
    task, peer = of_lists(SMALL, data, lists)
    assert task == "new-product"
    assert peer.index.tolist() == ["u1"]
    assert peer.loc["u1"].tolist() == pytest.approx([1 / np.log2(3), 1.0])
    cells = kept_cells(SMALL, data, ["network"], 1, plan.results, plan.code)
    found = compared(peer, cells, task)
    assert list(found) == ["", "network"]
    assert [one.mean for one in found["network"][0]] == [0.0, 0.0]
    assert found["network"][1].mean == pytest.approx(-1 / np.log2(3))
    assert found[""][1].mean == 0.0
