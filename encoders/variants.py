"""Which way of computing encodes fastest on this machine and is exact enough: measured once, kept, asked again."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from encoders.config import EncoderConfig
from encoders.errors import EncoderError
from encoders.int8 import quantise
from encoders.onnx_model import cache_folder, exported
from encoders.space import nearest
from encoders.text_encoder import TextEncoder, Vectors
from ingest.progress import Progress

VARIANTS = ("fp32", "bf16", "onnx", "int8")
LEAST_COSINE, LEAST_OVERLAP = 0.99, 0.95
"""How near a variant's vectors must be to fp32's: mean cosine, and share of the ten nearest texts that stay."""
_SAMPLE, _CALIBRATED, _ROUNDS, _NEAREST = 1000, 256, 4, 10
_GAIN = 1.1
"""A variant that is not this much faster is not worth other vectors than fp32's."""


@dataclass(frozen=True)
class Measured:
    """A variant beside fp32, on the same texts in one run.

    Attributes:
        variant: its name.
        texts_per_second: by the clock.
        cosine: mean cosine with fp32's vectors.
        overlap: share of a text's ten nearest texts that stay among the ten nearest, mean.
        refused: why it is not taken; empty where it may be.
    """

    variant: str
    texts_per_second: float
    cosine: float
    overlap: float
    refused: str = ""


def settle(
    config: EncoderConfig, texts: Sequence[str], folder: Path, progress: Progress, standing: str = ""
) -> EncoderConfig:
    """`config` with a variant for `auto`, and with what the variant needs (an exported or calibrated model) made.

    Args:
        config: which model, and how it computes.
        texts: the different texts that are to be encoded.
        folder: where a calibrated model goes.
        progress: shows a station while it measures.
        standing: digest of the vectors in hand; `auto` goes on with their variant where it is one of this model's.

    Raises:
        EncoderError: the variant asked for cannot be had, or its vectors are too far from fp32's.
    """
    plain = TextEncoder(config)
    if config.precision == "onnx":
        exported(plain.files)
    elif config.precision == "int8":
        calibrate(config, texts, folder)
    if config.precision != "auto" or plain.device.type == "cuda":
        return replace(config, precision=plain.variant)
    if name := _variant_of(standing, config, folder):
        return replace(config, precision=name)
    kept = _kept(plain)
    if kept is None and len(texts) >= max(1, config.measure_from):
        with progress.station("measure the encoder") as station:
            kept = measure(config, texts, folder)
            station.note(f"{best(kept)[0]} on this machine")
            _keep(plain, kept)
    for name in best(kept or ()):
        try:
            return settle(replace(config, precision=name), texts, folder, progress)
        except (EncoderError, OSError):  # on these texts int8 is not near enough, or a package or a folder has gone
            continue
    return replace(config, precision=plain.variant)


def as_encoded(config: EncoderConfig, digest: str) -> EncoderConfig:
    """`config` with the variant that vectors of this digest were made by, where it leaves that open."""
    name = digest.rpartition("-")[2]
    return replace(config, precision=name) if config.precision == "auto" and name in VARIANTS else config


def measure(config: EncoderConfig, texts: Sequence[str], folder: Path) -> list[Measured]:
    """Every variant on a sample of `texts`, in turn, fp32 first. What a CPU cannot have is refused with the reason."""
    sample = spread(texts, _SAMPLE)
    encoders: dict[str, TextEncoder] = {}
    found: dict[str, Measured] = {}
    for name in VARIANTS:
        try:
            encoders[name] = _ready(replace(config, precision=name), sample, folder)
        except (EncoderError, OSError) as error:
            if name == "fp32":  # the model itself is broken
                raise
            found[name] = Measured(name, 0, 0, 0, str(getattr(error, "what", error)))
    seconds = dict.fromkeys(encoders, 0.0)
    parts: dict[str, list[Vectors]] = {name: [] for name in encoders}
    for chunk in np.array_split(np.arange(len(sample)), min(_ROUNDS, len(sample))):
        for name, encoder in encoders.items():
            began = time.perf_counter()
            parts[name].append(encoder.encode([sample[row] for row in chunk]))
            seconds[name] += time.perf_counter() - began
    exact = np.concatenate(parts["fp32"])
    for name in encoders:
        cosine, overlap = agreement(exact, np.concatenate(parts[name]))
        why = "" if near_enough(cosine, overlap) else "too far from fp32"
        found[name] = Measured(name, round(len(sample) / seconds[name], 1), round(cosine, 5), round(overlap, 4), why)
    return [found[name] for name in VARIANTS]


def best(measured: Sequence[Measured]) -> list[str]:
    """Accepted variants, the fastest first, as far as they are worth leaving fp32 for; fp32 is the last."""
    rates = {one.variant: one.texts_per_second for one in measured if not one.refused}
    plain = rates.pop("fp32", 0.0)
    faster = sorted((name for name, rate in rates.items() if rate >= _GAIN * plain), key=lambda name: -rates[name])
    return [*faster, "fp32"] if measured else []


