"""Errors become one line and an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ingest.errors import IngestError
from shopgraph.cli.main import one_line

SHOPGRAPH = str(Path(sys.executable).with_name("shopgraph"))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (IngestError("no such\ncolumn", "a.csv", "add it"), "no such column (a.csv); add it"),
        (ModuleNotFoundError("x", name="torch"), "the package torch is not installed; pip install 'shopgraph[train]'"),
        (ModuleNotFoundError("x", name="foo"), "the package foo is not installed; pip install foo"),
        (
            PermissionError(13, "Permission denied", "/a/b"),
            "Permission denied (/a/b); check the path, its permissions and the free space",
        ),
        (
            ValueError("two\nlines"),
            "internal error: ValueError: two lines; run again with --verbose for the traceback",
        ),
    ],
)
def test_an_error_is_one_line(error: Exception, line: str) -> None:
    assert one_line(error) == line


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SHOPGRAPH, *words], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("words", [["no-such-command"], ["train", "--no-such-option"], ["graph-build"]])
def test_wrong_usage_exits_with_2(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage" in done.stderr


def test_help_does_not_load_torch() -> None:
    code = "import sys, shopgraph.cli.main; print([m for m in ('torch', 'transformers', 'neo4j') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    words = ["encode", "--workspace", str(tmp_path / "none")]
    assert "Traceback" not in run(*words).stderr
    assert "Traceback" in run(*words, "--verbose").stderr
