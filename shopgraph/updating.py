"""The station that adds a delivery to the graph: tables, their difference, the store, in this order.

What is on its way lies in `tables-update/` until the store has it: a run that was interrupted goes on from there.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from ingest.manifest import read_manifest
from ingest.progress import Progress
from ingest.quality import QualityReport
from ingest.update import CHANGES, TABLES, accept_update, pending, update_tables
from kg.delta import GraphDelta, OtherTypesError, shape_delta
from kg.shape import shape_graph
from kg.stores import Store, open_store
from shopgraph.errors import AppError
from shopgraph.graph_names import known_graphs, remember_graph
from shopgraph.settings import Settings
from shopgraph.stations import BuildResult, Clock
from shopgraph.workspace import Workspace


def update(
    workspace: Workspace,
    source: str,
    store_url: str | None,
    settings: Settings,
    progress: Progress,
    *,
    mapping: Path | None = None,
    as_of: datetime | None = None,
    fail_on: bool = False,
) -> BuildResult:
    """Add the rows of a delivery to tables and graph, in time that grows with the delivery.

    Raises:
        AppError: there is no graph to add to.
        ShopgraphError: the delivery holds what only a build of everything can take in.
    """
    workspace.require()
    url = workspace.store_url(store_url)
    clock = Clock()
    with open_store(url) as store:
        if store.base_of_update() is None:
            raise AppError(
                "there is no graph to add to", url, "run shopgraph graph-build SOURCE without --update first"
            )
        changes = _apply(workspace, store, progress) if pending(workspace.tables).exists() else None
        quality = update_tables(
            source,
            workspace.tables,
            workspace.reports,
            mapping=mapping,
            as_of=as_of,
            settings=settings.ingest,
            progress=progress,
            fail_on=fail_on,
        )
        clock.lap("tables")
        if quality is not None:
            changes = _apply(workspace, store, progress)
        clock.lap("load")
        workspace.remember(store=workspace.store_name(url))
        counts = store.counts()
        fingerprint = store.built() or ""
    return BuildResult(
        quality or _known(workspace), counts, url, bool(changes), fingerprint, clock.seconds, changes or {}
    )


def _known(workspace: Workspace) -> QualityReport:
    """The account of the tables that hold the delivery already."""
    manifest = read_manifest(workspace.tables)
    if manifest is None:
        raise AppError("the clean tables changed meanwhile", str(workspace.tables), "run the update again")
    return manifest.report.as_reused()


def _apply(workspace: Workspace, store: Store, progress: Progress) -> dict[str, int]:
    """Bring the update that waits into the store, then put its tables in place; what was done, in rows."""
    place = pending(workspace.tables)
    if not (place / TABLES).exists():  # interrupted while the tables were put in place
        accept_update(workspace.tables)
        return {}
    delta = _delta(workspace, store, progress)
    if delta is None:
        accept_update(workspace.tables)
        files = shape_graph(workspace.tables, workspace.graph_files, progress)
        store.load(files, progress)
        remember_graph(workspace.tables, files.fingerprint)
        return {"loaded anew": files.rows}
    store.update(delta, progress)
    remember_graph(place / TABLES, delta.fingerprint)
    changes = delta.summary()
    accept_update(workspace.tables)
    shutil.rmtree(workspace.graph_files, ignore_errors=True)  # the graph of the tables before
    return changes


def _delta(workspace: Workspace, store: Store, progress: Progress) -> GraphDelta | None:
    """The difference to be applied; None where the store holds another graph than that of the tables before."""
    place = pending(workspace.tables)
    if not workspace.tables.exists():
        return None
    held = store.base_of_update()
    for base in sorted(known_graphs(workspace.tables), key=lambda name: name != held):  # the likely one first
        try:
            delta = shape_delta(workspace.tables, place / TABLES, place / CHANGES, place / "delta", base, progress)
        except OtherTypesError:
            return None
        if held in (delta.base, delta.fingerprint):
            return delta
    return None
