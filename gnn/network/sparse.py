"""The one sparse-times-dense product of the counting recommenders."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from gnn.network.layers import tensor_of


def times(matrix: sp.csr_matrix, dense: NDArray[np.float32]) -> NDArray[np.float32]:
    """`matrix @ dense` with all CPU threads, each row added in a fixed order (scipy uses one thread).

    Args:
        matrix: CSR, shape (a, b).
        dense: float32, shape (b, c).

    Returns:
        float32, shape (a, c).
    """
    if matrix.nnz == 0 or dense.shape[1] == 0:
        return np.zeros((matrix.shape[0], dense.shape[1]), np.float32)
    product = torch.sparse.mm(tensor_of(matrix), torch.from_numpy(np.ascontiguousarray(dense)), "sum")
    return np.asarray(product.numpy(), dtype=np.float32)
