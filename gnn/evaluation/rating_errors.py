"""Errors of predicted ratings over held-out ones, beside the baseline of biases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnn.measure.ratings import Biases, mae, rmse
from gnn.protocol.interactions import Interactions
from gnn.protocol.splits import Split
from kg.schema import EVENT_TYPES
from kg.snapshot import Snapshot


@dataclass(frozen=True)
class Ratings:
    """Mean rating of distinct pairs, in ascending order of their keys; m pairs.

    Attributes:
        keys: user * n_items + item, int64, shape (m,).
        values: float64, shape (m,).
    """

    keys: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, keys: NDArray[np.int64], values: NDArray[np.float64]) -> Ratings:
        """Of ratings in any order, several of a pair merged into their mean."""
        distinct, where, times = np.unique(keys, return_inverse=True, return_counts=True)
        return cls(distinct, np.bincount(where, weights=values, minlength=len(distinct)) / np.maximum(times, 1))

    def at(self, keys: NDArray[np.int64]) -> NDArray[np.float64]:
        """Ratings of `keys`, nan where there is none, in the shape of `keys`."""
        if not len(self.keys):
            return np.full(keys.shape, np.nan)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.values[place], np.nan)


def parted_ratings(snapshot: Snapshot, split: Split) -> tuple[Ratings, Ratings]:
    """The ratings known beforehand, and the held-out ones.

    A rating is known where its pair is in the history alone and, where there are times, it was given by the history's
    end; it is held out where its pair is in the reported window alone. Pairs in both are left out: which of their
    ratings is meant would have to be guessed.
    """
    history, window = split.history(split.stage), split.window(split.stage)
    known: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    held: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    for name in EVENT_TYPES.values():
        table = snapshot.edges.get(("User", name, "Product"))
        if table is None or "rating" not in table.columns.column_names:
            continue
        values = np.asarray(table.columns["rating"].cast(pa.float64()).to_numpy(), dtype=np.float64)
        keys = np.asarray(table.src) * history.n_items + np.asarray(table.dst)
        before, after, rated = history.has(keys), window.has(keys), ~np.isnan(values)
        early = _early(table.at(), history, timed=split.train.timed)
        known.append((keys[rated & before & ~after & early], values[rated & before & ~after & early]))
        held.append((keys[rated & after & ~before], values[rated & after & ~before]))
    return _merged(known), _merged(held)


def rating_errors(predicted: Ratings, snapshot: Snapshot, split: Split) -> dict[str, Any]:
    """RMSE and MAE of predictions, and of biases fitted on the known ratings, over the same held-out pairs.

    Returns:
        JSON-able: `held_out` pairs with a rating, how many of them are `predicted`, and errors of `recs` and `biases`
        over those; the errors are left out where nothing is predicted, those of the biases where no rating is known.
    """
    known, held = parted_ratings(snapshot, split)
    guesses = predicted.at(held.keys)
    both = ~np.isnan(guesses)
    out: dict[str, Any] = {"held_out": len(held.keys), "predicted": int(both.sum())}
    if not both.any():
        return out
    true = held.values[both]
    out["recs"] = _errors(guesses[both], true)
    if len(known.keys):
        n_items = len(snapshot.nodes["Product"])
        size = (len(snapshot.nodes["User"]), n_items)
        biases = Biases.fit(known.keys // n_items, known.keys % n_items, known.values, size)
        out["biases"] = _errors(biases.predict(held.keys[both] // n_items, held.keys[both] % n_items), true)
    return out


def _errors(predicted: NDArray[np.float64], true: NDArray[np.float64]) -> dict[str, float]:
    return {"rmse": rmse(predicted, true), "mae": mae(predicted, true)}


def _early(order: NDArray[np.int64] | None, history: Interactions, *, timed: bool) -> NDArray[np.bool_] | bool:
    """Which events lie no later than the history's last; all of them where nothing says when."""
    return True if order is None or not timed or not len(history) else order <= history.last.max()


def _merged(parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]]) -> Ratings:
    keys = [np.zeros(0, np.int64), *(part[0] for part in parts)]
    values = [np.zeros(0), *(part[1] for part in parts)]
    return Ratings.of(np.concatenate(keys), np.concatenate(values))
