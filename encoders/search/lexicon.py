"""The shop's own words: how many texts hold each, and which of them a word of a query may mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import exp
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from encoders.search.words import stemmer

Kind = Literal["same", "form", "short", "mended"]

FORM = 0.7
"""Weight of another form of the word ("creams" for cream)."""
SHORT = 0.6
"""Weight of an abbreviation without vowels ("frzn" for frozen)."""
MENDED = 0.9
"""Weight of the likeliest word that a misspelt one was meant for; the others have less, by how likely they are."""
MOST_MENDED = 3
_EDIT = 2.0
"""What an edit takes off the logarithm of how likely a word was meant."""
_RARE = 50
"""A word that so many times fewer texts hold than one beside it may be a slip of that one as well."""
_LEAST_REAL = 4
_LONGEST_SHORT = 6
_VOWEL = re.compile("[aeiou]")
_DOUBLE = re.compile(r"(.)\1+")


@dataclass(frozen=True)
class Reading:
    """A word of the shop that a word of a query may mean.

    Attributes:
        word: the shop's word.
        term: its row in the lexicon and its term in the index.
        weight: 1 for the word itself, less for others.
        kind: the same word, another form, an abbreviation, or a mended misspelling.
    """

    word: str
    term: int
    weight: float = 1.0
    kind: Kind = "same"


@dataclass(frozen=True)
class Lexicon:
    """The words of texts and names.

    Attributes:
        words: distinct words; the row is the term.
        texts: how many texts hold each, int32, shape (n,); 0 for words of names alone.
        language: Snowball algorithm that tells forms of one word, empty for none.
        real: words that exist whether or not the shop has them: they and their forms are never taken for misspelt ones.
    """

    words: Sequence[str]
    texts: NDArray[np.int32]
    language: str = ""
    real: Collection[str] = frozenset()
    _place: dict[str, int] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Number the words."""
        self._place.update({word: at for at, word in enumerate(self.words)})

    def __contains__(self, word: str) -> bool:
        return word in self._place

    def readings(self, word: str, *, mend: bool = True) -> list[Reading]:
        """What `word` may mean, the likeliest first; empty where the shop has nothing like it.

        A word means itself, its other forms and its abbreviations. Where the shop has neither it nor another form, and
        nothing says that the word exists, it means the nearest words: one edit (a letter dropped, added, changed, or
        two swapped) away in words of 3 to 5 characters, two in longer ones. A word that is far rarer than one an edit
        away, as are its forms, may mean that one too, unless something says that it exists.
        """
        found = [*self._same(word), *self._forms(word)]
        if mend and len(word) > 2 and not word.isdigit():
            if not found:
                found += [] if self._exists(word) else self._near(word, 1 if len(word) < 6 else 2, 1)
            elif found[0].kind == "same" and not self._exists(word):
                most = max(int(self.texts[reading.term]) for reading in found)
                found += self._near(word, 1, most * _RARE + 1)
        known = any(self.texts[reading.term] for reading in found)
        # two letters stand for many words: for one that the shop writes out they say nothing
        found += [one for one in self._abbreviations(word) if len(one.word) > 2 or not known]
        return list({reading.term: reading for reading in reversed(found)}.values())[::-1]

    @cached_property
    def stem(self) -> Callable[[str], str]:
        """Gives what the forms of one word share."""
        return stemmer(self.language)

    @cached_property
    def stems(self) -> list[str]:
        """Stem of each word."""
        return [self.stem(word) for word in self.words]

    def _exists(self, word: str) -> bool:
        """Whether it or another form of it is a real word."""
        return len(word) >= _LEAST_REAL and self.stem(word) in self._real_stems

    @cached_property
    def _real_stems(self) -> frozenset[str]:
        return frozenset(self.stem(word) for word in self.real)

    def _same(self, word: str) -> list[Reading]:
        at = self._place.get(word)
        return [] if at is None else [Reading(word, at)]

    def _forms(self, word: str) -> list[Reading]:
        if not self.language or not word.isalpha():
            return []
        others = self._by_stem.get(self.stem(word), ())
        return [Reading(self.words[at], at, FORM, "form") for at in others if self.words[at] != word]

    def _abbreviations(self, word: str) -> list[Reading]:
        """Shop words without inner vowels that have the consonants of `word`, which is longer."""
        places = [at for at in self._by_consonants.get(_consonants(word), ()) if len(self.words[at]) < len(word)]
        return [Reading(self.words[at], at, SHORT, "short") for at in places]

    def _near(self, word: str, most: int, least: int) -> list[Reading]:
        """Words at most `most` edits away that `least` texts or more hold, the likeliest first."""
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        lengths, ordered, places = self._by_length
        begin = int(np.searchsorted(lengths, len(word) - most))
        end = int(np.searchsorted(lengths, len(word) + most, "right"))
        near = process.extract(word, ordered[begin:end], scorer=OSA.distance, score_cutoff=most, limit=None)
        found = []
        for other, edits, at in near:
            place = int(places[begin + at])
            if edits and self.texts[place] >= least:
                # people rarely miss the first letter
                missed = edits + 0.5 * (word[0] != other[0])
                found.append((float(np.log1p(self.texts[place])) * exp(-_EDIT * missed), other, place))
        found.sort(key=lambda one: (-one[0], one[1]))
        best = found[0][0] if found else 1.0
        kept = found[:MOST_MENDED]
        return [Reading(other, at, round(MENDED * odds / best, 4), "mended") for odds, other, at in kept]

    @cached_property
    def _by_stem(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for at, stem in enumerate(self.stems):
            if self.texts[at]:
                found.setdefault(stem, []).append(at)
        return found

    @cached_property
    def _by_consonants(self) -> dict[str, list[int]]:
        """First letter and consonants to the words that are hardly more than these."""
        found: dict[str, list[int]] = {}
        for at, word in enumerate(self.words):
            if 2 <= len(word) <= _LONGEST_SHORT and word.isalpha() and not _VOWEL.search(word[1:-1]):
                found.setdefault(_consonants(word), []).append(at)
        return {letters: places for letters, places in found.items() if len(letters) > 1}

    @cached_property
    def _by_length(self) -> tuple[NDArray[np.int64], list[str], NDArray[np.int64]]:
        """Lengths, words and their rows, of words that texts hold, by rising length."""
        rows = np.flatnonzero(np.asarray(self.texts) > 0)
        lengths = np.fromiter((len(self.words[at]) for at in rows.tolist()), np.int64, len(rows))
        order = np.argsort(lengths, kind="stable")
        return lengths[order], [self.words[at] for at in rows[order].tolist()], rows[order]


def _consonants(word: str) -> str:
    """First letter and consonants, doubled ones once: "frozen" and "frzn" give "frzn", "cheese" and "chs" "chs"."""
    return _DOUBLE.sub(r"\1", word[:1] + _VOWEL.sub("", word[1:]))


def count_words(texts: Iterable[Sequence[str]], names: Iterable[Sequence[str]]) -> dict[str, int]:
    """Distinct words and how many texts hold each; words of names alone are held by none."""
    count: dict[str, int] = {}
    for one in texts:
        for word in dict.fromkeys(one):
            count[word] = count.get(word, 0) + 1
    for one in names:
        for word in one:
            count.setdefault(word, 0)
    return count
