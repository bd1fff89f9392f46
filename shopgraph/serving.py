"""A trained model ready to answer: the bundle over the graph as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kg.snapshot import Snapshot
from shopgraph.settings import load_settings
from shopgraph.stations import saved_vectors
from shopgraph.workspace import Workspace

if TYPE_CHECKING:
    from gnn.serving.recommend import Recommendations


def load_model(workspace: Workspace, snapshot: Snapshot) -> Recommendations:
    """The live model where there is one, else the evaluated one, with the workspace's rules of re-ranking.

    Raises:
        GnnError: no model, or one that knows nothing of this graph.
    """
    from gnn.serving.recommend import Recommendations

    folder = workspace.serving_model()
    vectors = saved_vectors(workspace, snapshot)
    matrix = vectors.matrix if vectors is not None else None
    return Recommendations.load(folder, snapshot, matrix, load_settings(workspace).gnn.rerank)
