"""Writes every metric of every user to a Parquet file, so that anyone can test anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gnn.errors import GnnError
from gnn.evaluation.figures import Columns
from gnn.protocol.tasks import Task
from kg.snapshot import Snapshot


class PerUserFile:
    """Rows of (task, recommender, user_id, a column per metric), one row group per task and recommender.

    The file appears whole when the `with` block ends, and not at all after an error or without a row group. A metric
    for which the user does not count is null.

    Args:
        path: where it goes, an older file is replaced; None: nowhere.

    Raises:
        GnnError: its folder cannot be made.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.writer: pq.ParquetWriter | None = None
        if path is not None:
            self.scratch = path.with_name(f".{path.name}.part")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self.scratch.touch()
            except OSError as error:
                raise GnnError(f"{path} cannot be written", "--per-user", "name a file in a folder of yours") from error

    def add(self, task: Task, tables: Mapping[str, Columns], snapshot: Snapshot) -> None:
        """Write the users of a task with their metrics by recommender; the first task says which metrics there are."""
        if self.path is None or not tables:
            return
        users = snapshot.nodes["User"].ids.ids.take(pa.array(task.users)).cast(pa.large_string())
        for name, columns in tables.items():
            words = {"task": task.name, "recommender": name}
            arrays = {key: pa.array([word] * len(users), pa.string()) for key, word in words.items()}
            arrays["user_id"] = users
            arrays |= {metric: pa.array(column, pa.float64(), from_pandas=True) for metric, column in columns.items()}
            table = pa.table(arrays)
            if self.writer is None:
                self.writer = pq.ParquetWriter(self.scratch, table.schema)
            self.writer.write_table(table)

    def __enter__(self) -> PerUserFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.path is None:
            return
        if self.writer is not None:
            self.writer.close()
        if kind is None and self.writer is not None:
            self.scratch.replace(self.path)
        else:
            self.scratch.unlink()
