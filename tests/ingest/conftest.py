"""A small world for ingest tests: tables written as text, a build, and what it left."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from ingest.build import build_tables
from ingest.enrich.infer import InferSettings
from ingest.enrich.labels import LabelSettings
from ingest.quality import QualityReport
from ingest.settings import IngestSettings

settings.register_profile("ingest", deadline=None, max_examples=50)
settings.load_profile("ingest")

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Built:
    """The outcome of a build."""

    root: Path
    report: QualityReport

    def arrow(self, name: str) -> pa.Table:
        return pq.read_table(self.root / "work" / "tables" / f"{name}.parquet")

    def rows(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.arrow(name).to_pylist()
        return rows

    def quarantine(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(
            self.root / "work" / "tables" / "quarantine" / f"{name}.parquet"
        ).to_pylist()
        return rows

    def quality(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.root / "work" / "reports" / "quality.json").read_text())
        return content


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Built]:
    """Writes files (text, bytes or Arrow tables by name) into a source and builds it as of 2024-06-01."""

    def run(files: dict[str, Any], *, as_of: datetime | None = AS_OF, **changed: Any) -> Built:
        source = tmp_path / "source"
        for name, content in files.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, pa.Table):
                pq.write_table(content, path)
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content, "utf-8", newline="")
        mapping = changed.pop("mapping", None)
        # what the build adds to the tables has tests of its own
        changed = {"labels": LabelSettings(on=False), "infer": InferSettings(brand=False, category=False)} | changed
        report = build_tables(
            str(source),
            tmp_path / "work" / "tables",
            tmp_path / "work" / "reports",
            as_of=as_of,
            mapping=mapping,
            settings=IngestSettings(**changed),
        )
        return Built(tmp_path, report)

    return run
