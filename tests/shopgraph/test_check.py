"""The command `check`: tables for people, JSON for scripts, the draft in a file, exit codes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shopgraph.cli.main import app
from shopgraph.errors import AppError

SALES = "CustomerID,StockCode,qty,InvoiceDate\n" + "".join(f"c{i},[s],{i},{i + 12}.01.2024\n" for i in range(1, 9))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "my [shop]"
    folder.mkdir()
    (folder / "sales.csv").write_text(SALES)
    return folder


def run(tmp_path: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", *words, "--workspace", str(tmp_path / "w")], catch_exceptions=False)
    return done.exit_code, done.stdout


def test_what_a_person_sees(shop: Path, tmp_path: Path) -> None:
    code, text = run(tmp_path, str(shop))
    assert code == 0
    for words in (
        "my [shop]",
        "sales.csv",
        "CustomerID",
        "8 different",
        "2024-01-13T00:00:00Z",
        '"StockCode"',
        "'[s]'",
    ):
        assert words in text
    assert not (tmp_path / "w").exists()


def test_json_and_the_draft_in_a_file(shop: Path, tmp_path: Path) -> None:
    target = tmp_path / "mapping.toml"
    code, text = run(tmp_path, str(shop), "--json", "--write-mapping", str(target))
    report = json.loads(text)
    assert code == 0
    assert report["usable"] is True
    assert report["tables"]["events"]["quality"]["loaded"] == 8
    assert tomllib.loads(target.read_text()) == tomllib.loads(report["draft"])
    code, text = run(tmp_path, str(shop), "--json", "--mapping", str(target))
    assert json.loads(text)["draft"] is None
    with pytest.raises(AppError, match="already"):
        run(tmp_path, str(shop), "--write-mapping", str(target))


def test_nothing_usable_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, text = run(tmp_path, str(tmp_path / "empty"))
    assert code == 1
    assert "Nothing can be loaded" in text


def test_help_lists_the_shipped_mappings() -> None:
    for command in ("check", "graph-build"):
        text = " ".join(CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout.split())
        assert "amazon-2014, amazon-2018, amazon-2023, online-retail, tmall" in text
