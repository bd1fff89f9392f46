"""A database file is never written in place: a new one, or a changed copy, is renamed over it.

The rename is the commit: whoever is killed before it leaves the old graph whole, and a leftover that the next removes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kg.errors import GraphError

MAX_FILE_BYTES = 1 << 38
"""Address space reserved per open database; the default of 8 TB is refused where virtual memory is limited."""

_SIDE_FILES = (".wal", ".shadow", ".tmp", ".lock", ".piece.parquet")


@contextmanager
def replacement(path: Path, doing: str, again: str, *, copy: bool) -> Iterator[Path]:
    """A file beside `path` that takes its place once the block has ended; removed where it fails.

    Args:
        path: the database.
        doing: what the block does, for messages.
        again: what to do when it fails.
        copy: whether the file begins as a copy of the database, which then must still be the same in the end.

    Raises:
        GraphError: the block failed on the database or the disk, or another has replaced a copied one meanwhile.
    """
    fresh = path.with_name(f"{path.name}.building-{os.getpid()}")
    try:
        remove_leftovers(path)
        before = _identity(path) if copy else None
        if copy:
            shutil.copyfile(path, fresh)
        yield fresh
        if copy and _identity(path) != before:
            raise GraphError("the graph was built anew meanwhile", str(path), again)
        remove_side_files(path)  # a log of the old file must not be replayed into the new one
        fresh.replace(path)
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GraphError(f"{doing} failed: {reason}", str(path), again) from error
    finally:
        fresh.unlink(missing_ok=True)
        remove_side_files(fresh)


def piece_path(fresh: Path) -> Path:
    """Where a database that is being written keeps the piece of a file that is being copied."""
    return fresh.with_name(f"{fresh.name}.piece.parquet")


def remove_leftovers(path: Path) -> None:
    """Remove what killed writers left beside `path`; one that still runs keeps its files."""
    for leftover in path.parent.glob(f"{path.name}.building-*"):
        pid = leftover.name.removeprefix(f"{path.name}.building-").split(".")[0]
        if not pid.isdigit() or int(pid) == os.getpid() or not _alive(int(pid)):
            leftover.unlink(missing_ok=True)


def remove_side_files(path: Path) -> None:
    """Remove the logs, locks and pieces beside a database file."""
    for suffix in _SIDE_FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
