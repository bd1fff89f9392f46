"""`shopgraph tune`: the winner goes into shopgraph.toml, and nothing else in that file moves."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import ShopgraphError
from shopgraph.cli.main import main
from shopgraph.cli.tune import command
from shopgraph.settings import load_settings
from shopgraph.settings_edit import edit_settings, with_values
from shopgraph.workspace import Workspace

Chunk = tuple[str, tuple[str, ...]]
"""A statement with its comment, and the path of its value; blank and comment lines and headers have none."""


class Shop(Protocol):
    workspace: Path


SECTIONS = ("train", "model", "models.ease", "models.item_knn", "models.item_knn.side", "other")
KEYS = ("lr", "layers", "penalties", "view", "shrink")
VALUES = (
    "1",
    "0.5",
    "true",
    '"a # b = c"',
    "'x'",
    "[1, 2]",
    "[ # many\n  1, # one\n  2,\n]",
    '"""\n[train]\nlr = 9\n"""',
)
REMARKS = ("", "  # mine", "#tight", "\t# with = and [train]")


@st.composite
def documents(draw: st.DrawFn) -> list[Chunk]:
    """A settings file as a person might write it, every statement apart."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    chunks: list[Chunk] = []
    for section in draw(st.lists(st.sampled_from(SECTIONS), unique=True)):
        path = tuple(section.split("."))
        chunks += [(f"{text}{end}", ()) for text in draw(st.lists(st.sampled_from(["", "# remark", "  # [train]"])))]
        chunks.append((f"[{section}]{draw(st.sampled_from(REMARKS))}{end}", ()))
        for key in draw(st.lists(st.sampled_from(KEYS), unique=True)):
            name = draw(st.sampled_from([key, f'"{key}"', f"  {key}"]))
            equals = draw(st.sampled_from([" = ", "=", "   =\t"]))
            value = draw(st.sampled_from(VALUES)).replace("\n", end)
            chunks.append((f"{name}{equals}{value}{draw(st.sampled_from(REMARKS))}{end}", (*path, key)))
            chunks += [(f"{text}{end}", ()) for text in draw(st.lists(st.sampled_from(["", "# remark"]), max_size=1))]
    if chunks and draw(st.booleans()):
        chunks[-1] = (chunks[-1][0].removesuffix(end), chunks[-1][1])
    return chunks


def expected(text: str, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    whole = at = tomllib.loads(text)
    for name in path[:-1]:
        at = at.setdefault(name, {})
    at[path[-1]] = value
    return whole


@given(
    documents(), st.sampled_from(SECTIONS[:-1]), st.sampled_from(KEYS), st.sampled_from([7, 0.25, "b", False, [3.5]])
)
def test_only_the_statement_that_changes_changes(chunks: list[Chunk], section: str, key: str, value: Any) -> None:
    text = "".join(chunk for chunk, _ in chunks)
    path = (*section.split("."), key)
    new = with_values(text, {".".join(path): value})
    assert tomllib.loads(new) == expected(text, path, value)
    at = next((n for n, (_, own) in enumerate(chunks) if own == path), None)
    if at is not None:
        before, after = ("".join(chunk for chunk, _ in part) for part in (chunks[:at], chunks[at + 1 :]))
        assert new.startswith(before)
        assert new.endswith(after)
        changed = new[len(before) : len(new) - len(after)]
        old = chunks[at][0]
        assert changed[: changed.index("=") + 1] == old[: old.index("=") + 1]
        for remark in REMARKS[1:]:
            assert changed.rstrip("\r\n").endswith(remark) == old.rstrip("\r\n").endswith(remark)
        return
    lines, old_lines = new.splitlines(keepends=True), text.splitlines(keepends=True)
    if old_lines and not old_lines[-1].endswith("\n"):
        old_lines[-1] += "\r\n" if "\r\n" in text else "\n"
    more = len(lines) - len(old_lines)
    assert 1 <= more <= 3  # the key; a header before it; an empty line before that
    assert any(lines[:n] + lines[n + more :] == old_lines for n in range(len(old_lines) + 1))
    assert ("\r\n" in text) == all(line.endswith("\r\n") for line in lines) or not text.strip("\n")


def test_several_keys_in_a_file_with_remarks() -> None:
    text = """# mine
[split]
method = "time"   # by days

# a slow machine
[train]
lr    = 0.1   # too large?
epochs=3

[models.ease]
penalties = [
  10,  # small
  1000,
]
"""
    values = {
        "train.lr": 0.002,
        "train.dropout": 0.5,
        "models.ease.penalties": [412.0],
        "models.ease.side.view": 0.1,
        "model.layers": 3,
        "graph.use_brands": False,
    }
    assert (
        with_values(text, values)
        == """# mine
[split]
method = "time"   # by days

# a slow machine
[train]
lr    = 0.002   # too large?
epochs=3
dropout = 0.5

[models.ease]
penalties = [412.0]

[models.ease.side]
view = 0.1

[model]
layers = 3

[graph]
use_brands = false
"""
    )


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("train.lr = 1\n", "train.lr = 2\ntrain.epochs = 3\n"),
        ("train = {lr = 1} # short\n", "train = {lr = 2, epochs = 3} # short\n"),
        ("models = {ease = {x = 1}}\n", "models = {ease = {x = 1}}\n\n[train]\nlr = 2\nepochs = 3\n"),
        ("[[train_of]]\nlr = 1\n", "[[train_of]]\nlr = 1\n\n[train]\nlr = 2\nepochs = 3\n"),
        ("", "[train]\nlr = 2\nepochs = 3\n"),
    ],
)
def test_other_ways_to_write_a_table(text: str, new: str) -> None:
    assert with_values(text, {"train.lr": 2, "train.epochs": 3}) == new


