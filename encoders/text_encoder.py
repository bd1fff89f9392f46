"""Texts to unit vectors with a transformer, as sentence-transformers computes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from encoders.config import EncoderConfig
from encoders.device import device_of, half_pays
from encoders.embedder import Embedder, load_embedder
from encoders.errors import EncoderError
from encoders.model_files import ModelFiles, find_model
from encoders.onnx_model import OnnxModel, cache_folder, exported
from encoders.quiet import quietly
from ingest.progress import Progress, SilentProgress

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Run = Callable[[Rows, Rows], Vectors]
_SLICE = 65_536
"""Texts tokenised at a time: bounds memory, and is long enough for batches of like length."""
_CPU_TOKENS, _GPU_TOKENS = 512, 65_536


class TextEncoder:
    """A transformer that turns texts into unit vectors. The weights are loaded with the first text.

    `encode` and `stream` take what is searched in (products), `queries` what somebody searches for: some models want
    other words before the one than before the other.

    Args:
        config: which model, and how it computes; `auto` is bf16 on a GPU and on a CPU with AMX, else fp32 (what is
            measured, `encoders.variants.settle` puts in its place).
        folder: where a calibrated int8 model lies.

    Attributes:
        files: the model's files.
        device: where it computes.
        variant: how: fp32, bf16, onnx or int8.
        dtype: in what precision torch does.

    Raises:
        EncoderError: no such model, or no GPU where one is asked for.
    """

    def __init__(self, config: EncoderConfig | None = None, folder: Path | None = None) -> None:
        self.config = config or EncoderConfig()
        self.files: ModelFiles = find_model(self.config)
        self.device = device_of(self.config.device, "encode.device")
        self.variant = _variant(self.config.precision, self.device)
        self.dtype = torch.bfloat16 if self.variant == "bf16" else torch.float32
        self._folder = folder or cache_folder()
        on_gpu = self.device.type == "cuda"
        self.batch_tokens = self.config.batch_tokens or (_GPU_TOKENS if on_gpu else _CPU_TOKENS)
        self.threads = 1 if on_gpu else self.config.threads or torch.get_num_threads()

    @property
    def int8_file(self) -> Path:
        """Where this model's calibrated int8 model lies, or would."""
        return self._folder / f"int8-{self.files.digest()[:16]}.onnx"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the model's files, pooling, token limit, prefix and variant: equal digests, equal vectors.

        Raises:
            EncoderError: the variant is int8, and the model has not been calibrated.
        """
        model = self.files.digest()
        if self.variant == "int8":
            with self._calibrated().open("rb") as file:
                model = hashlib.sha256(
                    f"{model} {hashlib.file_digest(file, 'sha256').hexdigest()}".encode()
                ).hexdigest()
        return f"{model[:56]}-{self.variant}"

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Vectors of `texts`: float32, shape (n, dim), rows of length one. Equal texts are computed once.

        Args:
            texts: any strings, the empty one too.
            progress: where to show the progress.
        """
        distinct = list(dict.fromkeys(texts))
        found = np.empty((len(distinct), self.files.dim), np.float32)
        with (progress or SilentProgress()).station("encode text", len(distinct), "texts") as station:
            for rows, vectors in self.stream(distinct):
                found[rows] = vectors
                station.advance(len(rows))
        place = {text: row for row, text in enumerate(distinct)}
        return found[[place[text] for text in texts]] if len(distinct) < len(texts) else found

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of what people search for, comparable with those of `encode` by their dot product.

        Args:
            texts: any strings; the model's prefix for queries is put before each.

        Returns:
            float32, shape (n, dim), rows of length one.
        """
        found = np.empty((len(texts), self.files.dim), np.float32)
        for rows, vectors in self._stream(texts, self.files.query_prefix):
            found[rows] = vectors
        return found

    def stream(self, texts: Sequence[str]) -> Iterator[tuple[Rows, Vectors]]:
        """Encode batch by batch: yields (positions in `texts`, their vectors) as each batch is done.

        Batches hold texts of like length, the longest first. On a CPU several batches run side by side with a core
        each: no core waits for another inside a layer, which costs most where the machine is shared.
        """
        yield from self._stream(texts, self.files.passage_prefix)

    def _stream(self, texts: Sequence[str], prefix: str) -> Iterator[tuple[Rows, Vectors]]:
        run = self._run  # loaded here, not by several threads at once
        for start in range(0, len(texts), _SLICE):
            tokens = self._tokens([prefix + text for text in texts[start : start + _SLICE]])
            lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
            batches = _batches(lengths, self.batch_tokens, alike=self.device.type == "cuda")
            inputs = [[tokens[row] for row in rows] for rows in batches]
            with _cores(self.threads) as pool:
                forward = partial(self._forward, run)
                # a new thread would have to choose its kernels on the GPU anew
                done = map(forward, inputs) if self.device.type == "cuda" else pool.map(forward, inputs)
                for rows, vectors in zip(batches, done, strict=True):
                    yield rows + start, vectors

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        tokens: list[list[int]] = self._tokenizer(
            [text.lower() for text in texts] if self.files.lowercase else texts,
            truncation=True,
            max_length=self.files.max_tokens,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        return tokens

    def padded(self, tokens: list[list[int]]) -> tuple[Rows, Rows]:
        """Ids and mask of one batch, padded to its longest text, both of shape (batch, tokens)."""
        width = max(1, *map(len, tokens))
        ids = np.full((len(tokens), width), self._tokenizer.pad_token_id or 0, np.int64)
        mask = np.zeros((len(tokens), width), np.int64)
        for row, one in enumerate(tokens):
            ids[row, : len(one)] = one
            mask[row, : max(1, len(one))] = 1  # a text without any token is read as one padding token
        return ids, mask

    def unpadded(self, texts: Sequence[str]) -> list[tuple[Rows, Rows]]:
        """Ids and mask of `texts` in batches of equal length, to calibrate on."""
        alike: dict[int, list[list[int]]] = {}
        for one in self._tokens([self.files.passage_prefix + text for text in texts]):
            alike.setdefault(len(one), []).append(one)
        return [self.padded(batch) for batch in alike.values()]

    def _forward(self, run: Run, tokens: list[list[int]]) -> Vectors:
        return run(*self.padded(tokens))

    @cached_property
    def _run(self) -> Run:
        """Ids and mask to vectors, by torch or by ONNX Runtime."""
        if self.variant == "onnx":
            return OnnxModel(exported(self.files))
        if self.variant == "int8":
            return OnnxModel(self._calibrated())
        return partial(self._torch, self._model)

    def _torch(self, model: Embedder, ids: Rows, mask: Rows) -> Vectors:
        # without a mask a GPU takes its fastest attention; on a CPU the bits would be others than those kept
        unmasked = self.device.type == "cuda" and bool(mask.all())
        with torch.inference_mode():
            here = torch.from_numpy(ids).to(self.device)
            unit = model(here, None if unmasked else torch.from_numpy(mask).to(self.device))
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)

    def _calibrated(self) -> Path:
        if not self.int8_file.exists():
            raise EncoderError("the int8 model has not been calibrated", str(self.int8_file), "run shopgraph encode")
        return self.int8_file

    @cached_property
    def _tokenizer(self) -> Any:
        with quietly():
            try:
                return transformers.AutoTokenizer.from_pretrained(
                    self.files.modules.transformer, local_files_only=True, trust_remote_code=False
                )
            except (OSError, ValueError) as error:
                raise self._broken("tokenizer") from error

    @cached_property
    def _model(self) -> Embedder:
        with quietly():
            try:
                return load_embedder(self.files, self.dtype).to(self.device)
            # a torn weights file raises an error type of the safetensors extension that derives from Exception alone
            except Exception as error:
                raise self._broken("weights") from error

    def _broken(self, part: str) -> EncoderError:
        return EncoderError(f"the model's {part} cannot be read", str(self.files.folder), "get the model again")


def _batches(lengths: Rows, budget: int, alike: bool = False) -> list[Rows]:
    """Positions by falling length, cut so that a batch padded to its longest text has at most `budget` tokens.

    Args:
        lengths: tokens of each text, shape (n,).
        budget: most tokens of a batch; one text may have more.
        alike: all texts of a batch have the same length, so that nothing is padded: a GPU holds so many that hardly a
            batch is the smaller for it.
    """
    order = np.argsort(-lengths, kind="stable")
    falling = -lengths[order]
    cuts: list[Rows] = []
    start = 0
    while start < len(order):
        end = start + max(1, budget // max(1, int(-falling[start])))
        if alike:
            end = min(end, int(np.searchsorted(falling, falling[start], side="right")))
        cuts.append(order[start:end])
        start = end
    return cuts


def _variant(precision: str, device: torch.device) -> str:
    if precision == "auto":
        return "bf16" if half_pays(device) else "fp32"
    if precision in ("onnx", "int8") and device.type == "cuda":
        raise EncoderError(f"{precision} is for CPUs", "encode.precision", "use bf16, or encode.device = cpu")
    return precision


@contextmanager
def _cores(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads of which each computes on one core; what has not begun is dropped when the block is left."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)
