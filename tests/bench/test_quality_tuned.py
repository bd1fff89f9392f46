"""Settings are searched on validation with the same budget, kept, used by the cells and told on the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.data import contract_folder
from bench.quality import tuned
from bench.quality.assemble import kept_cells, searches, section
from bench.quality.cells import Cell
from bench.quality.datasets import DataSet, Prepared, prepare
from bench.quality.page import page
from bench.quality.protocols import PROTOCOLS, Protocol
from bench.quality.scoreboard import Plan, search_all, wanted
from bench.quality.tuned import Budget, base_of, found, missing, search, settings_of

SMALL = Protocol(
    "small",
    "small",
    "Made by hand.",
    {"split": {"method": "column", "min_buyers": 0}, "eval": {"k": [2], "bootstrap": 50}, "train": {"threads": 1}},
    ("ndcg@2",),
    lacks=frozenset({"text"}),
)
FEW = Budget(trials=4, minutes=1.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Everyone takes three of a to d in train and the fourth in valid."""
    home = tmp_path_factory.mktemp("small")
    rows = [(f"u{u}", p, "valid" if p == "abcd"[u % 4] else "train") for u in range(12) for p in "abcd"]
    raw = home / "events.csv"
    pd.DataFrame(rows, columns=["user_id", "product_id", "split"]).assign(event="purchase").to_csv(raw, index=False)
    shop = DataSet(
        "small",
        lambda: [raw],
        contract_folder,
        lambda out, _: contract_folder.write_tables(out, {"events": pd.read_csv(raw)}),
    )
    return prepare(shop, cache=home / "cache")


def keep(cache: Path, data: Prepared, model: str, settings: Mapping[str, Any], **facts: Any) -> None:
    path = cache / "tuned" / "small" / f"{model}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"inputs": tuned._inputs(SMALL, data), "budget": vars(FEW), "settings": dict(settings)}
    path.write_text(json.dumps(record | {"trials": 4, "validation": {"before": 0.1, "after": 0.25}} | facts))


def test_a_search_is_kept_and_not_repeated(data: Prepared, tmp_path: Path) -> None:
    record = search(SMALL, data, "item-knn", FEW, tmp_path, tmp_path / "journals")
    assert record["trials"] == 4
    assert record["validation"]["after"] >= record["validation"]["before"]
    assert found(SMALL, data, "item-knn", tmp_path) == json.loads(json.dumps(record))
    assert missing(SMALL, data, ("popularity", "item-knn", "ease", "text"), FEW, tmp_path) == ["ease"]
    assert missing(SMALL, data, ("item-knn",), Budget(5, 1.0), tmp_path) == ["item-knn"]
    again = search(
        SMALL, data, "item-knn", FEW, tmp_path, tmp_path / "journals"
    )  # the search's own journal knows all trials
    assert again == record


def test_nothing_to_search_is_kept_with_the_reason(data: Prepared, tmp_path: Path) -> None:
    record = search(SMALL, data, "own-repeats", FEW, tmp_path, tmp_path / "journals")
    assert "own-repeats has nothing to tune on this graph" in record["reason"]
    assert record["settings"] == {}
    assert missing(SMALL, data, ("own-repeats",), FEW, tmp_path) == []
    assert searches(SMALL, data, ("own-repeats",), tmp_path) == []


def test_settings_of_another_graph_or_question_do_not_hold(data: Prepared, tmp_path: Path) -> None:
    keep(tmp_path, data, "item-knn", {"models.item_knn.shrink": 2.5})
    assert settings_of(SMALL, data, "item-knn", tmp_path) == {"models.item_knn.shrink": 2.5}
    assert settings_of(SMALL, replace(data, folder=tmp_path / "other"), "item-knn", tmp_path) == {}
    asked = replace(SMALL, settings={**SMALL.settings, "eval": {"k": [3]}})
    assert settings_of(asked, data, "item-knn", tmp_path) == {}


def test_cells_take_the_settings_found(data: Prepared, tmp_path: Path) -> None:
    keep(tmp_path, data, "item-knn", {"models.item_knn.shrink": 2.5})
    keep(tmp_path, data, "network", {"train.lr": 0.004})
    plan = Plan([SMALL], ("item-knn", "ease", "network", "fused", "auto"), 1, tmp_path, lambda _: "code")
    cells = {cell.model: cell.config for cell in wanted(plan, lambda _: data)}
    assert cells["item-knn"].models.item_knn.shrink == 2.5
    shipped = Cell(SMALL, "ease", 0, data, "code").config
    assert cells["ease"] == shipped
    for model in ("network", "fused", "auto"):
        assert cells[model].train.lr == 0.004
    for model in ("fused", "auto"):  # item-knn is a part of both
        assert cells[model].models.item_knn.shrink == 2.5


def test_every_model_has_the_same_budget_and_what_is_known_is_not_searched(data: Prepared, tmp_path: Path) -> None:
    asked: list[tuple[str, str, Budget]] = []
    said: list[str] = []

    def run(protocol: Protocol, model: str, budget: Budget, cache: Path) -> Mapping[str, Any]:
        asked.append((protocol.name, model, budget))
        keep(cache, data, model, {}, budget=vars(budget))
        return {"trials": 4, "settings": {}} if model == "ease" else {"reason": "there is no memory"}

    twin = replace(SMALL, name="twin", tuned_on="")
    plan = Plan(
        [SMALL, SMALL], ("popularity", "ease", "als", "text", "fused"), 1, tmp_path, lambda _: "code", search=FEW
    )
    assert search_all(plan, lambda _: data, run, said.append) == 2
    assert asked == [("small", "ease", FEW), ("small", "als", FEW)]
    assert said == ["small, ease: 4 trials, {}", "small, als: there is no memory"]
    assert search_all(plan, lambda _: data, run, said.append) == 0
    assert search_all(replace(plan, search=None, protocols=[twin]), lambda _: data, run, said.append) == 0
    clock = iter([0.0, 59.0, 61.0]).__next__
    late = replace(plan, search=Budget(5, 1.0), minutes=1.0)
    assert search_all(late, lambda _: data, run, said.append, clock) == 1
    assert said[-1] == "stopped: 1 minutes are over"


def test_protocols_that_share_settings_read_the_same_validation() -> None:
    for protocol in PROTOCOLS.values():
        base = base_of(protocol)
        assert base.tuned_on == ""
        assert base.settings["split"]["method"] == protocol.settings["split"]["method"]
        assert not base.only


def test_the_page_tells_what_was_searched(data: Prepared, tmp_path: Path) -> None:
    keep(tmp_path, data, "item-knn", {"models.item_knn.shrink": 2.5, "models.ease.penalties": [7.0]})
    keep(tmp_path, data, "als", {}, validation={"before": None, "after": 0.5})
    models = ("item-knn", "als", "ease")
    found_ = searches(SMALL, data, models, tmp_path)
    cells = kept_cells(SMALL, data, models, 1, tmp_path, lambda _: "code")
    text = page([section(SMALL, data, models, cells, found_)])
    assert "4 trials or 1 minutes each" in text
    assert "| item-knn | 4 | .1000 | .2500 | `models.item_knn.shrink` 2.5, `models.ease.penalties` 7.0 |" in text
    assert "| als | 4 | – | .5000 | as shipped |" in text  # noqa: RUF001 - a dash of the width of a number
    other = section(replace(SMALL, tuned_on="beauty-loo"), data, models, cells, found_)
    assert "Settings: those found on the validation part of beauty-loo." in page([other])
