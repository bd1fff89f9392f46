"""Reads what sentence-transformers' files say comes after the transformer: pooling, dense layers, length one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encoders.errors import EncoderError

POOLINGS = ("mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid")
"""Classes of torch.nn that a dense layer may name; nothing else that a file names is ever imported."""
_KNOWN = ("Transformer", "Pooling", "Dense", "Normalize", "Dropout")
_OLD_WORDS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""In the order in which the library sets several side by side."""
_GET_AGAIN = "get the model again"


@dataclass(frozen=True)
class Dense:
    """A layer over the pooled vector.

    Attributes:
        folder: holds config.json and model.safetensors.
        inputs: numbers per vector before it.
        outputs: numbers per vector after it.
        bias: whether it adds one.
        activation: name of a class of torch.nn.
        unit_input: whether vectors are brought to length one before it.
    """

    folder: Path
    inputs: int
    outputs: int
    bias: bool
    activation: str
    unit_input: bool


@dataclass(frozen=True)
class Modules:
    """The parts of a model.

    Attributes:
        transformer: folder of config.json, tokenizer and weights.
        pooling: how token vectors become one, a word of `POOLINGS`; several joined by `+` are set side by side.
        prompt_counts: whether a prefix's tokens are pooled too.
        dense: layers over the pooled vector, in order. Vectors come out with length one whether or not the model has
            a Normalize module: they are compared by cosine.
    """

    transformer: Path
    pooling: str = "mean"
    prompt_counts: bool = True
    dense: tuple[Dense, ...] = ()


def read_modules(folder: Path) -> Modules:
    """The parts of the model in `folder`; a plain transformer is pooled by the mean.

    Raises:
        EncoderError: modules that this encoder has not, or that would run a model's own code.
    """
    path = folder / "modules.json"
    if not path.exists():
        pooling, prompt = _pooling(folder / "1_Pooling")
        return Modules(folder, pooling, prompt)
    try:
        return _modules(folder, path)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EncoderError("modules.json or a module's config.json has no sense", str(folder), _GET_AGAIN) from error


def _modules(folder: Path, path: Path) -> Modules:
    transformer, pooling, prompt = folder, "mean", True
    dense: list[Dense] = []
    unit = False
    for module in read_json(path):
        kind, place = _kind(str(module["type"]), path), folder / str(module.get("path", ""))
        if kind == "Transformer":
            transformer = place
        elif kind == "Pooling":
            pooling, prompt = _pooling(place)
        elif kind == "Dense":
            dense.append(_dense(place, unit))
        unit = kind == "Normalize" or (unit and kind == "Dropout")
    return Modules(transformer, pooling, prompt, tuple(dense))


def read_json(path: Path) -> Any:
    """What a JSON file of a model holds.

    Raises:
        EncoderError: it is not there or cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        remedy = "name a directory with config.json, a tokenizer and weights"
        raise EncoderError(f"no model: it has no {path.name}", str(path.parent), remedy) from error
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path.name} cannot be read", str(path.parent), _GET_AGAIN) from error


def _kind(name: str, path: Path) -> str:
    """Last word of a module's class, which must be of sentence-transformers itself."""
    package, kind = name.partition(".")[0], name.rpartition(".")[2]
    if package != "sentence_transformers":
        remedy = "use a model that consists of sentence-transformers' own modules"
        raise EncoderError(f"the model wants to run code of its own, {name}", str(path), remedy)
    if kind not in _KNOWN:
        raise EncoderError(
            f"the model has modules {kind}", str(path), f"use a model that consists of {', '.join(_KNOWN)}"
        )
    return kind


def _pooling(folder: Path) -> tuple[str, bool]:
    """Pooling, in sentence-transformers' old words or its new ones, and whether a prompt is pooled."""
    path = folder / "config.json"
    if not path.exists():
        return "mean", True
    settings = read_json(path)
    asked = [key for key, on in settings.items() if key.startswith("pooling_mode_") and on is True]
    old = [word for key, word in _OLD_WORDS.items() if settings.get(key) is True]
    old += [key for key in asked if key not in _OLD_WORDS]
    modes = settings.get("pooling_mode") or old or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    for mode in modes:
        if mode not in POOLINGS:
            raise EncoderError(
                f"unknown pooling {mode!r}", str(path), f"use a model that pools by {' or '.join(POOLINGS)}"
            )
    return "+".join(modes), bool(settings.get("include_prompt", True))


def _dense(folder: Path, unit_input: bool) -> Dense:
    settings = read_json(folder / "config.json")
    activation = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh"))
    name = activation.rpartition(".")[2]
    if not activation.startswith("torch.nn.") or name not in ACTIVATIONS:
        remedy = f"use a model whose dense layers have {' or '.join(ACTIVATIONS)}"
        raise EncoderError(f"unknown activation {activation!r}", str(folder / "config.json"), remedy)
    reads = settings.get("module_input_name", "sentence_embedding")
    if (
        settings.get("use_residual")
        or reads != "sentence_embedding"
        or settings.get("module_output_name", reads)
        not in (
            None,
            reads,
        )
    ):
        remedy = "use a model whose dense layers follow one another"
        raise EncoderError("a dense layer that does not replace its input", str(folder / "config.json"), remedy)
    if not (folder / "model.safetensors").exists():
        raise EncoderError("a dense layer has no model.safetensors", str(folder), "save the model as safetensors")
    return Dense(
        folder,
        int(settings["in_features"]),
        int(settings["out_features"]),
        bool(settings.get("bias", True)),
        name,
        unit_input,
    )
