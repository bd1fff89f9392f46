"""What a model wants before a text: `query: ` and `passage: ` of E5, the instruction of BGE, a model's own prompts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from encoders.config import EncoderConfig
from encoders.modules import read_json

_BGE = "Represent this sentence for searching relevant passages: "
_BGE_ZH = "为这个句子生成表示以用于检索相关文章："  # noqa: RUF001 - the colon is the model card's
_E5_TASK = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
_FAMILIES: tuple[tuple[str, str, str], ...] = (
    (r"e5-(small|base|large)(-unsupervised|-v2)*", "query: ", "passage: "),
    (r"e5-(large|mistral-7b)-instruct", _E5_TASK, ""),
    (r"bge-(small|base|large)-en(-v1\.5)?", _BGE, ""),
    (r"bge-(small|base|large)-zh(-v1\.5)?", _BGE_ZH, ""),
)
"""Last word of the model's name, what its card says to put before queries, and before passages. The names of E5 may
follow `multilingual-`; bge-m3 wants nothing."""
_QUERY, _PASSAGE = ("query",), ("document", "passage", "corpus")


def prefixes(config: EncoderConfig, folder: Path, settings: Mapping[str, Any]) -> tuple[str, str]:
    """Prefix of queries and of passages: the setting, else the model's own prompt, else its family's.

    Args:
        config: `query_prefix` and `passage_prefix`; None asks the model.
        folder: the model's directory.
        settings: its config.json.
    """
    own = folder / "config_sentence_transformers.json"
    prompts = (read_json(own).get("prompts") if own.exists() else None) or {}
    family = _family((config.model, folder.name, str(settings.get("_name_or_path", ""))))
    found = []
    for asked, words, usual in ((config.query_prefix, _QUERY, family[0]), (config.passage_prefix, _PASSAGE, family[1])):
        named = [prompts[word] for word in words if prompts.get(word)]
        # a model that brings any prompt has said all that it wants
        found.append(asked if asked is not None else named[0] if named else "" if any(prompts.values()) else usual)
    return found[0], found[1]


def _family(names: Iterable[str]) -> tuple[str, str]:
    """What the family wants that the hub name, the folder's name or the name in config.json tells."""
    for name in names:
        last = name.rstrip("/").rpartition("/")[2].lower()
        for pattern, query, passage in _FAMILIES:
            if re.fullmatch(rf"(multilingual-)?({pattern})", last):
                return query, passage
    return "", ""
