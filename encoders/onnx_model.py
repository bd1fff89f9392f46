"""The model in ONNX Runtime: exported from torch once per machine, then run on one core a batch."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.embedder import load_embedder
from encoders.errors import EncoderError
from encoders.model_files import ModelFiles
from encoders.quiet import quietly, silently

Tokens = NDArray[np.int64]
INPUTS = ("input_ids", "attention_mask")
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_MOST_BYTES = 1_500_000_000
"""A single ONNX file may have two gigabytes."""


def cache_folder() -> Path:
    """Where exported models and the machine's choice are kept: SHOPGRAPH_CACHE, else ~/.cache/shopgraph."""
    chosen = os.environ.get("SHOPGRAPH_CACHE")
    return (Path(chosen) if chosen else Path.home() / ".cache" / "shopgraph") / "encoders"


class OnnxModel:
    """A model file in ONNX Runtime. Calls may come from several threads, each computes on one core.

    Args:
        path: what `exported` or `quantise` has written.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self, ids: Tokens, mask: Tokens) -> NDArray[np.float32]:
        """(batch, tokens) ids and mask to float32 vectors of length one, (batch, dim)."""
        found: NDArray[np.float32] = self._session.run(None, dict(zip(INPUTS, (ids, mask), strict=True)))[0]
        return found


def exported(files: ModelFiles) -> Path:
    """The model as an ONNX file in the machine's cache, made the first time.

    Raises:
        EncoderError: a package is missing, or the model is none that can be exported.
    """
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        raise EncoderError(f"{', '.join(absent)} not installed", "encode.precision", "pip install 'shopgraph[train]'")
    if sum(path.stat().st_size for path in files.modules.transformer.glob("*.safetensors")) > _MOST_BYTES:
        raise EncoderError("the model is too large for one ONNX file", files.name, "use fp32 or bf16")
    path = cache_folder() / f"model-{files.digest()[:16]}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as scratch:
            draft = Path(scratch) / path.name
            _export(files, draft)
            draft.replace(path)
    return path


def _export(files: ModelFiles, path: Path) -> None:
    with quietly():
        model = load_embedder(files, torch.float32)
    ids = torch.ones((3, 7), dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    try:
        with silently():
            torch.onnx.export(
                model,
                (ids, mask),
                path,
                dynamo=True,
                input_names=list(INPUTS),
                output_names=["vectors"],
                dynamic_shapes=dict.fromkeys(INPUTS, sizes),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # what an exporter raises of a model that it cannot take has no common type
        raise EncoderError("the model cannot be exported to ONNX", files.name, "use fp32 or bf16") from error
