"""Which code a model's figures depend on, as a digest: what training, evaluation and the model itself import.

The catalogue knows every recommender, so that it is left out: a change of one recommender must not make the figures of
all others old. Settings are left out as well: a cell names them by their values.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from bench.data.source import ROOT
from gnn.config import GnnConfig
from gnn.model.catalogue import CATALOGUE, make

ROOM = "gnn"
EVERY = ("gnn.model.training", "gnn.evaluation.evaluate", "gnn.evaluation.recs_file")
"""What measures every model."""
LEFT_OUT = frozenset({"gnn.model.catalogue", "gnn.config", "gnn.models_config"})


def modules_of(model: str) -> tuple[str, ...]:
    """The modules of the model room that a model's figures depend on, sorted.

    Args:
        model: a name of the catalogue; empty for lists that another tool made; any other name (`fused`, `auto`) stands
            for all recommenders.
    """
    if model in CATALOGUE:
        own = [type(make(model, GnnConfig(), None)).__module__]
    else:
        own = [type(make(name, GnnConfig(), None)).__module__ for name in CATALOGUE] if model else []
    reached: set[str] = set()
    waiting = [*EVERY, *own]
    while waiting:
        module = waiting.pop()
        if module not in reached and module not in LEFT_OUT:
            reached.add(module)
            waiting += _imported(module)
    return tuple(sorted(reached))


@cache
def code_digest(model: str) -> str:
    """A hash of the files of `modules_of`."""
    digest = hashlib.sha256()
    for module in modules_of(model):
        digest.update(module.encode())
        digest.update(_file(module).read_bytes())
    return digest.hexdigest()[:16]


@cache
def _imported(module: str) -> tuple[str, ...]:
    """Modules of the room that `module` imports anywhere, within functions too."""
    return tuple(sorted(name for node in ast.walk(ast.parse(_file(module).read_bytes())) for name in _names(node)))


def _names(node: ast.AST) -> Iterator[str]:
    named: list[str] = []
    if isinstance(node, ast.Import):
        named = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        named = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return (name for name in named if name.partition(".")[0] == ROOM and _file(name).exists())


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
