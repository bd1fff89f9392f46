"""A sparse product with a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


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
