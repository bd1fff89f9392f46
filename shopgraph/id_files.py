"""Files that people name on the command line: ids, lists of recommendations."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from shopgraph.errors import AppError

TABLES = (".parquet", ".csv")


def read_frame(path: Path, option: str) -> pd.DataFrame:
    """A Parquet or CSV table with every id as text.

    Raises:
        AppError: it cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise AppError(f"{path} cannot be read: {reason}", option, "name a Parquet or CSV file") from error


def read_ids(path: Path, column: str, option: str) -> list[str]:
    """Ids of a text file, one a line, or of the column of a Parquet or CSV table.

    Raises:
        AppError: it cannot be read, or lacks the column.
    """
    if path.suffix not in TABLES:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise AppError(f"{path} cannot be read", option, "name a file with one id a line") from error
        return [line.strip() for line in lines if line.strip()]
    frame = read_frame(path, option)
    if column not in frame.columns:
        found = ", ".join(map(str, frame.columns))
        raise AppError(f"{path} has no column {column}", option, f"it has {found}")
    return [str(value) for value in frame[column]]
