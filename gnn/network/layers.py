"""Sparse matrices of torch and their product, which has a gradient."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

with warnings.catch_warnings():
    # torch says once per process that CSR tensors are in beta; the one made here takes the saying
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
    torch.sparse_csr_tensor(
        torch.tensor([0, 0]), torch.zeros(0, dtype=torch.int64), torch.zeros(0), (1, 1), check_invariants=False
    )


def csr(indptr: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """A CSR tensor of parts that are known to be sound."""
    return torch.sparse_csr_tensor(indptr, columns, values, shape, check_invariants=False)


def tensor_of(matrix: sp.csr_matrix) -> Tensor:
    """A scipy CSR matrix as a torch CSR tensor with int64 indices and float32 values."""
    parts = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data.astype(np.float32))
    indptr, columns, values = (torch.from_numpy(part) for part in parts)
    return csr(indptr, columns, values, matrix.shape)


class SparseProduct(torch.autograd.Function):
    """`pattern @ x` for CSR `pattern`, with the given transpose for the gradient of x; none for the edges."""

    @staticmethod
    def forward(ctx: Any, pattern: Tensor, back: Tensor, x: Tensor) -> Tensor:
        """Shapes: pattern (t, s), back (s, t), x (s, d) -> (t, d)."""
        ctx.save_for_backward(back)
        return sparse_product(pattern, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        """Gradient of x, shape (s, d)."""
        (back,) = ctx.saved_tensors
        return None, None, sparse_product(back, gradients[0])


def sparse_product(pattern: Tensor, x: Tensor) -> Tensor:
    """`pattern @ x`; on the CPU by torch's own row-wise kernel: faster than MKL's, and it adds in a fixed order."""
    product: Tensor = (
        torch.sparse.mm(pattern, x) if pattern.is_cuda else torch.sparse.mm(pattern, x.contiguous(), "sum")
    )
    return product
