import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gnn.measure.ranking import MASKED, blocks, top_k
from gnn.protocol.variants import first_of_group

VALUES = st.sampled_from([-np.inf, -2.5, -0.0, 0.0, 1e-30, 1.0, 3.25])


@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=VALUES), st.integers(1, 12))
def test_equal_scores_come_by_column_and_masked_ones_never(scores: np.ndarray, k: int) -> None:
    found = top_k(scores, k)
    for row, line in zip(found, scores, strict=True):
        want = sorted((c for c in range(len(line)) if line[c] != MASKED), key=lambda c: (-line[c], c))[:k]
        assert row.tolist() == want + [-1] * (k - len(want))


def test_many_ties_at_the_edge() -> None:
    scores = np.zeros((1, 1000), np.float32)
    scores[0, 500] = 1
    assert top_k(scores, 4).tolist() == [[500, 0, 1, 2]]


def test_blocks_cover_every_row_once() -> None:
    for rows, columns, cells in ((10, 3, 7), (1, 100, 5), (0, 3, 9), (7, 1, 100)):
        assert [n for b in blocks(rows, columns, cells) for n in range(b.start, b.stop)] == list(range(rows))


def test_one_place_per_variant_group() -> None:
    lists = np.array([[4, 2, 0, 1], [3, 1, -1, -1]])
    groups = np.array([9, 7, 7, 7, 9])
    assert first_of_group(lists, groups, 3).tolist() == [[4, 2, -1], [3, -1, -1]]
    assert first_of_group(lists, np.arange(5), 2).tolist() == [[4, 2], [3, 1]]
