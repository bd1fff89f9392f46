"""A language model as one torch module: tokens in, vectors of length one out.

Pooling: Reimers and Gurevych, "Sentence-BERT", 2019 (mean, cls, max); Muennighoff, "SGPT", 2022 (weightedmean).
"""

from __future__ import annotations

import torch
import transformers
from safetensors.torch import load_file

from encoders.model_files import ModelFiles


class Embedder(torch.nn.Module):
    """Transformer, pooling, dense layers, length one.

    Args:
        transformer: gives `last_hidden_state`, shape (batch, tokens, width).
        pooling: as in `encoders.modules.Modules`.
        layers: over the pooled vector: whether its input is brought to length one first, and the layer.
    """

    def __init__(
        self, transformer: torch.nn.Module, pooling: str, layers: list[tuple[bool, torch.nn.Module]] | None = None
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.pooling = pooling
        self.unit_input = [unit for unit, _ in layers or ()]
        self.layers = torch.nn.ModuleList(layer for _, layer in layers or ())

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, tokens) ids and mask, padded on the right, to float32 vectors of length one, (batch, dim).

        Without a mask nothing is padding.
        """
        states = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        attention_mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        pooled = torch.cat([_pool(states, attention_mask, mode) for mode in self.pooling.split("+")], dim=1)
        for unit, layer in zip(self.unit_input, self.layers, strict=True):
            pooled = layer(torch.nn.functional.normalize(pooled, dim=1) if unit else pooled)
        return torch.nn.functional.normalize(pooled, dim=1)


def load_embedder(files: ModelFiles, dtype: torch.dtype) -> Embedder:
    """The model in `files`, ready to infer; dense layers compute in float32 whatever `dtype` says.

    Raises:
        Exception: files that are torn or do not fit one another; of many types.
    """
    here = {"local_files_only": True, "trust_remote_code": False}
    config = transformers.AutoConfig.from_pretrained(files.modules.transformer, **here)
    # of a model that writes too (T5), the half that reads
    reads = type(config) in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
    kind = transformers.AutoModelForTextEncoding if reads else transformers.AutoModel
    transformer = kind.from_pretrained(files.modules.transformer, use_safetensors=True, dtype=dtype, **here)
    layers: list[tuple[bool, torch.nn.Module]] = []
    for dense in files.modules.dense:
        linear = torch.nn.Linear(dense.inputs, dense.outputs, dense.bias)
        weights = load_file(dense.folder / "model.safetensors")
        linear.load_state_dict({name.removeprefix("linear."): value.float() for name, value in weights.items()})
        layers.append((dense.unit_input, torch.nn.Sequential(linear, getattr(torch.nn, dense.activation)())))
    return Embedder(transformer, files.pooling, layers).eval().requires_grad_(False)


def _pool(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """(batch, tokens, width) to (batch, width); texts stand at the left."""
    if pooling == "cls":
        return states[:, 0]
    if pooling == "lasttoken":
        last = mask.sum(1).clamp(min=1) - 1
        return states.gather(1, last.view(-1, 1, 1).expand(-1, 1, states.shape[2])).squeeze(1)
    weights = mask.unsqueeze(-1).to(states.dtype)
    if pooling == "max":
        return states.masked_fill(weights == 0, float("-inf")).amax(1)
    if pooling == "weightedmean":
        weights = weights * torch.arange(1, states.shape[1] + 1, device=states.device, dtype=states.dtype).view(
            1, -1, 1
        )
    total, count = (states * weights).sum(1), weights.sum(1).clamp(min=1e-9)
    return total / (count.sqrt() if pooling == "mean_sqrt_len_tokens" else count)
