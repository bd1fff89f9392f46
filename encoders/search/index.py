"""The search index of a snapshot: distinct texts, their terms and their vectors, in a folder that names its inputs."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.distinct import distinct
from encoders.errors import EncoderError
from encoders.product_text import product_texts
from encoders.search.bm25 import Bm25
from encoders.search.config import SearchConfig
from encoders.search.lexicon import Lexicon, count_words
from encoders.search.names import all_names
from encoders.search.words import words
from encoders.text_config import TextConfig
from ingest.progress import Progress, SilentProgress
from kg.snapshot import Snapshot

if TYPE_CHECKING:
    from encoders.vectors import NodeVectors  # which brings torch: words alone do without

Vectors = NDArray[np.float32]
FORMAT = 1
_HEAD = "index.json"
_BM25 = "bm25"
_BUILDING = ".building-"
_ABANDONED_S = 3600
"""Seconds after which a build that has not got its name will not get it."""


@dataclass(frozen=True)
class SearchIndex:
    """What is looked up in.

    Attributes:
        bm25: the texts by their terms.
        lexicon: the words by which terms are found.
        text_of: text of each product, int32, shape (products,); -1 for a product without any.
        vectors: unit vectors of the texts, float32, shape (texts, dim); None where text has not been encoded.
    """

    bm25: Bm25
    lexicon: Lexicon
    text_of: NDArray[np.int32]
    vectors: Vectors | None


def open_index(
    snapshot: Snapshot,
    vectors: NodeVectors | None,
    config: SearchConfig,
    folder: Path,
    progress: Progress | None = None,
    real: Collection[str] = frozenset(),
    said: TextConfig | None = None,
    events: Path | None = None,
) -> SearchIndex:
    """The index of these inputs in `folder`, built where it is not there or cannot be read; older ones are removed.

    An index is a folder of its own that appears by a rename: readers see a whole one, and one that somebody still reads
    stays readable to them.

    Args:
        snapshot: the graph.
        vectors: the text vectors of its products, None for words alone.
        config: settings.
        folder: holds the indexes.
        progress: where to show the progress.
        real: words that exist, whether or not the shop has them.
        said: what is said of a product; None: the default.
        events: tables/events.parquet, for templates that quote reviews.

    Raises:
        EncoderError: no product has any text, or the folder cannot be written.
    """
    said = said or TextConfig()
    name = _name(snapshot, vectors, config, said)
    place = folder / name
    found = _load(place, config, real)
    if found is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=folder))
        try:
            with (progress or SilentProgress()).station("index text"):
                _build(snapshot, product_texts(snapshot, said, events), vectors, config, scratch)
            _put(scratch, place, config)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        _tidy(folder, name)
    except OSError as error:
        what = f"the search index cannot be written: {error.strerror}"
        raise EncoderError(what, str(folder), "check permissions and disk space") from error
    found = _load(place, config, real)
    if found is None:
        raise EncoderError("the search index cannot be read", str(place), "delete the folder and search again")
    return found


def _name(snapshot: Snapshot, vectors: NodeVectors | None, config: SearchConfig, said: TextConfig) -> str:
    inputs = {
        "format": FORMAT,
        "snapshot": snapshot.fingerprint,
        "vectors": (vectors.head.inputs, vectors.head.digest) if vectors is not None else None,
        "bm25": (config.k1, config.b),
        "text": repr(said),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:24]


def _build(
    snapshot: Snapshot, texts: Sequence[str], vectors: NodeVectors | None, config: SearchConfig, folder: Path
) -> None:
    found, text_of = distinct(texts)
    if not found:
        what = "there is nothing to search: no product has a title, brand, category or description"
        raise EncoderError(what, "graph", "build the graph from a source whose products have them")
    build_terms(found, all_names(snapshot), config, folder)
    np.save(folder / "text_of.npy", text_of.astype(np.int32))
    if vectors is not None:
        _, first = np.unique(text_of, return_index=True)
        rows = first[text_of[first] >= 0]  # unique sorts: row t is the first product of text t
        np.save(folder / "vectors.npy", np.asarray(vectors.text[rows], np.float32))
    (folder / _HEAD).write_text(json.dumps({"format": FORMAT}))


def build_terms(texts: Sequence[str], names: Sequence[str], config: SearchConfig, folder: Path) -> None:
    """Write the BM25 index of distinct `texts` and the lexicon of texts and names into `folder`."""
    cut = [words(text) for text in texts]
    counts = count_words(cut, (words(name) for name in names))
    term = {word: row for row, word in enumerate(counts)}
    Bm25.build([[term[word] for word in one] for one in cut], len(counts), config.k1, config.b, folder / _BM25)
    np.save(folder / "counts.npy", np.fromiter(counts.values(), np.int32, len(counts)))
    (folder / "words.json").write_text(json.dumps(list(counts), ensure_ascii=False), encoding="utf-8")


def _load(place: Path, config: SearchConfig, real: Collection[str] = frozenset()) -> SearchIndex | None:
    """Memory-map the index in `place`; None where there is none that can be read."""
    try:
        if json.loads((place / _HEAD).read_text())["format"] != FORMAT:
            return None
        words_there = json.loads((place / "words.json").read_text(encoding="utf-8"))
        counts, text_of = (_mapped(place / f"{name}.npy") for name in ("counts", "text_of"))
        matrix = place / "vectors.npy"
        vectors = _mapped(matrix) if matrix.exists() else None
        return SearchIndex(
            Bm25.load(place / _BM25), Lexicon(words_there, counts, config.stemmer, real), text_of, vectors
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def _mapped(path: Path) -> NDArray[Any]:
    """A memory-mapped array, as a plain one: slices of numpy's own class for it cost more than what is done to them."""
    return np.asarray(np.load(path, mmap_mode="r"))


def _tidy(folder: Path, name: str) -> None:
    """Remove indexes of other inputs, and what killed builds have left; one that is being built is let alone."""
    for other in folder.iterdir():
        building = other.name.startswith(_BUILDING)
        if other.name != name and not (building and time.time() - other.stat().st_mtime < _ABANDONED_S):
            shutil.rmtree(other, ignore_errors=True)


def _put(scratch: Path, place: Path, config: SearchConfig) -> None:
    """Give the finished folder its name; where another process was first, its index is the same."""
    if place.exists() and _load(place, config) is None:
        shutil.rmtree(place)
    try:
        scratch.chmod(0o755)
        scratch.rename(place)
    except OSError:
        if not place.exists():
            raise
