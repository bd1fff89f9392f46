"""Parquet files as they are: read in place by DuckDB, with row numbers from 1."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.errors import IngestError
from ingest.staging import LINE_BITS, ColumnRegister, StagedFile, parquet_list

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def stage_parquet(path: Path, name: str, number: int, register: ColumnRegister) -> tuple[StagedFile, str]:
    """The staged file and the SELECT statement of one Parquet file; an unnamed pandas index is left out.

    Raises:
        IngestError: the file is empty, truncated or no Parquet.
    """
    if path.stat().st_size == 0:
        raise IngestError("the file has 0 bytes", name, "write the table again, or remove the file")
    try:
        names = [str(n).strip() for n in pq.read_schema(path).names]
    except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise IngestError(f"the file is no whole Parquet file: {reason}", name, "copy or write it again") from error
    kept = [n for n in names if not _PANDAS_INDEX.fullmatch(n)]
    for column in kept:
        if kept.count(column) > 1:
            raise IngestError(f"the column {column!r} stands twice", name, "rename or remove one of them")
    # Columns are renamed by position: SQL names ignore case, Parquet names do not.
    aliases = [register.sql(n) if n in kept else f"dropped{i}" for i, n in enumerate(names)]
    select = ", ".join(register.sql(n) for n in kept) or "NULL AS dropped"
    statement = (
        f"SELECT CAST({number << LINE_BITS} + __row + 1 AS BIGINT) AS __ord, CAST(NULL AS VARCHAR) AS __ragged, "
        f"CAST(NULL AS VARCHAR) AS __undecodable, {select} "
        f"FROM read_parquet({parquet_list([path])}, file_row_number = true) AS t({', '.join([*aliases, '__row'])})"
    )
    return StagedFile(number, name, tuple(kept)), statement
