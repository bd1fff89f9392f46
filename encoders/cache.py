"""Vectors by content: a text that a model has encoded once is never encoded again.

One append-only file per model, in the workspace's embeddings folder or in one that workspaces share. A record is 16
bytes of BLAKE2b of the text and the vector. Batches are appended as they are done, so an interrupted run keeps them; a
record torn by a crash is cut off when the file is next opened, and one that is no unit vector (a hole left by a power
cut) is not used.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.text_encoder import Rows, TextEncoder, Vectors
from ingest.progress import Progress

_KEY = 16
_TOLERANCE = 0.02
"""A bf16 or fp32 vector's length is 1 within far less; a torn one's is not."""


class VectorCache:
    """The vectors that one model has computed so far.

    Args:
        folder: the embeddings folder; made where missing.
        digest: names the model (`TextEncoder.digest`).
        dim: numbers per vector.
    """

    def __init__(self, folder: Path, digest: str, dim: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"texts-{digest[:16]}-{digest[-4:]}-{dim}.cache"
        self._record = np.dtype([("key", f"V{_KEY}"), ("vector", "<f4", (dim,))])
        self._rows: dict[bytes, int] = {}
        self._vectors: NDArray[np.float32] = np.empty((0, dim), np.float32)
        self._open()

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, texts: Sequence[str]) -> Rows:
        """Rows of `texts` in `vectors`, -1 where unknown. Shape (n,)."""
        return np.fromiter((self._rows.get(_key(text), -1) for text in texts), np.int64, len(texts))

    def vectors(self, rows: Rows) -> Vectors:
        """Vectors of rows that `find` gave. Shape (n, dim)."""
        return np.asarray(self._vectors[rows], dtype=np.float32)

    def append(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Keep a finished batch. `find` knows it when the file is opened the next time."""
        records = np.empty(len(texts), self._record)
        records["key"] = np.array([_key(text) for text in texts], dtype=f"V{_KEY}")
        records["vector"] = vectors
        with self.path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # another workspace's run may append too
            file.write(records.tobytes())

    def _open(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # what another run is appending is not torn
            size = self.path.stat().st_size
            whole = size // self._record.itemsize
            if size % self._record.itemsize:
                file.truncate(whole * self._record.itemsize)
        if not whole:
            return
        records = np.memmap(self.path, dtype=self._record, mode="r", shape=(whole,))
        self._vectors = records["vector"]
        sound = np.abs(np.linalg.norm(self._vectors, axis=1) - 1) < _TOLERANCE
        keys = np.ascontiguousarray(records["key"]).tobytes()
        self._rows = {keys[row * _KEY : (row + 1) * _KEY]: row for row in np.flatnonzero(sound).tolist()}


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY).digest()


def encode_cached(encoder: TextEncoder, texts: Sequence[str], folder: Path, progress: Progress) -> tuple[Vectors, int]:
    """Vectors of distinct `texts`, from the cache in `folder` where it has them.

    Returns:
        The vectors, float32, shape (n, dim), and how many texts had to be encoded.
    """
    cache = VectorCache(folder, encoder.digest, encoder.files.dim)
    known = cache.find(texts)
    result = np.empty((len(texts), encoder.files.dim), np.float32)
    result[known >= 0] = cache.vectors(known[known >= 0])
    missing = np.flatnonzero(known < 0)
    wanted = [texts[i] for i in missing.tolist()]
    if not wanted:
        return result, 0
    with progress.station("encode text", len(wanted), "texts") as station:
        for rows, vectors in encoder.stream(wanted):
            cache.append([wanted[r] for r in rows], vectors)
            result[missing[rows]] = vectors
            station.advance(len(rows))
    return result, len(wanted)
