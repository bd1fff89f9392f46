"""What the README says works: its Python, and the files that it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import pytest

from bench.file_tree import file_tree

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


class Shop(Protocol):
    tables: Path


def test_the_quickstart_runs_as_it_stands(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert code is not None
    assert len(code[1].splitlines()) <= 40
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-shop").symlink_to(shop.tables)
    exec(compile(code[1], "README.md", "exec"), {"__name__": "__main__"})
    assert len(capsys.readouterr().out.splitlines()) >= 5


def test_every_file_that_the_readme_links_exists() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links {target}"


def test_the_list_of_files_is_current() -> None:
    assert file_tree() in README, "put the output of python -m bench.file_tree into the README"
