"""The language model while it is tuned: trainable weights put in, computed with gradient, written as a plain model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.embedder import load_embedder
from encoders.errors import EncoderError
from encoders.model_files import ModelFiles
from encoders.quiet import quietly
from encoders.tuning.config import FinetuneConfig
from encoders.tuning.pairs import Rows

PART = 32
"""Texts of like length computed together, so that little is padded."""
_KEPT = ("*.json", "*.txt", "*.model", "*/config.json")
_ATTENTION = frozenset(
    ("query", "key", "value", "q", "k", "v", "o", "q_lin", "k_lin", "v_lin", "out_lin", "q_proj", "k_proj", "v_proj")
)


class Learner(Protocol):
    """What is tuned: weights, and the vectors of known texts that they give.

    Attributes:
        device: where it computes.
        refresh: steps after which all vectors are computed anew because that costs little; 0: never.
    """

    device: torch.device
    refresh: int

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""

    def state(self) -> dict[str, Tensor]:
        """A copy of the trained weights."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take weights that `state` gave."""

    def vectors(self, rows: Rows) -> Tensor:
        """Unit vectors of the texts `rows`, with their gradient; float32, shape (len(rows), dim)."""

    def encoded(self, rows: Rows) -> NDArray[np.float32]:
        """Unit vectors without dropout and gradient, shape (len(rows), dim)."""

    def save(self, folder: Path) -> None:
        """Write a plain model directory."""


class Trainee:
    """A text encoder with weights to train, over texts that are known beforehand and told by their rows.

    Args:
        files: the model to start from.
        texts: the texts.
        config: what is trained, and how texts are cut.
        device: where it computes.
        autocast: whether matrix products run in bf16.

    Raises:
        EncoderError: the model cannot be loaded, or has no layers to train.
    """

    refresh = 0

    def __init__(
        self, files: ModelFiles, texts: Sequence[str], config: FinetuneConfig, device: torch.device, *, autocast: bool
    ) -> None:
        self.files, self.device, self.autocast = files, device, autocast
        with quietly():
            try:
                tokenizer = transformers.AutoTokenizer.from_pretrained(
                    files.modules.transformer, local_files_only=True, trust_remote_code=False
                )
                self.model = load_embedder(files, torch.float32)
            except Exception as error:  # as in TextEncoder: torn files raise errors of many types
                raise EncoderError("the model cannot be read", str(files.folder), "get the model again") from error
        self.mask_token, self.special = tokenizer.mask_token_id, sorted(tokenizer.all_special_ids)
        self.vocabulary, self.padding = len(tokenizer), tokenizer.pad_token_id or 0
        said = [files.passage_prefix + text for text in texts]
        whole = tokenizer(
            [text.lower() for text in said] if files.lowercase else said,
            truncation=True,
            max_length=min(config.max_tokens, files.max_tokens),
            padding=False,
        )["input_ids"]
        self.tokens = [np.asarray(one, np.int64) for one in whole]
        self.lengths = np.fromiter(map(len, self.tokens), np.int64, len(self.tokens))
        torch.manual_seed(config.seed)
        self.model.transformer = _trainable(self.model.transformer, config)
        for module in self.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = config.dropout
        self.model.to(device).train()

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def state(self) -> dict[str, Tensor]:
        """A copy of the trained weights."""
        return {name: p.detach().clone() for name, p in self.weights.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take weights that `state` gave."""
        with torch.no_grad():
            for name, parameter in self.weights.items():
                parameter.copy_(state[name])

    def vectors(self, rows: Rows) -> Tensor:
        """Unit vectors of the texts `rows`, with their gradient; float32, shape (len(rows), dim)."""
        order = np.argsort(-self.lengths[rows], kind="stable")
        parts = [rows[order[at : at + PART]] for at in range(0, len(order), PART)]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            unit = torch.cat([self.model(*self.padded([self.tokens[r] for r in part])) for part in parts])
        return unit.float()[torch.from_numpy(np.argsort(order, kind="stable")).to(self.device)]

    def encoded(self, rows: Rows) -> NDArray[np.float32]:
        """Unit vectors without dropout and gradient, shape (len(rows), dim)."""
        self.model.eval()
        found = np.empty((len(rows), self.files.dim), np.float32)
        with torch.inference_mode():
            for at in range(0, len(rows), 16 * PART):
                found[at : at + 16 * PART] = self.vectors(rows[at : at + 16 * PART]).cpu().numpy()
        self.model.train()
        return found

    def padded(self, tokens: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask of one batch, both of shape (texts, longest)."""
        width = max(1, *map(len, tokens))
        ids, mask = np.full((len(tokens), width), self.padding, np.int64), np.zeros((len(tokens), width), np.int64)
        for row, one in enumerate(tokens):
            ids[row, : len(one)], mask[row, : max(1, len(one))] = one, 1
        return torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)

    def save(self, folder: Path) -> None:
        """Write a plain model: the weights, LoRA's added to them, and all else as in the model begun with.

        The trainee cannot be trained further.
        """
        base, inner = self.files.folder, self.files.modules.transformer
        for source in {base, inner}:
            for path in (p for pattern in _KEPT for p in source.glob(pattern)):
                if not path.name.endswith(".index.json"):
                    _copy(path, folder / path.relative_to(base))
        for dense in self.files.modules.dense:
            _copy(dense.folder / "model.safetensors", folder / dense.folder.relative_to(base) / "model.safetensors")
        transformer: Any = self.model.transformer
        if hasattr(transformer, "merge_and_unload"):
            transformer = transformer.merge_and_unload()
        with quietly():
            transformer.cpu().save_pretrained(folder / inner.relative_to(base))
        self._say_prefixes(folder / "config_sentence_transformers.json")

    def _say_prefixes(self, path: Path) -> None:
        """Prefixes that the model's name told must not depend on the folder's."""
        if self.files.query_prefix or self.files.passage_prefix:
            said = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            prompts = {"query": self.files.query_prefix, "document": self.files.passage_prefix}
            path.write_text(json.dumps(said | {"prompts": prompts}, indent=1), encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _trainable(transformer: Any, config: FinetuneConfig) -> Any:
    """The transformer with LoRA's matrices, or with all of its weights to train."""
    if config.method == "full":
        return transformer.requires_grad_(True)
    from peft import LoraConfig, LoraModel

    linear = [n for n, m in transformer.named_modules() if isinstance(m, nn.Linear) and "pooler" not in n.split(".")]
    chosen = [n for n in linear if config.layers == "all" or _of_attention(n) == (config.layers == "attention")]
    if not chosen:
        what = f"the model has no linear layers of the kind {config.layers!r}"
        raise EncoderError(what, "finetune.layers", "use all, or finetune.method=full")
    lora = LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=chosen, lora_dropout=0.0)
    return LoraModel(transformer, lora, "default")


def _of_attention(name: str) -> bool:
    """Whether a linear layer belongs to attention, by the words of its path."""
    words = name.split(".")
    return words[-1] in _ATTENTION or any("attention" in word or word == "attn" for word in words)
