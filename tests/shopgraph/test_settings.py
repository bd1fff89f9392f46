"""shopgraph.toml, overrides, and the page that documents them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ingest.errors import ShopgraphError
from shopgraph.settings import COMPLETE_JOURNEY, ROOMS, Settings, load_settings, provide_settings
from shopgraph.settings_page import documented_fields, settings_page
from shopgraph.workspace import Workspace

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    assert load_settings(Workspace(tmp_path)) == Settings()


def test_file_then_override(tmp_path: Path) -> None:
    (tmp_path / "shopgraph.toml").write_text("[train]\nepochs = 5\nlr = 0.1\n[encode]\nmax_tokens = 32\n")
    settings = load_settings(Workspace(tmp_path), ["train.epochs=7", "encode.max_tokens=16"])
    assert (settings.gnn.train.epochs, settings.gnn.train.lr, settings.encode.max_tokens) == (7, 0.1, 16)


@pytest.mark.parametrize(
    ("text", "word"),
    [("[train]\nepoch = 5\n", "epoch"), ("[trane]\nepochs = 5\n", "trane"), ("[train\n", "shopgraph.toml")],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "shopgraph.toml").write_text(text)
    with pytest.raises(ShopgraphError) as caught:
        load_settings(Workspace(tmp_path))
    assert word in str(caught.value)
    assert "shopgraph.toml" in str(caught.value)


@pytest.mark.parametrize("override", ["train.epochs", "train.epochs=many", "train.nothing=1", "nothing=1", "train=1"])
def test_a_mistake_in_an_override_is_named(tmp_path: Path, override: str) -> None:
    with pytest.raises(ShopgraphError):
        load_settings(Workspace(tmp_path), [override])


def test_a_source_brings_its_settings_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    provide_settings(workspace, "complete-journey")
    assert workspace.settings_file.read_text() == COMPLETE_JOURNEY
    assert load_settings(workspace).gnn.split.test_from == "2017-10-15"
    provide_settings(workspace, "elsewhere")
    assert workspace.settings_file.read_text() == COMPLETE_JOURNEY


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == settings_page(), "run: python -m shopgraph.settings_page > docs/settings.md"


def test_every_setting_says_what_it_means() -> None:
    settings = Settings()
    groups = [*(getattr(settings, room) for room in ROOMS), *vars(settings.gnn).values()]
    silent = [f"{type(g).__name__}.{name}" for g in groups for name, _, meaning in documented_fields(g) if not meaning]
    assert silent == []
    assert not re.search(r"\| +\|$", settings_page(), flags=re.MULTILINE)
