"""The vector of a query."""

from __future__ import annotations

import numpy as np

from encoders.text_encoder import TextEncoder, Vectors


def query_vector(encoder: TextEncoder, text: str) -> Vectors:
    """Unit vector of a query by the model of the products' vectors. Shape (dim,)."""
    return np.asarray(encoder.queries([text])[0], dtype=np.float32)
