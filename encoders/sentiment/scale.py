"""Ratings as steps of a scale, and a distribution over the steps as one number from -1 to 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.errors import EncoderError

MOST_STEPS = 10
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """The ratings that a shop gives.

    Attributes:
        steps: ratings in ascending order, two at least: those that occur, or where these are more than ten, ten that
            are evenly spaced.
    """

    steps: Floats

    @classmethod
    def of(cls, ratings: Floats) -> Scale:
        """The scale of known ratings.

        Raises:
            EncoderError: all are the same.
        """
        found = np.unique(ratings)
        if len(found) < 2:
            said = ", ".join(f"{value:g}" for value in found)
            what = f"all reviews with a text have the rating {said}" if said else "no review has a text and a rating"
            raise EncoderError(what, "REVIEWED", "sentiment needs reviews that differ in their rating")
        return cls(found if len(found) <= MOST_STEPS else np.linspace(found[0], found[-1], MOST_STEPS))

    @property
    def middle(self) -> float:
        """Half way from the lowest rating to the highest."""
        return float(self.steps[0] + self.steps[-1]) / 2

    def nearest(self, ratings: Floats) -> NDArray[np.int64]:
        """The step of each rating; of two that are as near the lower one."""
        return np.asarray(np.abs(ratings[:, None] - self.steps).argmin(1))

    def expected(self, chances: Floats) -> Floats:
        """Expected rating of distributions over the steps, shape (n, steps) to (n,)."""
        return np.asarray(chances @ self.steps)

    def sentiment(self, ratings: Floats) -> Floats:
        """Ratings from -1 (the lowest) to 1 (the highest)."""
        low, high = self.steps[0], self.steps[-1]
        return np.asarray(np.clip(2 * (ratings - low) / (high - low) - 1, -1, 1))
