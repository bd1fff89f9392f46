"""The mappings of well-known data sets that come with the program, by name."""

from __future__ import annotations

from pathlib import Path

from ingest.errors import IngestError

_FOLDER = Path(__file__).with_name("mappings")

NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))
"""What `--mapping` accepts beside a file."""


def mapping_file(given: Path) -> Path:
    """The file that `--mapping` names: a file, or else the shipped mapping of that name.

    Raises:
        IngestError: it is neither.
    """
    if given.is_file():
        return given
    if str(given) in NAMES:
        return _FOLDER / f"{given}.toml"
    known = ", ".join(NAMES)
    raise IngestError("the mapping is no file and no shipped one", str(given), f"name a TOML file, or one of {known}")
