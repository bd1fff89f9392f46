"""What `doctor` says of the rights of a store's accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shopgraph.checks import store
from shopgraph.workspace import Workspace

NO_ROLES = "this edition has no roles: every account can write"


@pytest.mark.neo4j
def test_community_has_no_roles(empty_neo4j: Any, tmp_path: Path) -> None:
    assert NO_ROLES in store(Workspace(tmp_path), empty_neo4j.url).found


@pytest.mark.neo4j
@pytest.mark.parametrize("edition", ["enterprise", ""])
def test_others_have(empty_neo4j: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edition: str) -> None:
    """An account that may not ask for the edition has met a role already."""
    monkeypatch.setattr("kg.neo4j_store.store.check_login", lambda *_: edition)
    assert NO_ROLES not in store(Workspace(tmp_path), empty_neo4j.url).found
