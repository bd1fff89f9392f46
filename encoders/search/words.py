"""Text to the words that search compares: folded, split, segmented where a script has no spaces, stemmed."""

from __future__ import annotations

import html
import re
import tempfile
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from encoders.errors import EncoderError

_ACCENT = re.compile("[\u0300-\u036f]")
_APOSTROPHE = re.compile(r"(?<=\w)['\u2019](?=\w)")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
"""Thai, Lao, Burmese, Khmer, and Japanese syllables."""
_WORD = re.compile(rf"[{_HAN}]+|[{_UNSPACED}]+|\d+(?:[.,]\d+)*|[^\W\d_{_HAN}{_UNSPACED}]+")
_HAN_RUN = re.compile(rf"[{_HAN}]")
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}]")


def words(text: str) -> list[str]:
    """The words of `text` in order, as people write them but for case, accents and apostrophes.

    Letters and digits part ("12oz" is "12", "oz", so that it meets "12 oz"). Chinese is cut by jieba, with the parts of
    long words beside them; scripts that write without spaces become pairs of characters.
    """
    plain = unicodedata.normalize("NFKD", html.unescape(text))
    plain = unicodedata.normalize("NFC", _ACCENT.sub("", plain)).casefold()
    return [word for run in _WORD.findall(_APOSTROPHE.sub("", plain)) for word in _cut(run)]


def _cut(run: str) -> Iterator[str]:
    if _HAN_RUN.match(run):
        yield from (word for word in _chinese().cut_for_search(run) if word.strip())
    elif _UNSPACED_RUN.match(run) and len(run) > 2:
        yield from (run[at : at + 2] for at in range(len(run) - 1))
    else:
        yield run


@cache
def _chinese() -> Any:
    """Jieba's tokenizer with its dictionary read.

    Its cache file would be read from a folder that everybody may write to: here it is made in one of our own.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its source has escapes that newer Pythons remark on when they compile it
        import jieba
    tokenizer = jieba.Tokenizer()
    jieba.setLogLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.tmp_dir = folder
        tokenizer.initialize()
    return tokenizer


def stemmer(language: str) -> Callable[[str], str]:
    """What makes one of "creams" and "cream": a Snowball algorithm by name; empty: words stay as they are.

    Raises:
        EncoderError: Snowball has none of this name.
    """
    if not language:
        return lambda word: word
    import Stemmer

    if language not in Stemmer.algorithms():
        known = ", ".join(Stemmer.algorithms())
        raise EncoderError(f"unknown stemmer {language!r}", "search.stemmer", f"use one of {known}, or nothing")
    stem: Callable[[str], str] = Stemmer.Stemmer(language).stemWord
    return stem