@pytest.mark.parametrize("text", ["[train\n", "[[train]]\nlr = 1\n", "train = 3\n"])
def test_a_file_that_cannot_be_edited_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "shopgraph.toml"
    path.write_text(text)
    with pytest.raises(ShopgraphError, match=r"shopgraph\.toml.*train\.lr = 0\.5"):
        edit_settings(path, {"train.lr": 0.5})
    assert [p.name for p in tmp_path.iterdir()] == ["shopgraph.toml"]
    assert path.read_text() == text


def test_the_file_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "shopgraph.toml"
    assert edit_settings(path, {"train.lr": 0.5}) is None
    assert edit_settings(path, {"train.lr": 0.25}) == tmp_path / "shopgraph.toml.bak"
    assert (tmp_path / "shopgraph.toml.bak").read_text() == "[train]\nlr = 0.5\n"
    assert load_settings(Workspace(tmp_path)).gnn.train.lr == 0.25


@pytest.fixture
def place(shop: Shop, tmp_path: Path) -> Path:
    """A workspace of the test's own, with settings under which item-kNN can be bettered."""
    copied = tmp_path / "work"
    shutil.copytree(shop.workspace, copied)
    (copied / "shopgraph.toml").write_text("[models.item_knn] # nearest\nneighbours = 5  # too few\n[eval]\nk = [5]\n")
    return copied


def test_the_winner_is_written_and_the_search_goes_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = place / "shopgraph.toml"
    before = settings.read_text()
    command("item-knn", trials=6, dry_run=True, json_output=True, workspace=place)
    dry = json.loads(capsys.readouterr().out)
    assert settings.read_text() == before
    assert not dry["written"]
    assert dry["fits"] == 6
    command("item-knn", trials=6, json_output=True, workspace=place)
    found = json.loads(capsys.readouterr().out)
    assert (found["written"], found["fits"]) == (True, 0)
    assert found["metric"] == "ndcg@5"
    assert found["trials"] == dry["trials"]
    assert found["best_value"] > found["current_value"]
    assert found["changes"]["models.item_knn.neighbours"] == [5, found["best"]["models.item_knn.neighbours"]]
    knn = load_settings(Workspace(place)).gnn.models.item_knn
    names = ("shrink", "neighbours", "weighting")
    assert {f"models.item_knn.{name}": getattr(knn, name) for name in names} == found["best"]
    assert "  # too few\n" in settings.read_text()
    assert (place / "shopgraph.toml.bak").read_text() == before
    with (place / "reports" / "tuning" / "item-knn.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert max(float(row["ndcg@5"]) for row in rows) == found["best_value"]
    assert (place / "reports" / "tuning" / "item-knn.png").read_bytes().startswith(b"\x89PNG")

    written = settings.read_text()
    command("item-knn", trials=6, workspace=place)
    said = capsys.readouterr()
    assert f"{found['best_value']:.4f}" in said.out
    assert "the settings as they are were the best of 6 trials" in said.err
    assert settings.read_text() == written
    assert "written: " not in said.err


def test_what_is_said_of_the_gain(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = ["models.item_knn.neighbours"]
    command("item-knn", trials=4, settings=["models.item_knn.shrink=3"], only=only, workspace=place)
    said = capsys.readouterr().err
    assert "models.item_knn.neighbours: 5 → " in said
    assert "95 % interval over users" in said
    assert "expect less" in said
    assert "--set models.item_knn.shrink=3, which is not written" in said
    assert "next: shopgraph train --model item-knn" in said
    assert "shrink" not in (place / "shopgraph.toml").read_text()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--model", "nothing"], "unknown model 'nothing'"),
        (["--model", "fused"], "fused has no settings of its own"),
        (["--model", "ease", "--only", "train.lr"], "'train.lr' is not searched for ease"),
        (["--model", "ease", "--trials", "0"], "0 trials"),
        (["--model", "ease", "--set", "train.epoch=1"], "epoch"),
    ],
)
def test_a_mistake_is_one_line(
    shop: Shop, words: list[str], named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["shopgraph", "tune", *words, "--workspace", str(shop.workspace)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    said = capsys.readouterr()
    errors = [line for line in said.err.splitlines() if not line.startswith("✓")]
    assert said.out == ""
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert named in errors[0]
    assert not (shop.workspace / "reports" / "tuning").exists()


def test_without_a_workspace(tmp_path: Path) -> None:
    with pytest.raises(ShopgraphError, match="there is no workspace"):
        command("ease", workspace=tmp_path / "none")
