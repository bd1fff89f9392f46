"""What a model thinks of any products for one user: the personal part of other orders, such as a search's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gnn.serving.recommend import Recommendations


def preference(served: Recommendations, user_id: str) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
    """Scores of the next purchase, repeats included: who searches may want what they had before.

    Args:
        served: the model over the graph.
        user_id: whose taste counts.

    Returns:
        Product rows in any order, shape (n,), to scores of shape (n,), larger is better, comparable among themselves.

    Raises:
        GnnError: the user is unknown.
    """
    users, _ = served.user_rows([user_id])
    scorer = served.scorer("include")

    def scores(products: NDArray[np.int64]) -> NDArray[np.float32]:
        ascending, place = np.unique(products, return_inverse=True)  # recommenders take rows in their order
        return np.asarray(scorer.scores(users, ascending)[0][place], dtype=np.float32)

    return scores
