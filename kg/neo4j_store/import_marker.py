"""What tells that an offline import into the managed server is under way, or was killed: a file in the server's folder.

While the importer writes, the database is neither the old graph nor the new one. The file is held by a lock that ends
with the process, so that a killed import is told from one that still runs.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kg.errors import GraphError
from kg.neo4j_store.process import end_importer

_DATABASE = "neo4j"


@dataclass(frozen=True)
class Marker:
    """An import that has not come to its end.

    Attributes:
        url: of the server.
        options: with which the server ran, to start it again.
        half: whether the importer has begun and not finished.
    """

    url: str
    options: dict[str, Any]
    half: bool


def marker_file(home: Path) -> Path:
    """The file of the marker."""
    return home / "import.json"


def read_marker(home: Path) -> Marker | None:
    """The marker of an import that was killed or still runs, None without one."""
    try:
        return Marker(**json.loads(marker_file(home).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_marker(home: Path, marker: Marker) -> None:
    """Put the marker on disk, whole."""
    fresh = home / ".import.json"
    fresh.write_text(json.dumps(marker.__dict__))
    fresh.replace(marker_file(home))


def remove_marker(home: Path) -> None:
    """The import came to its end."""
    marker_file(home).unlink(missing_ok=True)


@contextmanager
def importing(home: Path) -> Iterator[None]:
    """Hold the server's folder against a start and against a second import.

    Raises:
        GraphError: another import holds it.
    """
    with (home / "import.lock").open("a+") as lock:
        _take(lock, home)
        yield


def drop_half_import(home: Path) -> None:
    """Before a start: remove the database that a killed import left half, so that it is empty and not half there.

    Raises:
        GraphError: the import still runs.
    """
    marker = read_marker(home)
    if marker is None or not marker.half:
        return
    with (home / "import.lock").open("a+") as lock:
        _take(lock, home)
        end_importer(home)
        for kind in ("databases", "transactions"):
            shutil.rmtree(home / "data" / kind / _DATABASE, ignore_errors=True)
        remove_marker(home)


def _take(lock: IO[str], home: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise GraphError("an offline import into this server is under way", str(home), "wait for its end") from error
