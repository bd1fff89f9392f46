"""Words that the language model knows: they exist, whether or not a shop has them, and are no misspelt ones."""

from __future__ import annotations

import json
from pathlib import Path

_MARKS = ("\u2581", "\u0120")
"""What begins a word in vocabularies of SentencePiece and of byte pairs; WordPiece marks what does not begin one."""


def real_words(model: Path) -> frozenset[str]:
    """Whole words of the vocabulary in a model's folder, folded; none where it has no tokenizer.json."""
    try:
        vocabulary = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
    tokens = [str(token[0] if isinstance(token, list) else token) for token in vocabulary]
    marked = [token[1:] for token in tokens if token.startswith(_MARKS)]
    return frozenset(token.casefold() for token in (marked or tokens) if token.isalpha())
