"""JSON lines to staged Parquet: one object a line; the keys found are the columns."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ingest.errors import IngestError
from ingest.mapping import TableMapping
from ingest.stage_writer import StageWriter, without_surrogates
from ingest.staging import ColumnRegister, StagedFile
from ingest.text_files import open_text

_CHUNK_LINES = 65_536


def stage_jsonl(
    path: Path, name: str, number: int, target: Path, register: ColumnRegister, mapping: TableMapping
) -> tuple[StagedFile, list[Path]]:
    """Read one JSON-lines file into staged Parquet files beside `target`, one per chunk since keys may differ.

    A line that is no JSON object is a ragged row, but that the mapping may allow Python literals. Numbers and truth
    values are staged as their JSON text, nested values as JSON.

    Returns:
        The staged file and the Parquet files written.

    Raises:
        IngestError: the file is empty, truncated, unreadable, or no line of it is an object.
    """
    found: dict[str, None] = {}
    bad: set[str] = set()
    parts: list[Path] = []
    parse = _object_or_literal if mapping.python_literals else _object
    with open_text(path, name, mapping.encoding) as stream:
        lines = _parsed(iter(stream), parse)
        while chunk := list(islice(lines, _CHUNK_LINES)):
            keys = list(dict.fromkeys(key for _, row, _ in chunk if row is not None for key in row))
            found.update(dict.fromkeys(keys))
            parts.append(target.with_name(f"{target.stem}-{len(parts)}.parquet"))
            with StageWriter(parts[-1], number, [register.sql(key) for key in keys]) as writer:
                for line, row, text in chunk:
                    writer.add(line, None if row is None else [_text(row.get(key)) for key in keys], text)
            bad.update(key for key in keys if register.sql(key) in writer.undecodable)
    if not found:
        raise IngestError("no line of the file is a JSON object", name, "write one object a line, or remove the file")
    return StagedFile(number, name, tuple(found), frozenset(bad)), parts


def _parsed(
    lines: Iterator[str], parse: Callable[[str], dict[str, Any] | None]
) -> Iterator[tuple[int, dict[str, Any] | None, str]]:
    """(line number, object or None, raw text) of every line that is not blank."""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text:
            row = parse(text)
            yield number, None if row is None else {_key(key): value for key, value in row.items()}, text


def _object(text: str) -> dict[str, Any] | None:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _object_or_literal(text: str) -> dict[str, Any] | None:
    """A JSON object, or a dictionary as Python writes it: literals alone, nothing of it is run."""
    row = _object(text)
    if row is not None or not text.startswith("{"):
        return row
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes such as \\d, which stand for themselves
            value = json.loads(json.dumps(ast.literal_eval(text)))  # sets, bytes and the like are no values here
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _key(key: str) -> str:
    """A key trimmed; half a surrogate pair, which JSON can write and no other text can hold, is replaced."""
    return without_surrogates(key).strip()


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
