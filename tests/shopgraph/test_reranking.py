"""`[rerank]` of the settings, and `shopgraph trade-off`, through the installed command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest


@pytest.fixture
def ruled(shop: Any, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the shop's workspace with these settings of re-ranking."""

    def make(rules: str) -> Path:
        place = tmp_path / "work"
        shutil.copytree(shop.workspace, place)
        with (place / "shopgraph.toml").open("a") as file:
            file.write(f"[rerank]\n{rules}\n")
        return place

    return make


def test_the_settings_rule_the_lists_unless_told_otherwise(run: Any, shop: Any, ruled: Any, tmp_path: Path) -> None:
    place = ruled('pinned = ["2:p03"]\nper_brand = 2')
    lists = {}
    for option in ([], ["--no-rerank"]):
        file = tmp_path / "recs.parquet"
        done = run("recommend", "--users", "all", "--k", "6", "--out", str(file), *option, "--workspace", str(place))
        assert done.returncode == 0, done.stderr
        lists[bool(option)] = pd.read_parquet(file)
    events = pd.read_csv(shop.tables / "events.csv")
    second = {o: recs[recs["rank"] == 2].set_index("user_id")["product_id"] for o, recs in lists.items()}
    never = [u for u in second[False].index if "p03" not in set(events["product_id"][events["user_id"] == u])]
    assert len(never) > 15
    assert set(second[False][never]) == {"p03"}
    assert (second[True] == "p03").mean() < 0.5
    raw = lists[True].groupby("user_id")["score"]
    assert raw.apply(lambda s: s.is_monotonic_decreasing).all()


def test_rules_that_make_no_sense_are_one_line(run: Any, ruled: Any) -> None:
    place = ruled("mmr = 2.0")
    for words in (["recommend", "--user", "u00"], ["trade-off"]):
        done = run(*words, "--workspace", str(place))
        assert done.returncode == 1
        assert "mmr is 2.0 ([rerank])" in done.stderr
        assert "Traceback" not in done.stderr
    done = run("recommend", "--user", "u00", "--no-rerank", "--workspace", str(place))
    assert done.returncode == 0, done.stderr


def test_the_trade_off_is_a_table_a_picture_and_json(run: Any, shop: Any, tmp_path: Path) -> None:
    picture = tmp_path / "new" / "curve.png"
    tail = ["--workspace", str(shop.workspace)]
    done = run("trade-off", "--rule", "mmr", "--k", "5", "--out", str(picture), "--json", *tail)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert list(report["rules"]) == ["mmr"]
    assert report["settings"] == {"mmr": 0.05}
    assert (report["k"], report["stage"]) == (5, "valid")
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    done = run("trade-off", "--out", str(tmp_path / "all.svg"), *tail)
    assert done.returncode == 0, done.stderr
    for word in ("mmr", "calibration", "exposure", "coverage", "0.05 *"):
        assert word in done.stdout
    drawing = (tmp_path / "all.svg").read_text()
    assert drawing.count('id="axes_') == 4


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["--out", "curve.gif"], 1, "curve.gif"),
        (["--rule", "luck"], 2, "luck"),
        (["--k", "-2"], 1, "k is -2"),
    ],
)
def test_wrong_words_are_named(run: Any, shop: Any, words: list[str], code: int, named: str) -> None:
    done = run("trade-off", *words, "--workspace", str(shop.workspace))
    assert done.returncode == code
    assert named in done.stderr
    assert "Traceback" not in done.stderr
