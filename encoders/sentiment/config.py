"""Settings of the sentiment head."""

from __future__ import annotations

from dataclasses import dataclass

from encoders.errors import EncoderError


@dataclass(frozen=True)
class SentimentConfig:
    """The sentiment of reviews (`shopgraph sentiment`).

    Attributes:
        folds: parts of the reviews; each part's sentiment comes from a head that was fitted on the others, so that it
            is no copy of the part's own ratings, and what is measured is measured on reviews that no head had seen.
        penalties: inverse strengths of the L2 penalty; each head takes the one with the least log loss on a part that
            it sets aside.
        least: fewest reviews with text and rating; with fewer there is nothing to learn from.
        most: most reviews that a head is fitted on (a draw by the hash of the text).
    """

    folds: int = 5
    penalties: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0)
    least: int = 50
    most: int = 50_000

    def __post_init__(self) -> None:
        """Refuse settings without a meaning.

        Raises:
            EncoderError: names the setting.
        """
        for name, least in (("folds", 3), ("least", 10), ("most", 10)):
            if getattr(self, name) < least:
                raise EncoderError(f"{name} = {getattr(self, name)}", f"sentiment.{name}", f"use at least {least}")
        if not self.penalties or min(self.penalties) <= 0:
            raise EncoderError(f"penalties = {list(self.penalties)}", "sentiment.penalties", "use numbers above 0")
