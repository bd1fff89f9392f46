"""What is said of products, from the delivered table to the terminal, and what the encoder cannot read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from shopgraph.checks import text_encoder
from shopgraph.workspace import Workspace

Run = Callable[..., CompletedProcess[str]]
PRODUCTS = """product_id,title,brand,category,colour
p1,有机绿茶 250克,武夷山,饮料 > 茶叶,
p2,"Té verde ""niño"", 250 g",Peñalba &amp; Cía,Bebidas > Té,verde
p3,зелёный чай,,,
"""


@pytest.fixture(scope="module")
def workspace(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with titles in three scripts, built."""
    root = tmp_path_factory.mktemp("scripts")
    (root / "tables").mkdir()
    (root / "tables" / "products.csv").write_text(PRODUCTS, encoding="utf-8")
    done = run("graph-build", str(root / "tables"), "--workspace", str(root / "work"))
    assert done.returncode == 0, done.stderr
    return root / "work"


def test_show_prints_what_is_said_and_encodes_nothing(run: Run, workspace: Path) -> None:
    done = run("encode", "--show", "9", "--json", "--workspace", str(workspace))
    assert done.returncode == 0, done.stderr
    said = [(row["label"], row["id"], row["text"]) for row in json.loads(done.stdout)]
    assert said[:3] == [
        ("Product", "p1", "有机绿茶 250克. 武夷山. 饮料, 茶叶"),
        ("Product", "p2", 'Té verde "niño", 250 g. Peñalba & Cía. Bebidas. colour verde'),
        ("Product", "p3", "зелёный чай"),
    ]
    assert [text for label, _, text in said if label == "Brand"] == ["Peñalba & Cía", "武夷山"]
    assert ("Category", "饮料 > 茶叶", "饮料, 茶叶") in said
    assert not (workspace / "embeddings").exists()
    table = run("encode", "--show", "1", "--workspace", str(workspace), "--set", "encode.text.product=[{title}]")
    assert "有机绿茶 250克\n" in table.stdout
    assert "Brand" in table.stdout


def test_a_template_that_names_what_is_not_there(run: Run, workspace: Path) -> None:
    done = run("encode", "--show", "1", "--workspace", str(workspace), "--set", "encode.text.product=[{color}]")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no Product has the text 'color'" in done.stderr
    assert "colour" in done.stderr


def test_encode_and_doctor_warn_of_scripts_that_the_model_does_not_know(run: Run, workspace: Path) -> None:
    warning = "67% of the titles have words in a script that all-MiniLM-L6-v2 does not know"
    done = run("encode", "--workspace", str(workspace))
    assert done.returncode == 0, done.stderr
    assert f"note: {warning} (Chinese characters, Cyrillic)" in done.stderr
    encoder, titles = text_encoder(Workspace(workspace))
    assert (encoder.state, encoder.found) == ("ok", "all-MiniLM-L6-v2, 384 numbers per text")
    assert (titles.state, titles.remedy) == ("missing", "set encode.model to a multilingual model")
    assert titles.found.startswith(warning)


def test_doctor_of_a_model_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shopgraph.toml").write_text('[encode]\nmodel = "some/model"\n')

    def refuse(name: str, local_files_only: bool = False, **_: object) -> str:
        assert local_files_only, "doctor fetches nothing"
        raise OSError("not here")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    (check,) = text_encoder(Workspace(tmp_path))
    assert (check.state, check.found) == ("failed", "the model 'some/model' is not on this machine yet")
    (tmp_path / "shopgraph.toml").write_text("")
    (check,) = text_encoder(Workspace(tmp_path))
    assert check.state == "ok"
