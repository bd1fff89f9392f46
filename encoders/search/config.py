"""How products are searched: the settings of search."""

from __future__ import annotations

from dataclasses import dataclass

from encoders.errors import EncoderError


@dataclass(frozen=True)
class SearchConfig:
    """Settings of search. A score is a sum: words and meaning give at most about 1, names and personal come on top.

    Attributes:
        stemmer: Snowball algorithm that knows "creams" for a form of "cream", as in `english`, `spanish`, `german`;
            empty: none.
        k1: BM25: how much it counts that a text repeats a word.
        b: BM25: how much longer texts are held back, from 0 (not) to 1.
        mend: whether words that the shop does not have are taken for the nearest that it has.
        meaning_least: weight of the text vectors beside the words, from 0 to 1, where some text has all words of the
            query.
        meaning_most: their weight where no text has any of them.
        names: what a category, brand or attribute that the query names adds to the scores of its products, times the
            confidence.
        personal: what the model adds for the user asked for: the candidate that it ranks first gets all of it, the last
            one nothing.
        depth: texts that words and vectors each put forward.
    """

    stemmer: str = "english"
    k1: float = 0.6
    b: float = 0.3
    mend: bool = True
    meaning_least: float = 0.0
    meaning_most: float = 0.8
    names: float = 0.05
    personal: float = 0.4
    depth: int = 200

    def __post_init__(self) -> None:
        """Refuse settings without a meaning.

        Raises:
            EncoderError: names the setting and the values that it may have.
        """
        for name in ("b", "meaning_least", "meaning_most"):
            if not 0 <= getattr(self, name) <= 1:
                raise EncoderError(f"{name} = {getattr(self, name)}", f"search.{name}", "use a number from 0 to 1")
        for name in ("k1", "names", "personal"):
            if getattr(self, name) < 0:
                raise EncoderError(f"{name} = {getattr(self, name)}", f"search.{name}", "use 0 or more")
        if self.depth < 1:
            raise EncoderError(f"depth = {self.depth}", "search.depth", "use 1 or more")
