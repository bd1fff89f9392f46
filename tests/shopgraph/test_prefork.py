"""A forked command is the installed one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    "words", [["--version"], ["recommend", "--help"], ["train", "--workspace", "nowhere"], ["no-such-command"]]
)
def test_a_forked_command_is_the_installed_one(
    run: Run, as_installed: Run, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    there = {**os.environ, "SHOPGRAPH_WORKSPACE": "of-the-environment"}
    forked, installed = run(*words, environment=there), as_installed(*words, environment=there)
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        installed.returncode, installed.stdout, installed.stderr
    )  # fmt: skip
