"""The contrastive loss of a step."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.tuning.batches import Step


def info_nce(
    step: Step, fresh: torch.Tensor, bank: NDArray[np.float32], temperature: torch.Tensor, prior: NDArray[np.float32]
) -> torch.Tensor:
    """Each anchor picks its answer among the step's texts (van den Oord et al. 2018, "CPC").

    loss = mean over anchors of -log(exp(s_answer) / Σ_j exp(s_j)), s_j = cos(h, v_j) / t - prior_j, where j runs
    over the step's texts but the masked ones. h is the mean of the vectors in the anchor's bag: those of the step with
    their gradient, the others as they were last computed (Wang et al. 2020, "Cross-Batch Memory"). With the logarithm
    of how often a text is an answer for prior, as in sampling-bias correction (Yi et al. 2019), the cosine learns how
    likely it is; without, how much likelier than it usually is.

    Args:
        step: anchors, answers and masks.
        fresh: unit vectors of the step's texts, shape (b, d).
        bank: unit vectors of all texts as last computed, shape (n_texts, d).
        temperature: t, a scalar.
        prior: what is taken off the logit of each of the step's texts, shape (b,).
    """
    inside = step.bags[:, step.texts].toarray()
    outside = step.bags @ bank - inside @ bank[step.texts]
    anchors = torch.from_numpy(outside).to(fresh) + torch.from_numpy(inside).to(fresh) @ fresh
    cosines = torch.nn.functional.normalize(anchors, dim=1) @ fresh.T
    logits = (cosines / temperature - torch.from_numpy(prior).to(fresh)).masked_fill(
        torch.from_numpy(step.masked).to(fresh.device), -torch.inf
    )
    return torch.nn.functional.cross_entropy(logits, torch.from_numpy(step.answer).to(fresh.device))
