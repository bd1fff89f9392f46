"""Text files, gzip or plain, opened so that their lines and their undecodable bytes stay visible."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ingest.errors import IngestError


@contextmanager
def open_text(path: Path, name: str, encoding: str) -> Iterator[TextIO]:
    """Open a text file, gzip or plain, so that lines keep their ends and undecodable bytes become surrogates.

    Raises:
        IngestError: the file is empty, truncated or unreadable.
    """
    if path.stat().st_size == 0:
        raise IngestError("the file has 0 bytes", name, "write at least a header line, or remove the file")
    codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    single_byte = "16" not in codec and "32" not in codec
    errors = "surrogateescape" if single_byte else "replace"
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        if codec == "utf-8-sig":
            with opener(path, "rb") as raw:
                _check_width(raw.read(4), name)
        with opener(path, "rt", encoding=codec, errors=errors, newline="") as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise IngestError(f"the file is truncated or no gzip: {error}", name, "copy it again") from error
    except UnicodeError as error:
        raise IngestError(f"the file is not {encoding}: {error}", name, "set encoding in mapping.toml") from error


def _check_width(begin: bytes, name: str) -> None:
    """Refuse text of two or four bytes a character: read as UTF-8 it is a row of NULs."""
    if begin[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or 0 in begin:
        remedy = 'set encoding = "utf-16" (or what it is) in mapping.toml'
        raise IngestError("the file is not UTF-8: it looks like UTF-16, or like no text at all", name, remedy)
