"""The vectors of a snapshot's products: a memory-mapped matrix and a head that says what it belongs to."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow.parquet as pq

from encoders.cache import encode_cached
from encoders.config import EncoderConfig
from encoders.errors import EncoderError
from encoders.images import SET_ASIDE, Images, images_digest, read_images
from encoders.model_files import find_model
from encoders.product_text import product_texts
from encoders.scripts import script_note
from encoders.text_config import TextConfig
from encoders.text_encoder import TextEncoder, Vectors
from encoders.tuning.provenance import read_provenance
from encoders.variants import settle
from ingest.config_dict import from_dict, to_dict
from ingest.progress import Progress, SilentProgress
from kg.snapshot import Snapshot

FORMAT = 1
_HEAD = "products.json"
_REMEDY = "run shopgraph encode"


@dataclass(frozen=True)
class VectorsHead:
    """What a matrix of vectors is.

    Attributes:
        format: of the files.
        matrix: name of the matrix file beside the head.
        model: name of the language model.
        digest: what names its vectors: files, pooling, token limit and precision.
        dim: numbers of a text's vector.
        snapshot: fingerprint of the snapshot that it was made for.
        inputs: SHA-256 of the product ids and texts, in order: the vectors fit every snapshot that has the same.
        products: rows of the matrix.
        texts: distinct texts among them.
        encoded: texts that had to be encoded, the others came from the cache.
        seconds: how long that took.
        note: a warning for people, empty without one.
        text: the templates and budgets of the texts; empty: the defaults.
        tuned: what the encoder was tuned on (`encoders.tuning.provenance`), empty where it was not.
        blocks: where pictures stand beside the text: what the columns of the matrix are, from the first on, as `name`
            and `width`: `text`, `image` (each of length one, an image's zero without a picture) and `has_image` (1 or
            0). Empty: the text's alone.
        images: what became of the file of pictures (`encoders.images.Images.said`), empty without one.
    """

    format: int
    matrix: str
    model: str
    digest: str
    dim: int
    snapshot: str
    inputs: str
    products: int
    texts: int
    encoded: int
    seconds: float
    note: str
    text: dict[str, Any] = field(default_factory=dict)
    tuned: dict[str, Any] = field(default_factory=dict)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    images: dict[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return sum(block["width"] for block in self.blocks) if self.blocks else self.dim

    @property
    def identity(self) -> tuple[str, ...]:
        """Names the matrix by what it was made of: whatever is made of it has it among its inputs."""
        return (self.inputs, self.digest, *([self.images["digest"]] if self.images else []))

    def to_dict(self) -> dict[str, Any]:
        """As JSON; what is of pictures only where there are any."""
        return {key: value for key, value in asdict(self).items() if value or key not in ("blocks", "images")}


@dataclass(frozen=True)
class NodeVectors:
    """Vectors of the products: of the text, and beside it of the picture where there are pictures.

    Attributes:
        matrix: float32, memory-mapped, read-only, shape (products, width); row i belongs to row i of
            `snapshot.nodes["Product"]`; each of its blocks has length one.
        head: what they are.
        reused: whether `encode_products` found them done already.
    """

    matrix: Vectors
    head: VectorsHead
    reused: bool = False

    @property
    def text(self) -> Vectors:
        """The vectors of the text alone, which compare with those of a query; shape (products, dim)."""
        return self.matrix[:, : self.head.dim]


def encode_products(
    snapshot: Snapshot,
    config: EncoderConfig,
    folder: Path,
    progress: Progress | None = None,
    events: Path | None = None,
) -> NodeVectors:
    """Encode the products' texts and leave the vectors in `folder`, beside those of pictures where there are any.

    Only texts that the model has not seen before are encoded; without any change nothing is computed or written.

    Args:
        snapshot: the graph.
        config: which model, and how it computes.
        folder: the workspace's embeddings folder; made where missing.
        progress: where to show the progress.
        events: tables/events.parquet, which templates that quote reviews read.

    Raises:
        EncoderError: no such model, a template that names what is not there, a file of pictures that cannot be used,
            or a folder that cannot be written.
    """
    started = time.perf_counter()
    progress = progress or SilentProgress()
    find_model(config)  # what is wrong with it is said before work is done
    pictures = images_digest(config.images)
    texts = product_texts(snapshot, config.text, events)
    inputs = _inputs(snapshot, texts)
    place = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    try:
        encoder = _encoder(config, list(place), folder, progress)
        done = _done(folder, (inputs, encoder.digest, *([pictures] if pictures else [])))
        if done:
            return done
        images = read_images(config.images, snapshot.nodes["Product"].ids, pictures) if pictures else None
        vectors, encoded = encode_cached(encoder, list(place), _cache(config, folder), progress)
        folder.mkdir(parents=True, exist_ok=True)
        named = [pictures[:12]] if pictures else []
        head = VectorsHead(
            format=FORMAT,
            matrix="-".join(["products", inputs[:12], encoder.digest[:12], *named, f"{encoder.variant}.npy"]),
            model=encoder.files.name,
            digest=encoder.digest,
            dim=encoder.files.dim,
            snapshot=snapshot.fingerprint,
            inputs=inputs,
            products=len(texts),
            texts=len(place),
            encoded=encoded,
            seconds=round(time.perf_counter() - started, 3),
            note=script_note(snapshot, encoder.files),
            text={} if config.text == TextConfig() else to_dict(config.text),
            tuned=read_provenance(encoder.files.folder),
            blocks=_blocks(encoder.files.dim, images) if images else [],
            images=images.said if images else {},
        )
        _write(folder, head, _beside(vectors[[place[text] for text in texts]], images), images)
    except OSError as error:
        raise EncoderError(
            f"the vectors cannot be written: {error.strerror}", str(folder), "check permissions and disk space"
        ) from error
    return NodeVectors(_matrix(folder, head), head)


def load_vectors(folder: Path, snapshot: Snapshot) -> NodeVectors:
    """The vectors in `folder`, which must be those of `snapshot`'s products.

    Raises:
        EncoderError: there are none, they are damaged, or belong to other products or texts.
    """
    head = _read_head(folder)
    if head.snapshot != snapshot.fingerprint and not _same_texts(snapshot, head):
        raise EncoderError("the text vectors belong to another graph's products", str(folder), _REMEDY)
    return NodeVectors(_matrix(folder, head), head)


def _inputs(snapshot: Snapshot, texts: Sequence[str]) -> str:
    digest = hashlib.sha256(f"vectors {FORMAT}".encode())
    for one in (snapshot.nodes["Product"].ids.ids.to_pylist(), texts):
        digest.update(json.dumps(one).encode())
    return digest.hexdigest()


def _same_texts(snapshot: Snapshot, head: VectorsHead) -> bool:
    """Whether the products of `snapshot` have the very texts that `head`'s vectors were made of."""
    config = from_dict(TextConfig, head.text, _HEAD)
    # the snapshot holds no reviews
    return not config.quotes_reviews and head.inputs == _inputs(snapshot, product_texts(snapshot, config))


