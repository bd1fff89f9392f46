"""Which scripts a language model can read, by its vocabulary, and how many titles are in others."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from encoders.model_files import ModelFiles
from encoders.product_fields import column
from kg.snapshot import Snapshot

MANY = 0.2
"""Share of titles in unknown scripts that is worth a warning."""
_WORDS, _CHARACTERS = 300, 3000
"""Pieces of words, or characters of a script that writes a word with one, that make a vocabulary know a script. English
BERT has 86 single Cyrillic letters and 488 Chinese characters; a Chinese newspaper uses about 3,000."""
_ONE_IS_A_WORD = "CJK"
_NAMES = {"CJK": "Chinese characters"}


@cache
def _script(letter: str) -> str:
    """First word of a letter's Unicode name, empty for what is no letter of a script (digits, marks, symbols)."""
    if not letter.isalpha():
        return ""
    script = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "").partition(" ")[0]
    return "" if script in ("MODIFIER", "FEMININE", "MASCULINE", "MICRO", "SUPERSCRIPT", "SUBSCRIPT") else script


def known_scripts(files: ModelFiles) -> frozenset[str] | None:
    """Scripts that the model's vocabulary has words of, None where that cannot be told."""
    vocabulary = _vocabulary(files.modules.transformer)
    pieces: Counter[str] = Counter()
    for piece in vocabulary:
        letters = Counter(script for script in map(_script, piece) if script)
        pieces.update(s for s, count in letters.items() if count > 1 or s == _ONE_IS_A_WORD)
    found = {s for s, n in pieces.items() if n >= (_CHARACTERS if s == _ONE_IS_A_WORD else _WORDS)}
    return frozenset(found) or None


def unknown_titles(snapshot: Snapshot, known: frozenset[str]) -> tuple[float, list[str]]:
    """Share of the titles with words in scripts outside `known`, and those scripts, the commonest first."""
    titles = [title for title in column(snapshot.nodes["Product"], "title").tolist() if title]
    times, scripts = 0, Counter[str]()
    for title, count in Counter(titles).items():
        other = {script for script in _words(title) if script not in known}
        times += count if other else 0
        scripts.update(dict.fromkeys(other, count))
    return times / len(titles) if titles else 0.0, [_NAMES.get(s, s.capitalize()) for s, _ in scripts.most_common()]


def script_note(snapshot: Snapshot, files: ModelFiles) -> str:
    """A warning where more than a fifth of the titles are in a script that the model does not know, else empty."""
    known = known_scripts(files)
    share, scripts = unknown_titles(snapshot, known) if known else (0.0, [])
    if share <= MANY:
        return ""
    return (
        f"{share:.0%} of the titles have words in a script that {files.name} does not know ({', '.join(scripts)}); "
        "set encode.model to a multilingual model"
    )


def _words(title: str) -> Iterable[str]:
    """Scripts of which two letters, or one that is a word, stand together in a title."""
    if title.isascii():
        return {"LATIN"} if any(map(str.isalpha, title)) else ()
    scripts = [_script(letter) for letter in title]
    pairs = {a for a, b in itertools.pairwise(scripts) if a and a == b}
    return pairs | ({_ONE_IS_A_WORD} & set(scripts))


def _vocabulary(folder: Path) -> Iterable[str]:
    """The pieces that the tokenizer knows; none where it is of a kind that cannot be read without its library."""
    path = folder / "tokenizer.json"
    try:
        whole: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        entries = whole["model"]["vocab"]
        pieces = [entry if isinstance(entry, str) else str(entry[0]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        plain = folder / "vocab.txt"
        return plain.read_text(encoding="utf-8", errors="ignore").split("\n") if plain.exists() else ()
    if '"ByteLevel"' not in json.dumps([whole.get("pre_tokenizer"), whole.get("decoder")]):
        return pieces
    byte = _bytes_of_letters()
    return [bytes(byte.get(letter, 32) for letter in piece).decode("utf-8", "ignore") for piece in pieces]


def _bytes_of_letters() -> dict[str, int]:
    """The letter that byte-level tokenizers write for each byte (GPT-2's table), turned round."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(value): value for value in plain}
    rest = [value for value in range(256) if value not in plain]
    return table | {chr(256 + i): value for i, value in enumerate(rest)}
