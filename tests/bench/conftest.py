"""The raw data sets, read line by line, and builds of what the converters wrote."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from ingest.build import IngestSettings, build_tables
from ingest.enrich.infer import InferSettings
from ingest.quality import QualityReport

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the raw data sets; tests that need it are skipped without it."""
    if not SHARED.is_dir():
        pytest.skip("the shared data sets are not here")
    return SHARED


@pytest.fixture(scope="session")
def lines() -> Callable[..., Iterator[list[str]]]:
    """The fields of each line of a text file, without the header."""

    def read(path: Path, delimiter: str = ",") -> Iterator[list[str]]:
        with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
            rows = csv.reader(file, delimiter=delimiter)
            next(rows)
            yield from rows

    return read


@pytest.fixture(scope="session")
def built() -> Callable[[Path], QualityReport]:
    """Builds clean tables beside a contract folder; every row is loaded, none merged, set aside or mended."""

    def run(folder: Path) -> QualityReport:
        plain = IngestSettings(infer=InferSettings(brand=False, category=False))  # as the scoreboard builds
        report = build_tables(str(folder), folder.with_name("tables"), folder.with_name("reports"), settings=plain)
        for name, table in report.tables.items():
            assert (table.merged, table.quarantined, table.mended) == (0, 0, 0), name
            assert table.rows_in == table.loaded
        return report

    return run


@pytest.fixture(scope="session")
def clean() -> Callable[[Path, str], pd.DataFrame]:
    """A clean table beside a contract folder."""
    return lambda folder, name: pd.read_parquet(folder.with_name("tables") / f"{name}.parquet")
