"""Lists for many users into one file, block by block, whole or not there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from shopgraph.errors import AppError

SCHEMA = pa.schema(
    [("user_id", pa.string()), ("rank", pa.int64()), ("product_id", pa.string()), ("score", pa.float64())]
)


def write_lists(frames: Iterable[pd.DataFrame], out: Path) -> int:
    """Write the frames to `out`, CSV where it ends so, else Parquet; returns the rows written.

    Raises:
        AppError: the file cannot be written.
    """
    scratch = out.with_name(f".{out.name}.part")
    rows = 0
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        opened = pa_csv.CSVWriter(scratch, SCHEMA) if out.suffix == ".csv" else pq.ParquetWriter(scratch, SCHEMA)
        with opened as writer:
            for frame in frames:
                writer.write_table(pa.Table.from_pandas(frame, SCHEMA, preserve_index=False))
                rows += len(frame)
        scratch.replace(out)
    except OSError as error:
        raise AppError(f"{out} cannot be written: {error.strerror or error}", "--out", "choose another file") from error
    finally:
        scratch.unlink(missing_ok=True)
    return rows