def _read_head(folder: Path) -> VectorsHead:
    path = folder / _HEAD
    try:
        read = json.loads(path.read_text())
        if read["format"] != FORMAT:
            raise EncoderError(f"the text vectors have format {read['format']}, not {FORMAT}", str(path), _REMEDY)
        head = VectorsHead(**read)
        if head.width < head.dim or not all(head.identity):
            raise ValueError(path)
        return head
    except FileNotFoundError as error:
        raise EncoderError("there are no text vectors", str(folder), _REMEDY) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EncoderError("the text vectors' head cannot be read", str(path), _REMEDY) from error


def encode_texts(
    config: EncoderConfig, texts: Sequence[str], folder: Path, progress: Progress
) -> tuple[TextEncoder, Vectors]:
    """Vectors of different texts as `encode_products` would make them, from its cache where they are there.

    Args:
        config: which model, and how it runs.
        texts: none twice.
        folder: where the products' vectors lie.
        progress: where to show the progress.

    Returns:
        The encoder, and float32, shape (texts, dim).
    """
    encoder = _encoder(config, texts, folder, progress)
    return encoder, encode_cached(encoder, texts, _cache(config, folder), progress)[0]


def _encoder(config: EncoderConfig, texts: Sequence[str], folder: Path, progress: Progress) -> TextEncoder:
    return TextEncoder(settle(config, texts, folder, progress, standing_digest(folder)), folder)


def _cache(config: EncoderConfig, folder: Path) -> Path:
    return Path(config.cache).expanduser() if config.cache else folder


def standing_digest(folder: Path) -> str:
    """Digest of the vectors in `folder`, empty without any."""
    try:
        return _read_head(folder).digest
    except EncoderError:
        return ""


def _blocks(dim: int, images: Images) -> list[dict[str, Any]]:
    widths = {"text": dim, "image": images.matrix.shape[1], "has_image": 1}
    return [{"name": name, "width": width} for name, width in widths.items()]


def _beside(text: Vectors, images: Images | None) -> Vectors:
    """The whole matrix."""
    if images is None:
        return text
    return np.hstack([text, images.matrix, images.there.astype(np.float32)[:, None]])


def _done(folder: Path, identity: tuple[str, ...]) -> NodeVectors | None:
    """The vectors in `folder` if they are sound and what would be made."""
    try:
        head = _read_head(folder)
        if head.identity == identity:
            return NodeVectors(_matrix(folder, head), head, reused=True)
    except EncoderError:
        pass
    return None


def _matrix(folder: Path, head: VectorsHead) -> Vectors:
    path = folder / head.matrix
    try:
        matrix: Vectors = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise EncoderError("the text vectors cannot be read", str(path), _REMEDY) from error
    if matrix.shape != (head.products, head.width) or matrix.dtype != np.float32:
        raise EncoderError("the text vectors do not fit their head", str(path), _REMEDY)
    return matrix


def _write(folder: Path, head: VectorsHead, matrix: Vectors, images: Images | None) -> None:
    """Matrix first, then the head that names it, each by a rename; then matrices that no head names are removed."""
    _replace(folder / head.matrix, lambda file: np.save(file, matrix))
    (folder / SET_ASIDE).unlink(missing_ok=True)
    if images is not None and len(images.set_aside):
        _replace(folder / SET_ASIDE, lambda file: pq.write_table(images.set_aside, file))
    text = json.dumps(head.to_dict(), indent=1)
    _replace(folder / _HEAD, lambda file: file.write(text.encode()))
    for path in folder.glob("products-*.npy"):
        if path.name != head.matrix:
            path.unlink()


def _replace(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        Path(scratch).replace(path)
    finally:
        Path(scratch).unlink(missing_ok=True)