def calibrate(config: EncoderConfig, texts: Sequence[str], folder: Path) -> None:
    """Make the int8 model of `config`'s model in `folder`, calibrated on a sample of `texts`; what is there stays.

    All linear layers are tried in int8, then all but those with a wide input.

    Raises:
        EncoderError: a package is missing, or neither is near enough to fp32.
    """
    config = replace(config, precision="int8", device="cpu")
    target = TextEncoder(config, folder).int8_file
    if target.exists():
        return
    exact = TextEncoder(replace(config, precision="fp32"))
    source, sample = exported(exact.files), spread(texts, _SAMPLE)
    reference, batches = exact.encode(sample), exact.unpadded(spread(sample, _CALIBRATED))
    folder.mkdir(parents=True, exist_ok=True)
    cosine = overlap = 0.0
    for wide in (True, False):
        with tempfile.TemporaryDirectory(prefix=".int8-", dir=folder) as scratch:
            draft = TextEncoder(config, Path(scratch))
            try:
                quantise(source, batches, draft.int8_file, wide=wide)
            except (RuntimeError, ValueError, TypeError, KeyError) as error:  # an architecture that the library cannot
                raise EncoderError("the model cannot be put in int8", "encode.precision", "use auto") from error
            cosine, overlap = agreement(reference, draft.encode(sample))
            if near_enough(cosine, overlap):
                draft.int8_file.replace(target)
                return
    what = f"int8 is too far from fp32: mean cosine {cosine:.4f}, ten nearest {overlap:.3f}"
    raise EncoderError(what, "encode.precision", "use auto, or another precision")


def agreement(exact: Vectors, other: Vectors) -> tuple[float, float]:
    """Mean cosine of unit vectors, and the mean share of each row's ten nearest rows that `other` has in common."""
    near = [nearest(vectors, _NEAREST) for vectors in (exact, other)]
    shared = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(*near, strict=True) if len(a)]
    return float((exact * other).sum(1).mean()), float(np.mean(shared)) if shared else 1.0


def near_enough(cosine: float, overlap: float) -> bool:
    """Whether vectors are near enough to fp32's."""
    return cosine >= LEAST_COSINE and overlap >= LEAST_OVERLAP


def spread(texts: Sequence[str], count: int) -> list[str]:
    """`count` of the texts, the same each time: taken evenly from their alphabetical order."""
    ordered = sorted(set(texts))
    return [ordered[row] for row in np.unique(np.linspace(0, len(ordered) - 1, count).astype(int)).tolist()]


def _ready(config: EncoderConfig, sample: Sequence[str], folder: Path) -> TextEncoder:
    """An encoder that has loaded its weights.

    Raises:
        EncoderError: this CPU or this installation does not have the variant.
    """
    if config.precision == "bf16" and not torch.cpu.get_capabilities().get("amx_bf16"):
        raise EncoderError("this CPU has no AMX, without which bf16 is slower than fp32")
    if config.precision == "int8":
        calibrate(config, sample, folder)
    encoder = TextEncoder(config, folder)
    encoder.encode(sample[:8])
    return encoder


def _variant_of(digest: str, config: EncoderConfig, folder: Path) -> str | None:
    """The variant of `config`'s model whose vectors have this digest."""
    name = digest.rpartition("-")[2]
    if name not in VARIANTS:
        return None
    encoder = TextEncoder(replace(config, precision=name), folder)
    there = name != "int8" or encoder.int8_file.exists()
    return name if there and encoder.digest == digest else None


def _record(encoder: TextEncoder) -> Path:
    """Where the choice for this machine and model is kept."""
    return cache_folder() / f"choice-{encoder.files.digest()[:16]}.json"


def _machine() -> dict[str, str]:
    """What a choice depends on beside the model."""
    able = ",".join(sorted(name for name, has in torch.cpu.get_capabilities().items() if has is True))
    found = {"cpu": platform.processor() or platform.machine(), "able": able, "cores": str(os.cpu_count())}
    for package in ("torch", "onnxruntime"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found


def _kept(encoder: TextEncoder) -> list[Measured] | None:
    try:
        read = json.loads(_record(encoder).read_text())
        return [Measured(**one) for one in read["measured"]] if read["machine"] == _machine() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _keep(encoder: TextEncoder, measured: Sequence[Measured]) -> None:
    text = json.dumps({"machine": _machine(), "measured": [asdict(one) for one in measured]}, indent=1)
    path = _record(encoder)
    with suppress(OSError):  # a home that cannot be written: measured again the next time
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".choice-", dir=path.parent) as scratch:
            draft = Path(scratch) / path.name
            draft.write_text(text)
            draft.replace(path)
