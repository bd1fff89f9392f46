"""The workspace: its lock, its state, its messages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from shopgraph.errors import AppError
from shopgraph.workspace import Workspace, write_whole

Run = Callable[..., subprocess.CompletedProcess[str]]


class Shop(Protocol):
    workspace: Path


def test_state_is_remembered_and_merged(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    workspace.create()
    workspace.remember(store="a")
    workspace.remember(source="b")
    assert workspace.state() == {"format": 1, "store": "a", "source": "b"}


def test_the_store_is_the_one_asked_for_else_built_with_else_embedded(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.create()
    assert workspace.store_url(None) == str(tmp_path / "graph.lbug")
    workspace.remember(store="neo4j://localhost:7687")
    assert workspace.store_url(None) == "neo4j://localhost:7687"
    assert workspace.store_url("other.lbug") == "other.lbug"


def test_the_state_names_a_store_wherever_a_command_is_called_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(Path("w"))
    assert workspace.store_name(workspace.store_url(None)) == ""
    assert workspace.store_name("other.lbug") == str(tmp_path / "other.lbug")
    assert workspace.store_name("bolt://localhost:7687") == "bolt://localhost:7687"


def test_a_workspace_can_be_moved(run: Run, shop: Shop, tmp_path: Path) -> None:
    moved = shutil.copytree(shop.workspace, tmp_path / "moved")
    done = run("recommend", "--user", "u00", "--json", "--workspace", str(moved))
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 10


def test_a_second_writer_is_told_who_writes(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom shopgraph.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).writing():\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(AppError, match=str(other.pid)), Workspace(tmp_path).writing():
            pass
        other.stdin.close()
        other.wait(timeout=30)
    with Workspace(tmp_path).writing():
        pass  # free again once the holder has ended


def test_a_workspace_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "workspace.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(AppError, match="format 99"):
        Workspace(tmp_path).require()


def test_a_missing_workspace_names_the_command_to_run(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="graph-build"):
        Workspace(tmp_path / "nowhere").require()


def test_a_workspace_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AppError) as caught:
        Workspace(tmp_path / "file").create()
    assert "\n" not in str(caught.value)


def test_write_whole_leaves_the_old_text_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_whole(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(target, "new \udce9")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
