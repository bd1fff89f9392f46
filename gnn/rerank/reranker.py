"""The pipeline: pools of the best candidates, filled place by place under the rules into lists."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gnn.config import RerankConfig
from gnn.errors import GnnError
from gnn.measure.ranking import MASKED, blocks, top_k
from gnn.protocol.interactions import Interactions
from gnn.protocol.variants import first_of_group
from gnn.rerank.caps import Exposure
from gnn.rerank.filling import Pool, fill
from gnn.rerank.objective import relevance, shares
from gnn.rerank.rules import checked
from gnn.rerank.traits import Traits

CELLS = 8_000_000
"""Numbers of one array of the work on a block of users."""
WIDER = 4
"""Factor by which the pool of a list grows that could not be filled."""


class Reranker:
    """Lists of one run. Users come in blocks; what the caps counted carries over from block to block.

    Args:
        config: the rules.
        traits: of all products; with vectors where `config.similarity` asks for them.
        columns: rows of the candidates, shape (c,).
        lists: lists of the whole run, for the exposure cap.
        pins: candidate's row of each place pinned, counted from 0; others than candidates are left out.

    Raises:
        GnnError: a setting that makes no sense, or vectors are asked for and there are none.
    """

    def __init__(
        self,
        config: RerankConfig,
        traits: Traits,
        columns: NDArray[np.int64],
        lists: int,
        pins: Mapping[int, int] | None = None,
    ) -> None:
        self.config, self.traits, self.columns = checked(config), traits, columns
        if config.mmr and config.similarity == "vectors" and traits.vectors is None:
            raise GnnError("the model has no product vectors", "[rerank] similarity", "use category or brand")
        self.exposure = Exposure(len(columns), lists, config.exposure_cap)
        self.pins = _positions(pins or {}, columns)
        self.kinds = np.zeros(traits.kinds, np.bool_)
        self.kinds[traits.coarse[columns]] = True

    @property
    def plain(self) -> bool:
        """Whether only variants share a place: then the order is the model's."""
        c = self.config
        return not (c.mmr or c.calibration or c.exposure_cap or c.per_brand or c.per_category or self.pins)

    def lists(self, scores: NDArray[np.float32], histories: Interactions, k: int) -> NDArray[np.int64]:
        """The next users' lists.

        Args:
            scores: of the candidates, `MASKED` where out of question, shape (n, c).
            histories: of the same n users.
            k: longest list.

        Returns:
            Positions among the candidates, -1 where none is left that the rules let in, shape (n, k).
        """
        out = np.full((len(scores), k), -1)
        first = width = min(max(self.config.pool, 2 * k), scores.shape[1])
        todo = np.arange(len(scores)) if scores.size else np.zeros(0, np.int64)
        while len(todo):  # lists that the pool leaves short are filled again from a wider one
            short = []
            for at in blocks(len(todo), self._cells(width), CELLS):
                some = todo[at]
                if width == first:
                    self.exposure.begin(len(some))
                part = scores[at] if width == first else scores[some]  # a slice copies nothing
                best = top_k(part, width)
                found = self._filled(part, best, first, histories, some, k)
                whole = (found[:, -1] >= 0) | (best[:, -1] < 0) | (width == scores.shape[1])
                out[some[whole]] = found[whole]
                self.exposure.commit(found[whole])
                short.append(some[~whole])
            todo, width = np.concatenate(short), min(WIDER * width, scores.shape[1])
        return out

    def _cells(self, width: int) -> int:
        """Numbers per user of the largest array of the work."""
        vectors = self.traits.vectors if self.config.similarity == "vectors" and self.config.mmr else None
        deep = vectors.shape[1] if vectors is not None else 1
        return max(width * deep, len(self.kinds) if self.config.calibration else 1)

    def _filled(
        self,
        scores: NDArray[np.float32],
        best: NDArray[np.int64],
        first: int,
        histories: Interactions,
        users: NDArray[np.int64],
        k: int,
    ) -> NDArray[np.int64]:
        """Lists from the pools `best`; `users` are the rows of their histories."""
        if self.plain:
            return first_of_group(best, self.traits.variant[self.columns], k)
        values = np.take_along_axis(scores, np.maximum(best, 0), 1)
        worth = relevance(np.where(best >= 0, values, MASKED), first)
        pins = np.full((len(scores), k), -1)
        for place, column in self.pins.items():
            if place < k:
                pins[:, place] = np.where(scores[:, column] == MASKED, -1, column)
        target = None
        if self.config.calibration:
            target = shares(histories.take(users), self.traits.coarse, self.kinds)
        pool = Pool(best, self.columns[np.maximum(best, 0)], worth, pins)
        return fill(pool, self.config, self.traits, self.columns, target, self.exposure)


def _positions(pins: Mapping[int, int], columns: NDArray[np.int64]) -> dict[int, int]:
    """Position of each pinned product among the candidates, by place."""
    at = {row: position for position, row in enumerate(columns.tolist())} if pins else {}
    return {place: at[row] for place, row in pins.items() if row in at}
