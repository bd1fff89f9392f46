"""How right a sentiment is, on ratings that it has not seen, beside whoever says the commonest rating of all."""

from __future__ import annotations

import numpy as np

from encoders.sentiment.head import Ints
from encoders.sentiment.scale import Floats, Scale

Figures = dict[str, float | None]


def figures(chances: Floats, ratings: Floats, scale: Scale) -> Figures:
    """Accuracy, AUC and mean absolute error of chances over the steps of the scale.

    Args:
        chances: shape (n, steps).
        ratings: what was given, shape (n,).
        scale: of the ratings.

    Returns:
        `accuracy`: share of texts whose likeliest step is that of the rating. `auc`: chance that of a rating above and
        one below the middle of the scale the former has the higher expected rating; those at the middle are not asked,
        None where one side is empty. `mae`: mean distance of the median of the chances from the rating, in its unit.
    """
    from sklearn.metrics import roc_auc_score

    asked = ratings != scale.middle
    good = ratings[asked] > scale.middle
    auc = float(roc_auc_score(good, scale.expected(chances)[asked])) if 0 < good.sum() < len(good) else None
    median = scale.steps[(chances.cumsum(1) >= 0.5 - 1e-9).argmax(1)]
    return {
        "accuracy": float((chances.argmax(1) == scale.nearest(ratings)).mean()),
        "auc": auc,
        "mae": float(np.abs(median - ratings).mean()),
    }


def commonest(ratings: Floats, parts: Ints, scale: Scale, folds: int) -> Figures:
    """The same figures of who says of every text the commonest rating of the other parts, and its median for `mae`."""
    steps = scale.nearest(ratings)
    right, distances = np.zeros(len(ratings)), np.zeros(len(ratings))
    for part in range(folds):
        mine, others = parts == part, parts != part
        if mine.any() and others.any():
            right[mine] = steps[mine] == np.bincount(steps[others]).argmax()
            distances[mine] = np.abs(ratings[mine] - np.median(ratings[others]))
    return {"accuracy": float(right.mean()), "auc": 0.5, "mae": float(distances.mean())}
