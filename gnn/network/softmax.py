"""Cross-entropy over many products in blocks: the matrix of all logits is never held."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CELLS = {"cpu": 4_000_000, "cuda": 64_000_000}
"""Logits held at a time (16 and 256 MB in fp32): a CPU's should stay in its cache, a GPU's should fill it."""


class BlockedCrossEntropy(torch.autograd.Function):
    """Mean of -log softmax(x W' + offset)[target], its gradients computed block by block along with it.

    Every block of rows makes its logits, its share of the loss and of both gradients, and is forgotten. The products
    run in `precision`, the softmax in fp32. The logit of a row's own answer has no offset.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w: Tensor,
        targets: Tensor,
        offset: Tensor | None,
        precision: torch.dtype,
        cells: int,
    ) -> Tensor:
        """Shapes: x (n, d), w (c, d), targets (n,), offset (c,) or None -> ()."""
        narrow = w.to(precision)
        for_x, for_w = torch.empty_like(x), torch.zeros_like(w)
        total = torch.zeros((), device=x.device)
        step = max(1, cells // max(1, len(w)))
        for start in range(0, len(x), step):
            rows, asked = x[start : start + step].to(precision), targets[start : start + step, None]
            logits = (rows @ narrow.T).float()
            if offset is not None:
                own = logits.gather(1, asked)
                logits.add_(offset).scatter_(1, asked, own)
            logits = torch.log_softmax(logits, 1)
            total -= logits.gather(1, asked).sum()
            wrong = logits.exp_().scatter_add_(1, asked, logits.new_full(asked.shape, -1.0)).to(precision)
            for_x[start : start + step] = (wrong @ narrow).float()
            for_w += wrong.T @ rows
        n = max(1, len(x))
        ctx.save_for_backward(for_x / n, for_w / n)
        return total / n

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x and w."""
        for_x, for_w = ctx.saved_tensors
        return for_x * gradients[0], for_w * gradients[0], None, None, None, None


def blocked_cross_entropy(
    x: Tensor,
    w: Tensor,
    targets: Tensor,
    offset: Tensor | None = None,
    precision: torch.dtype = torch.float32,
    cells: int | None = None,
) -> Tensor:
    """Mean cross-entropy of `x @ w.T`.

    Args:
        x: what asks, shape (n, d).
        w: product vectors, shape (c, d).
        targets: row in `w` of each right answer, int64, shape (n,).
        offset: added to every logit but a row's own answer (what a sampled product stands for), shape (c,).
        precision: type of the matrix products, float32 or bfloat16.
        cells: logits held at a time; None: as many as suit the device.
    """
    cells = CELLS[x.device.type] if cells is None else cells
    loss: Tensor = BlockedCrossEntropy.apply(x, w, targets, offset, precision, cells)
    return loss
