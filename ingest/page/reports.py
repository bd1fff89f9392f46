"""The files of the quality report: quality.json for machines, quality.html for people."""

from __future__ import annotations

from pathlib import Path

from ingest.page.page import write_page
from ingest.quality import QualityReport, write_json

HISTORY = "history"
"""Folder, beside the reports, of the baselines of the last builds."""


def write_reports(report: QualityReport, folder: Path) -> None:
    """Write quality.json and quality.html, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in (("quality.json", write_json), ("quality.html", write_page)):
        partial = folder / f".{name}.partial"
        write(report, partial)
        partial.replace(folder / name)
