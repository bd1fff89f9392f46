"""Takes markup and boilerplate out of a shop's texts and cuts them to a budget; text without either stays as it is."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_INLINE = (
    "a abbr b bdi bdo big cite code em font i ins kbd label mark q s samp small span strong strike sub sup tt u var wbr"
)
_BLOCK = (
    "address article aside blockquote body br caption center col colgroup dd del details div dl dt figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 head header hr html iframe img input li link main meta nav object ol option p param "
    "picture pre section select source summary table tbody td tfoot th thead title tr ul video"
)
# a value, so that the `<b and c>` of "a<b and c>d" is no tag
_ATTRIBUTES = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))*\s*/?"""
_UNSEEN = re.compile(r"<!--.*?-->|<!doctype[^>]*>|<(script|style)\b[^>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE.replace(' ', '|')}){_ATTRIBUTES}>", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCK.replace(' ', '|')}){_ATTRIBUTES}>", re.IGNORECASE)
_CDATA = re.compile(r"<!\[CDATA\[|\]\]>")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])(?=\s)|(?<=[。！？])|(?<=\n)")  # noqa: RUF001
_LEAST_PRODUCTS = 20
_LEAST_LETTERS = 8
"""A shorter sentence ("New.", "100 % cotton.") may well be said of many products and mean it."""


def without_markup(text: str) -> str:
    """`text` without HTML tags, comments, scripts and entities; the very same text where it has none.

    Entities that were escaped twice (`&amp;amp;`) are read twice. Where markup was taken out, white space is made one
    space.
    """
    if "<" not in text and "&" not in text and "]]>" not in text:
        return text
    found = text
    for _ in range(2):
        found = _ENTITY.sub(lambda entity: html.unescape(entity[0]), found)
    found = _CDATA.sub(" ", _UNSEEN.sub(" ", found))
    found = _INLINE_TAG.sub("", _BLOCK_TAG.sub(" ", found))
    return text if found == text else " ".join(found.split())


def without_boilerplate(texts: Sequence[str], share: float) -> list[str]:
    """`texts` without the sentences that many of them have word for word.

    Args:
        texts: one per product; equal ones count once, since variants share a description.
        share: a sentence in more than this share of the different texts, and in 20 at least, is left out. 0: none is.
    """
    distinct = [text for text in dict.fromkeys(texts) if text]
    if not share or len(distinct) < _LEAST_PRODUCTS:
        return list(texts)
    parts = {text: _SENTENCE_END.split(text) for text in distinct}
    times = Counter(key for sentences in parts.values() for key in {_key(sentence) for sentence in sentences})
    least = max(_LEAST_PRODUCTS, share * len(distinct))
    stale = {key for key, count in times.items() if count >= least and len(key) >= _LEAST_LETTERS}
    kept = {
        text: "".join(s for s in sentences if _key(s) not in stale).strip()
        if any(_key(s) in stale for s in sentences)
        else text
        for text, sentences in parts.items()
    }
    return [kept.get(text, text) for text in texts]


def cut(text: str, limit: int) -> str:
    """The beginning of `text` of at most `limit` characters, whole words where the script has spaces; 0: all of it."""
    if not limit or len(text) <= limit:
        return text
    end = limit
    while end and (unicodedata.combining(text[end]) or text[end] in "\u200d\ufe0f" or text[end - 1] == "\u200d"):
        end -= 1  # a letter and its marks stay together
    if not text[end].isspace() and not text[end - 1].isspace():
        space = max(text.rfind(" ", 0, end), text.rfind("\n", 0, end))
        end = space if space > limit // 2 else end
    return text[:end].rstrip()


def _key(sentence: str) -> str:
    return " ".join(sentence.split()).casefold()
