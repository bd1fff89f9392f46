"""What a text encoder is tuned on: histories with what came next, and texts that belong together, by rows of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class TextPairs:
    """Pairs of distinct texts; a text stands for all the products that have it.

    Attributes:
        n_texts: distinct texts.
        indptr: where each user's texts begin in `texts`, shape (users + 1,).
        texts: the distinct texts of each user's products in the order in which the user first took one, shape (m,).
        partners: per kind of pair how much the text of the column says about the text of the row, float32, shape
            (n_texts, n_texts), nothing on the diagonal.
    """

    n_texts: int
    indptr: Rows
    texts: Rows
    partners: Mapping[str, sp.csr_matrix]

    @property
    def n_users(self) -> int:
        """Users, those without texts included."""
        return len(self.indptr) - 1

    @cached_property
    def users(self) -> Rows:
        """User of each entry of `texts`, shape (m,)."""
        return np.repeat(np.arange(self.n_users), np.diff(self.indptr))

    @cached_property
    def takers(self) -> Rows:
        """Users who took a product of each text, shape (n_texts,)."""
        return np.bincount(self.texts, minlength=self.n_texts).astype(np.int64)

    @cached_property
    def together(self) -> sp.csr_matrix:
        """Pairs of any kind, either way round; shape (n_texts, n_texts)."""
        whole = _nothing(self.n_texts)
        for matrix in self.partners.values():
            whole = whole + matrix + matrix.T
        whole = sp.csr_matrix(whole)
        whole.sort_indices()
        return whole

    @property
    def learnable(self) -> NDArray[np.bool_]:
        """Texts that stand in a pair with another, shape (n_texts,)."""
        later = np.zeros(self.n_texts, np.bool_)
        later[self.texts[np.arange(len(self.texts)) > np.repeat(self.indptr[:-1], np.diff(self.indptr))]] = True
        for matrix in self.partners.values():
            later |= np.diff(matrix.indptr) > 0
        return later

    def without(self, texts: NDArray[np.bool_]) -> TextPairs:
        """The pairs in which none of `texts` (n_texts,) stands."""
        kept = ~texts[self.texts]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(self.users[kept], minlength=self.n_users))])
        keep = sp.diags_array((~texts).astype(np.float32))
        partners = {}
        for kind, matrix in self.partners.items():
            partners[kind] = sp.csr_matrix(keep @ matrix @ keep)
            partners[kind].eliminate_zeros()
        return replace(self, indptr=indptr.astype(np.int64), texts=self.texts[kept], partners=partners)


@dataclass(frozen=True)
class Material:
    """What a tuning is made of.

    Attributes:
        texts: distinct texts.
        vectors: their unit vectors by the model that is tuned, float32, shape (n_texts, dim).
        pairs: what belongs together, by rows of `texts`.
        split: up to where the events behind the pairs reach, for the record.
    """

    texts: Sequence[str]
    vectors: NDArray[np.float32]
    pairs: TextPairs
    split: Mapping[str, Any]


def _nothing(n_texts: int) -> sp.csr_matrix:
    none = np.zeros(0, np.int64)
    return sp.csr_matrix((np.zeros(0, np.float32), (none, none)), shape=(n_texts, n_texts))


def spans(indptr: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """Entries of the chosen rows of a CSR structure one after another.

    Returns:
        Bounds of the chosen rows, shape (len(rows) + 1,), and the positions of their entries.
    """
    return ranges(indptr[rows], indptr[rows + 1])


def ranges(begin: Rows, end: Rows) -> tuple[Rows, Rows]:
    """The whole numbers of [begin_i, end_i) one after another, and the bounds of each stretch, shape (n + 1,)."""
    lengths = end - begin
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return bounds, np.repeat(begin - bounds[:-1], lengths) + np.arange(bounds[-1])
