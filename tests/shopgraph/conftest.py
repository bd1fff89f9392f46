"""A small shop, built, encoded and trained once through the command."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

SHOPGRAPH = str(Path(sys.executable).with_name("shopgraph"))
Run = Callable[..., subprocess.CompletedProcess[str]]


def _beside(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PREFORK = _beside("prefork").Prefork()


@dataclass(frozen=True)
class Shop:
    """A trained shop: users with an even number drink coffee, with an odd one tea.

    Attributes:
        tables: its source directory.
        workspace: its workspace.
    """

    tables: Path
    workspace: Path


def shopgraph(*words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: forked where that is safe, else the installed one."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("NEO4J_", "SHOPGRAPH_STORE"))} | (environment or {})
    if sys.platform == "linux":
        return PREFORK.run(list(words), env)
    return installed(*words, environment=env)


def installed(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SHOPGRAPH, *words], capture_output=True, text=True, timeout=300, check=False, env=environment
    )


def pytest_sessionfinish() -> None:
    PREFORK.close()


def write_tables(folder: Path) -> None:
    draw = np.random.default_rng(3)
    kinds = ["coffee", "tea"]
    products = pd.DataFrame(
        {
            "product_id": [f"p{i:02d}" for i in range(40)],
            "title": [f"{kinds[i % 2]} number {i}" for i in range(40)],
            "brand": [f"{kinds[i % 2]} house {i % 4}" for i in range(40)],
            "category": [f"drinks > {kinds[i % 2]}" for i in range(40)],
        }
    )
    rows = []
    for user in range(30):
        mine = np.arange(user % 2, 40, 2)
        for day, product in enumerate(draw.choice(mine, 10, replace=False)):
            rows.append((f"u{user:02d}", f"p{product:02d}", "purchase", f"2024-03-{day + 1:02d}", 1, f"o{user}-{day}"))
    events = pd.DataFrame(rows, columns=["user_id", "product_id", "event", "time", "quantity", "order_id"])
    folder.mkdir(parents=True)
    products.to_csv(folder / "products.csv", index=False)
    events.to_csv(folder / "events.csv", index=False)


@pytest.fixture(scope="session")
def as_installed() -> Run:
    """Runs the installed command."""
    return installed


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs the command."""
    return shopgraph


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Built, encoded and trained; tests only read it."""
    root = tmp_path_factory.mktemp("shop")
    made = Shop(root / "tables", root / "work")
    write_tables(made.tables)
    for words in (["graph-build", str(made.tables)], ["encode"], ["train"]):
        done = shopgraph(*words, "--workspace", str(made.workspace))
        assert done.returncode == 0, done.stderr
    return made
