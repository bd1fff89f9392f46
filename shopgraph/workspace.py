"""The workspace: one folder that holds everything between the source and the recommendations."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shopgraph.errors import AppError

FORMAT = 1
DEFAULT = Path("shopgraph-workspace")


@dataclass(frozen=True)
class Workspace:
    """Paths of a workspace and the small state that commands leave each other.

    Attributes:
        root: the folder.
    """

    root: Path

    @property
    def settings_file(self) -> Path:
        """Settings, written by people."""
        return self.root / "shopgraph.toml"

    @property
    def tables(self) -> Path:
        """Clean tables and their quarantine."""
        return self.root / "tables"

    @property
    def events(self) -> Path:
        """The clean table of events."""
        return self.tables / "events.parquet"

    @property
    def graph_files(self) -> Path:
        """Nodes and relationships as files, the same for every store."""
        return self.root / "graph"

    @property
    def import_files(self) -> Path:
        """The graph files as an offline importer reads them, while it does."""
        return self.root / "import"

    @property
    def embedded_store(self) -> Path:
        """The embedded database file."""
        return self.root / "graph.lbug"

    @property
    def snapshot(self) -> Path:
        """What training reads."""
        return self.root / "snapshot"

    @property
    def embeddings(self) -> Path:
        """Text vectors and their cache."""
        return self.root / "embeddings"

    @property
    def search_index(self) -> Path:
        """What search looks up in: made of the snapshot and the text vectors, no id of a person in it."""
        return self.root / "search"

    @property
    def encoder(self) -> Path:
        """The text encoder that was tuned on the graph: a model directory."""
        return self.root / "encoder"

    @property
    def runs(self) -> Path:
        """The archive of published runs, a folder each."""
        return self.root / "runs"

    @property
    def reports(self) -> Path:
        """Quality and evaluation reports."""
        return self.root / "reports"

    def model(self, kind: str = "eval") -> Path:
        """Bundle folder: `eval` is what `evaluate` reads, `live` the refit that recommendations use when present."""
        return self.root / "model" / kind

    def serving_model(self) -> Path:
        """The bundle that recommendations come from: live where there is one, else eval."""
        return self.model("live" if self.has_model("live") else "eval")

    def has_vectors(self) -> bool:
        """Whether product text has been encoded."""
        return (self.embeddings / "products.json").exists()

    def has_model(self, kind: str = "eval") -> bool:
        """Whether a model has been trained, or as `live` trained again."""
        return (self.model(kind) / "bundle.json").exists()

    def create(self) -> None:
        """Make the folder.

        Raises:
            AppError: the folder cannot be made or written, or belongs to another format.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise AppError(
                f"the workspace cannot be written: {error.strerror}",
                str(self.root),
                "choose another folder with --workspace or change its permissions",
            ) from error
        if "format" not in self.state():
            self.remember(format=FORMAT)

    def state(self) -> dict[str, Any]:
        """What commands have left: store URL, source, fingerprints."""
        path = self.root / "workspace.json"
        if not path.exists():
            return {}
        try:
            state: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise AppError("workspace.json cannot be read", str(path), "use another --workspace") from error
        if state.get("format") != FORMAT:
            raise AppError(
                f"the workspace has format {state.get('format')}, this version reads {FORMAT}",
                str(self.root),
                "build into a new folder with --workspace",
            )
        return state

    def remember(self, **values: Any) -> None:
        """Add values to the state; it is replaced whole."""
        path = self.root / "workspace.json"
        state = (self.state() if path.exists() else {}) | values
        write_whole(path, json.dumps(state, indent=1) + "\n")

    def store_url(self, asked: str | None) -> str:
        """The store to use: asked for (option or SHOPGRAPH_STORE), else what was built with, else embedded."""
        known = self.state().get("store")
        return asked or (str(known) if known else str(self.embedded_store))

    def store_name(self, url: str) -> str:
        """How the state names a store wherever a command is called from; empty: the workspace's own embedded one."""
        if "://" in url:
            return url
        path = Path(url).absolute()
        return "" if path == self.embedded_store.absolute() else str(path)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the workspace against a second writer.

        Raises:
            AppError: another command is writing.
        """
        self.create()
        path = self.root / ".lock"
        with path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise AppError(
                    f"another command is writing this workspace (process {holder})",
                    str(self.root),
                    "wait for it, or use another --workspace",
                ) from error
            lock.seek(0)
            lock.truncate()
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    def require(self) -> None:
        """Check that the workspace exists.

        Raises:
            AppError: it does not.
        """
        if not (self.root / "workspace.json").exists():
            raise AppError(
                "there is no workspace", str(self.root), "run shopgraph graph-build SOURCE, or name another --workspace"
            )
        self.state()


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
