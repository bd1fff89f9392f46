"""What a source must offer, and which one a name stands for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import duckdb

from ingest import complete_journey
from ingest.complete_journey import CompleteJourney
from ingest.errors import IngestError
from ingest.shipped_mappings import NAMES, mapping_file
from ingest.source_directory import DirectorySource
from ingest.staging import StagedTable


class Source(Protocol):
    """A source of contract tables."""

    @property
    def name(self) -> str:
        """What the source is called."""

    @property
    def tables(self) -> Sequence[str]:
        """The contract tables that it has."""

    @property
    def ignored(self) -> Sequence[str]:
        """Files that belong to no table."""

    @property
    def dangling(self) -> str | None:
        """`quarantine` or `create` where the source says what is to become of dangling products."""

    def files(self) -> dict[str, Path]:
        """Name -> path of every file that is read."""

    def described(self) -> dict[str, Any]:
        """What the clean tables depend on beside the files."""

    def rows(self, table: str) -> int | None:
        """Rows of a table, where they are known without reading it."""

    def stage(self, connection: duckdb.DuckDBPyConnection, table: str, scratch: Path, /) -> StagedTable:
        """Create the staged relation of a table."""


def open_source(source: str, mapping: Path | None) -> Source:
    """The source that `source` stands for: `complete-journey`, or a directory of contract tables.

    Args:
        source: what the person named.
        mapping: a mapping file, or the name of a shipped mapping.

    Raises:
        IngestError: it is neither, holds no table, or its mapping has a fault.
    """
    accepted = f"use {complete_journey.NAME}, or a directory of tables (CSV, CSV.gz, Parquet, JSON lines)"
    if source == complete_journey.NAME:
        if mapping is not None:
            raise IngestError(f"{source} has its own mapping", str(mapping), "leave out the mapping file")
        return CompleteJourney.installed()
    if source == "amazon":
        releases = ", ".join(name for name in NAMES if name.startswith("amazon"))
        remedy = f"name the directory of its review files, with --mapping and its release: {releases}; or {accepted}"
        raise IngestError("'amazon' is not a source of its own", "SOURCE", remedy)
    root = Path(source).expanduser()
    if root.is_file():
        raise IngestError("the source is a file, not a directory", source, "name the directory that it is in")
    if not root.is_dir():
        raise IngestError(f"unknown source {source!r}: no such directory", "SOURCE", accepted)
    return DirectorySource.open(root, mapping_file(mapping) if mapping is not None else None)
