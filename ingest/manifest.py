"""The manifest of clean tables: what they were made of, so that an unchanged source is not cleaned again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ingest.errors import ShopgraphError
from ingest.quality import QualityReport

FORMAT = 2
"""Raised whenever the rules or the layout of the clean tables change: older tables are then built again."""

FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class FileState:
    """A source file as it was read; its content counts, size and time of change only save reading it again."""

    name: str
    size: int
    mtime_ns: int
    sha256: str


def file_states(files: Mapping[str, Path], known: Mapping[str, FileState]) -> list[FileState]:
    """States of source files (name -> path); one whose size and time are `known` is not read again."""
    return [_state(name, path, known.get(name)) for name, path in sorted(files.items())]


def _state(name: str, path: Path, known: FileState | None) -> FileState:
    status = path.stat()
    if known is not None and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
        return known
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileState(name, status.st_size, status.st_mtime_ns, digest)


def fingerprint(states: list[FileState], described: Mapping[str, Any]) -> str:
    """SHA-256 over the files' names and contents and the description of source and settings."""
    content = {"format": FORMAT, "files": [(s.name, s.sha256) for s in states], "described": described}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Manifest:
    """What `tables/manifest.json` holds.

    Attributes:
        format: `FORMAT` of the writer.
        fingerprint: see `fingerprint`.
        described: source and settings.
        sources: the source files.
        tables: clean file name -> size in bytes.
        report: the quality report.
    """

    format: int
    fingerprint: str
    described: dict[str, Any]
    sources: list[FileState]
    tables: dict[str, int]
    report: QualityReport

    def write(self, folder: Path) -> None:
        """Write it into the folder of the clean tables."""
        content = {
            "format": self.format,
            "fingerprint": self.fingerprint,
            "described": self.described,
            "sources": [asdict(s) for s in self.sources],
            "tables": self.tables,
            "report": self.report.to_dict(),
        }
        (folder / FILE_NAME).write_text(json.dumps(content, indent=1, default=str) + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of the clean tables in `folder`; None without one of this format."""
    try:
        content = json.loads((folder / FILE_NAME).read_text("utf-8"))
        if content["format"] != FORMAT:
            return None
        return Manifest(
            content["format"],
            content["fingerprint"],
            content["described"],
            [FileState(**state) for state in content["sources"]],
            content["tables"],
            QualityReport.from_dict(content["report"]),
        )
    except (OSError, ValueError, KeyError, TypeError, ShopgraphError):
        return None


def tables_whole(folder: Path, manifest: Manifest) -> bool:
    """Whether every clean file that the manifest names is there in its size."""
    paths = {folder / name: size for name, size in manifest.tables.items()}
    return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())
