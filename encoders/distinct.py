"""Different texts, each once, and which of them everything has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def distinct(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The different texts in the order of their first place, and the row of each text among them, -1 for an empty one.

    Args:
        texts: any strings, n of them.

    Returns:
        The t different ones that are not empty, and int64, shape (n,).
    """
    place = {text: row for row, text in enumerate(dict.fromkeys(text for text in texts if text))}
    return list(place), np.fromiter((place.get(text, -1) for text in texts), np.int64, len(texts))
