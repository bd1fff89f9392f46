"""The measures of the comparison of training speed, on made-up numbers."""

import numpy as np
import pytest

from bench.training_speed import against, ndcg, row
from gnn.protocol.events import Events
from gnn.protocol.interactions import Interactions


def pairs(of: dict[int, list[int]]) -> Interactions:
    users = np.array([u for u, items in of.items() for _ in items])
    items = np.array([i for own in of.values() for i in own])
    return Interactions.from_events(Events(users, items, np.arange(len(users)), False, None, 3, 20))


def test_ndcg_ranks_all_that_is_not_known() -> None:
    scores = np.tile(np.arange(20, 0, -1, dtype=np.float32), (3, 1))  # product 0 is the best of everyone
    known, wanted = pairs({0: [0, 1], 1: [5], 2: [3]}), pairs({0: [2, 4], 1: [19], 2: [0]})
    first = (1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3))  # of 2, 3, 4, … the first and the third are wanted
    assert ndcg(scores, known, wanted) == pytest.approx((first + 0 + 1) / 3)
    assert scores[0, 0] == 20  # left as they were


def curve(*points: tuple[float, float]) -> list[dict[str, float]]:
    return [{"epoch": n + 1, "value": v, "seconds": 2 * s, "processor_seconds": s} for n, (v, s) in enumerate(points)]


def test_times_to_equal_quality() -> None:
    theirs, ours = curve((0.1, 10), (0.19, 20), (0.2, 30), (0.15, 40)), curve((0.15, 1), (0.195, 2), (0.25, 4))
    nearly, best = against("peer", theirs, ours)
    assert (nearly["peer_processor_seconds"], nearly["our_processor_seconds"]) == (20, 2)
    assert nearly["processor_seconds_ratio"] == 10
    assert (best["peer_seconds"], best["our_seconds"], best["seconds_ratio"]) == (60, 8, 7.5)
    assert against("peer", curve((0.3, 1)), ours)[1]["our_seconds"] is None
    whole = row("peer", theirs, 100.4)
    assert (whole["epochs"], whole["best_epoch"], whole["processor_seconds_to_best"]) == (4, 3, 30)
    assert (whole["seconds_per_epoch"], whole["peak_mib"]) == (20, 100)
