"""What a person typed, as words with their readings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from encoders.errors import EncoderError
from encoders.search.lexicon import Lexicon, Reading
from encoders.search.words import words

MOST_CHARACTERS, MOST_WORDS = 500, 32
_SHOWN = 40


@dataclass(frozen=True)
class Query:
    """A query understood.

    Attributes:
        text: as it was typed, cut to `MOST_CHARACTERS`, control characters and runs of white space a space each.
        words: its words, each once, with what they may mean in the shop, the likeliest first.
        notes: what a person should know of how it was read.
    """

    text: str
    words: tuple[tuple[str, tuple[Reading, ...]], ...]
    notes: tuple[str, ...] = ()

    @property
    def mended(self) -> dict[str, str]:
        """Words taken for others."""
        return {word: found[0].word for word, found in self.words if found and found[0].kind == "mended"}

    @property
    def unknown(self) -> list[str]:
        """Words that the shop has nothing like."""
        return [word for word, found in self.words if not found]

    def without(self, words: Collection[str]) -> Query:
        """The query without some of its words."""
        if not words:
            return self
        kept = tuple((word, readings) for word, readings in self.words if word not in words)
        return Query(" ".join(word for word, _ in kept), kept, self.notes)

    def as_mended(self) -> str:
        """The words with the mended ones in place."""
        return " ".join(self.mended.get(word, word) for word, _ in self.words)


def understand(text: str, lexicon: Lexicon, *, mend: bool = True) -> Query:
    """Read a query.

    Raises:
        EncoderError: it has no word.
    """
    notes = []
    if len(text) > MOST_CHARACTERS:
        notes.append(f"the query has {len(text):,} characters: only the first {MOST_CHARACTERS} are read")
    plain = " ".join("".join(c if c.isprintable() else " " for c in text[:MOST_CHARACTERS]).split())
    found = list(dict.fromkeys(words(plain)))
    if not found:
        shown = plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"
        raise EncoderError(f"the query {shown!r} has no word", "TEXT", 'say what is sought, as in "green tea"')
    if len(found) > MOST_WORDS:
        notes.append(f"the query has {len(found)} words: only the first {MOST_WORDS} are read")
    asked = [(word, tuple(lexicon.readings(word, mend=mend))) for word in found[:MOST_WORDS]]
    return Query(plain, tuple(asked), tuple(notes))


def spelling_notes(query: Query) -> Sequence[str]:
    """What was mended and what is unknown, a line each."""
    notes = [f"{word}: searched for {meant}" for word, meant in query.mended.items()]
    if query.unknown:
        notes.append(f"no product has {', '.join(query.unknown)}")
    return notes
