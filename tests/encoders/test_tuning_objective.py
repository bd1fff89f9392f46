"""The contrastive loss against its formula, written out."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from encoders.tuning.batches import Step
from encoders.tuning.objective import info_nce


def unit(values: object) -> np.ndarray:
    array = np.asarray(values, np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


@pytest.fixture
def step() -> Step:
    """Texts 4, 1, 2 are in the step; one anchor is the mean of 0 and 1, the other is text 3."""
    bags = sp.csr_matrix(np.array([[0.5, 0.5, 0, 0, 0], [0, 0, 0, 1, 0]], np.float32))
    masked = np.array([[False, True, False], [False, False, False]])
    return Step(np.array([4, 1, 2]), bags, np.array([2, 0]), masked)


def test_the_formula(step: Step) -> None:
    rng = np.random.default_rng(0)
    bank, fresh = unit(rng.normal(size=(5, 3))), unit(rng.normal(size=(3, 3)))
    prior = np.array([0.1, 0.7, 0.3], np.float32)
    total = 0.0
    for anchor, answer, allowed in (
        (0.5 * bank[0] + 0.5 * fresh[1], 2, (0, 2)),  # text 1 counts as it is now, text 0 as it was; text 1 is masked
        (bank[3], 0, (0, 1, 2)),
    ):
        h = anchor / np.linalg.norm(anchor)
        logit = {j: h @ fresh[j] / 0.8 - prior[j] for j in allowed}
        total -= logit[answer] - np.log(sum(np.exp(v) for v in logit.values()))
    found = info_nce(step, torch.from_numpy(fresh), bank, torch.tensor(0.8), prior)
    assert float(found) == pytest.approx(total / 2, rel=1e-5)


def test_a_masked_text_is_not_pushed_away(step: Step) -> None:
    rng = np.random.default_rng(1)
    bank = unit(rng.normal(size=(5, 4)))
    only_first = Step(step.texts, step.bags[:1], step.answer[:1], step.masked[:1])
    fresh = torch.from_numpy(unit(rng.normal(size=(3, 4)))).requires_grad_()
    prior = np.zeros(3, np.float32)
    # text 1 is masked as a negative, and is part of the anchor: only the anchor moves it
    info_nce(only_first, fresh, bank, torch.tensor(0.1), prior).backward()
    assert fresh.grad is not None
    gradient = fresh.grad.clone()
    apart = sp.csr_matrix(np.array([[1.0, 0, 0, 0, 0]], np.float32))
    fresh.grad = None
    info_nce(
        Step(step.texts, apart, step.answer[:1], step.masked[:1]), fresh, bank, torch.tensor(0.1), prior
    ).backward()
    assert gradient[1].abs().sum() > 0
    assert fresh.grad[1].abs().sum() == 0
    assert fresh.grad[0].abs().sum() > 0
    assert fresh.grad[2].abs().sum() > 0


def test_nothing_to_choose_from_costs_nothing(step: Step) -> None:
    masked = np.array([[True, True, False]])
    alone = Step(step.texts, step.bags[:1], step.answer[:1], masked)
    fresh = torch.from_numpy(unit(np.random.default_rng(2).normal(size=(3, 4))))
    bank = unit(np.random.default_rng(3).normal(size=(5, 4)))
    assert float(info_nce(alone, fresh, bank, torch.tensor(0.05), np.zeros(3, np.float32))) == pytest.approx(
        0, abs=1e-6
    )
