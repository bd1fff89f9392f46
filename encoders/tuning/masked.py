"""Masked-language modelling: the words of the shop are learned before the pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from encoders.errors import EncoderError
from encoders.tuning.pairs import Rows
from encoders.tuning.trainee import Trainee

SHARE = 0.15
"""Of the tokens that are asked for; of these 80 % are masked, 10 % replaced, 10 % left (Devlin et al. 2019)."""


class MaskedLanguage:
    """The loss of guessing hidden tokens, with a head of its own that is thrown away afterwards.

    Head: dense layer, GELU, layer norm, product with the model's word vectors, bias.

    Args:
        trainee: the model.

    Raises:
        EncoderError: its tokenizer has no mask token, or its word vectors have another width than its states.
    """

    def __init__(self, trainee: Trainee) -> None:
        self.trainee = trainee
        transformer: Any = trainee.model.transformer
        self.words: Tensor = transformer.get_input_embeddings().weight
        width = self.words.shape[1]
        if trainee.mask_token is None or getattr(transformer.config, "hidden_size", width) != width:
            what = "the model cannot be adapted by masked-language modelling"
            raise EncoderError(what, "finetune.masked_steps", "set it to 0")
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width)).to(trainee.device)
        self.bias = nn.Parameter(torch.zeros(len(self.words), device=trainee.device))

    @property
    def weights(self) -> list[nn.Parameter]:
        """What the head trains."""
        return [*self.head.parameters(), self.bias]

    def loss(self, rows: Rows, rng: np.random.Generator) -> Tensor:
        """Mean cross-entropy of the hidden tokens of the texts `rows`."""
        ids, mask = self.trainee.padded([self.trainee.tokens[r] for r in rows])
        shown, asked = self._hide(ids, rng)
        with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=self.trainee.autocast):
            states = self.trainee.model.transformer(input_ids=shown, attention_mask=mask).last_hidden_state
            guesses = self.head(states[asked]) @ self.words.T + self.bias
        return nn.functional.cross_entropy(guesses.float(), ids[asked])

    def _hide(self, ids: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The ids with some hidden, and which are asked for; at least one."""
        host = ids.cpu().numpy()
        real = ~np.isin(host, [*self.trainee.special, self.trainee.padding])
        drawn = rng.random(host.shape)
        asked = real & (drawn < SHARE)
        if not asked.any():
            asked = real & (drawn == np.where(real, drawn, 1.0).min())
        how, shown = rng.random(host.shape), host.copy()
        shown[asked & (how < 0.8)] = self.trainee.mask_token
        other = asked & (how >= 0.9)
        shown[other] = rng.integers(0, self.trainee.vocabulary, int(other.sum()))
        device = ids.device
        return torch.from_numpy(shown).to(device), torch.from_numpy(asked).to(device)
