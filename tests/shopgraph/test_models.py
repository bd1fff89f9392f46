"""Any recommender by the same commands: train, evaluate, recommend, explain; and the leak check."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Protocol

import pandas as pd
import pytest


class Shop(Protocol):
    workspace: Path


Run = Callable[..., CompletedProcess[str]]
FEW = ("--set", "eval.bootstrap=50", "--set", "train.epochs=3")


@pytest.fixture
def copy(shop: Shop, tmp_path: Path) -> Path:
    return shutil.copytree(shop.workspace, tmp_path / "work")


@pytest.mark.parametrize("model", ["ease", "auto"])
def test_one_model_all_commands(model: str, copy: Path, run: Run, tmp_path: Path) -> None:
    trained = run("train", "--model", model, *FEW, "--json", "--workspace", str(copy))
    assert trained.returncode == 0, trained.stderr
    said = json.loads(trained.stdout)
    assert said["model"] == model
    validation = said["validation"]["new-product"]
    assert ("because" in validation) == (model == "auto")
    evaluated = run("evaluate", "--json", "--workspace", str(copy))
    assert evaluated.returncode == 0, evaluated.stderr
    figures = json.loads(evaluated.stdout)["tasks"]["new-product"]["recommenders"]
    assert model in figures
    assert figures[model]["metrics"]["ndcg@10"]["mean"] > figures["popularity"]["metrics"]["ndcg@10"]["mean"]
    out = tmp_path / "recs.parquet"
    assert run("recommend", "--users", "all", "--out", str(out), "--workspace", str(copy)).returncode == 0
    lists = pd.read_parquet(out)
    assert lists.groupby("user_id").size().eq(10).all()
    first = lists.iloc[0]
    why = run("explain", "--user", first["user_id"], "--product", first["product_id"], "--workspace", str(copy))
    assert why.returncode == 0, why.stderr
    near = run("similar", "--product", "p03", "--json", "--workspace", str(copy))
    assert near.returncode == 0, near.stderr
    assert all(int(row["similar_id"][1:]) % 2 for row in json.loads(near.stdout)[:5])
    done = run("publish", "--similar", "5", "--workspace", str(copy))
    assert done.returncode == 0, done.stderr
    words = ("query", "similar_products", "--param", "product=p03", "--format", "json", "--workspace", str(copy))
    published = [row["product"] for row in json.loads(run(*words).stdout)]
    assert published == [row["similar_id"] for row in json.loads(near.stdout)[:5]]


def test_the_refit_that_recommends_can_be_evaluated(copy: Path, run: Run) -> None:
    words = ("--workspace", str(copy))
    missing = run("evaluate", "--live", *words)
    assert missing.returncode == 1
    assert "there is no refit" in missing.stderr
    assert "shopgraph train --refit" in missing.stderr
    both = run("evaluate", "--live", "--recs", "some.csv", *words)
    assert both.returncode == 1
    assert "exclude each other" in both.stderr
    assert run("train", "--model", "network", "--refit", *FEW, *words).returncode == 0
    said = [json.loads(run("evaluate", *which, "--json", *words).stdout) for which in ((), ("--live",), ("--live",))]
    plain, live, again = (one["tasks"]["new-product"]["recommenders"] for one in said)
    assert live == again
    assert plain["item-knn"] == live["item-knn"]  # counted again for either
    assert plain["network"] != live["network"]


def test_an_unknown_model_is_named_with_the_known_ones(copy: Path, run: Run) -> None:
    done = run("train", "--model", "magic", "--workspace", str(copy))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: unknown model 'magic' (--model); known are fused, auto, ")


def test_the_leak_check_says_who_is_clean(copy: Path, run: Run) -> None:
    done = run("leak-check", "--model", "ease", "--model", "popularity", *FEW, "--json", "--workspace", str(copy))
    assert done.returncode == 0, done.stderr
    verdicts = json.loads(done.stdout)
    assert {v["model"] for v in verdicts} == {"ease", "popularity"}
    assert not any(v["leaks"] for v in verdicts)
    assert not list(copy.glob(".leak-check-*"))


def test_lists_for_new_events(copy: Path, run: Run, tmp_path: Path) -> None:
    assert run("train", "--model", "ease", *FEW, "--workspace", str(copy)).returncode == 0
    events, tail = tmp_path / "events.csv", ("--workspace", str(copy))
    events.write_text("user_id,product_id\nguest,p03\nguest,p05\nother,p02\nother,nothing\n")
    shown = run("recommend", "--events", str(events), "--k", "3", *tail)
    assert shown.returncode == 0, shown.stderr
    assert "For user guest" in shown.stdout
    assert "1 events skipped: unknown product" in shown.stderr
    rows = json.loads(run("recommend", "--events", str(events), "--k", "3", "--json", *tail).stdout)
    assert [(row["user_id"], row["rank"]) for row in rows] == [(u, n) for u in ("guest", "other") for n in (1, 2, 3)]
    assert all(int(row["product_id"][1:]) % 2 == (row["user_id"] == "guest") for row in rows)  # odd and even tastes
    assert all(row["title"] for row in rows)
    out = tmp_path / "lists.csv"
    assert run("recommend", "--events", str(events), "--out", str(out), *tail).returncode == 0
    assert pd.read_csv(out).groupby("user_id").size().tolist() == [10, 10]
    both = run("recommend", "--events", str(events), "--user", "u00", *tail)
    assert both.returncode == 2
    events.write_text("user_id,thing\nguest,p03\n")
    refused = run("recommend", "--events", str(events), *tail)
    assert refused.returncode == 1
    assert "no column product_id" in refused.stderr
