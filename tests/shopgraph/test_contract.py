"""The contract's own check, on both stores, through the installed command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SHOPGRAPH = str(Path(sys.executable).with_name("shopgraph"))
SMOKE = Path(__file__).parents[3] / "shared" / "contract" / "smoke.py"

pytestmark = pytest.mark.skipif(not SMOKE.exists(), reason=f"{SMOKE} is not there")


def smoke(*words: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, str(SMOKE), SHOPGRAPH, *words],
        capture_output=True, text=True, timeout=900, check=False, env=os.environ | (environment or {}),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_contract_holds_on_the_embedded_store() -> None:
    assert "all held" in smoke()


@pytest.mark.neo4j
def test_the_contract_holds_on_neo4j(empty_neo4j: Any) -> None:
    credentials = {"NEO4J_USERNAME": empty_neo4j.username, "NEO4J_PASSWORD": empty_neo4j.password}
    assert "all held" in smoke("--store", empty_neo4j.url, environment=credentials)
