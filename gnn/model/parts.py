"""Fits the recommenders of a model one after another, each judged on validation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.measure.lists import quality
from gnn.model.align import make_split
from gnn.model.bundle import resolved
from gnn.model.catalogue import CATALOGUE, make
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Given, Judge, Recommender, Start, Work
from gnn.protocol.splits import Split
from gnn.protocol.tasks import NEW, Task, make_tasks, recommendable
from ingest.progress import Progress

ROUGH = 600
"""Users whose validation decides about settings that are tried often."""


@dataclass(frozen=True)
class Workshop:
    """What parts are made of.

    Attributes:
        given: graph and text vectors.
        config: the settings.
        tasks: what validation asks.
        progress: where work reports.
        scratch: folder for checkpoints, None: none are kept.
        starts: earlier fits to go on from, by name.
    """

    given: Given
    config: GnnConfig
    tasks: Sequence[Task]
    progress: Progress
    scratch: Path | None = None
    starts: Mapping[str, Start] = field(default_factory=dict)

    def quality(self, part: Recommender, task: Task) -> float:
        """Validation NDCG at the largest cut-off."""
        return quality(task, part, max(self.config.eval.k), self.config.eval.block)

    def task_for(self, part: Fitted) -> Task:
        """The task that judges `part`."""
        wanted = "next-purchase" if part.repeats_only else part.asks
        return next((task for task in self.tasks if task.name == wanted), self.tasks[0])

    def work(self, name: str, part: Fitted) -> Work:
        """What the fit of `part` may use."""
        task = self.task_for(part)
        step = max(1, len(task.users) // ROUGH)
        some = task.asking(np.arange(0, len(task.users), step))
        checkpoint = None if self.scratch is None else self.scratch / f"{name}.pt"
        return Work(self.progress, self._judge(task), self._judge(some), checkpoint, self.starts.get(name))

    def halves(self) -> tuple[Workshop, tuple[Task, ...]]:
        """The workshop that asks one seeded half of the users, and the same questions to the other half.

        A question that has no users in one of the halves is asked of all in both.
        """
        n_users = self.tasks[0].history.n_users
        second = np.random.default_rng(self.config.train.seed).permutation(n_users) % 2 == 1
        parted = [
            [task.asking(np.flatnonzero(second[task.users] == half)) for half in (False, True)] for task in self.tasks
        ]
        whole = [[task, task] for task in self.tasks]
        fair = [two if all(len(t.users) for t in two) else both for two, both in zip(parted, whole, strict=True)]
        return replace(self, tasks=[first for first, _ in fair]), tuple(other for _, other in fair)

    def _judge(self, task: Task) -> Judge:
        return lambda part: self.quality(part, task)


def open_workshop(given: Given, config: GnnConfig, progress: Progress) -> tuple[Workshop, Split]:
    """The workshop of a graph, with the split's cut-offs resolved, and the split.

    Raises:
        GnnError: nobody can be validated, or the text vectors are of another number of products.
    """
    with progress.station("part the events") as station:
        split = make_split(given.snapshot, config)
        tasks = make_tasks(split, "valid", recommendable(given.snapshot), config.split.min_buyers)
        if not len(tasks[0].users):
            what = "no user can be validated: none has events before valid and a new candidate product in it"
            raise GnnError(what, f"{split.method} split", "widen valid, lower split.min_buyers, or split otherwise")
        station.note(f"{len(split.train):,} train, {len(split.valid):,} valid, {len(split.test):,} test events")
    n_items = len(given.snapshot.nodes["Product"])
    if given.vectors is not None and len(given.vectors) != n_items:
        what = f"{len(given.vectors)} text vectors for {n_items} products"
        raise GnnError(what, "embeddings", "run shopgraph encode again")
    fixed = replace(config, split=resolved(config.split, split.method, split.cutoffs))
    return Workshop(given, fixed, tasks, progress), split


@dataclass(frozen=True)
class Parts:
    """Fitted recommenders.

    Attributes:
        fitted: by name, in the order asked for.
        measured: per name, what its fit found: seconds and facts; JSON-able.
        notes: what was left out and why.
    """

    fitted: dict[str, Fitted]
    measured: dict[str, dict[str, Any]]
    notes: list[str]


def fit_parts(shop: Workshop, names: Sequence[str], history: Interactions, needed: Sequence[str] = ()) -> Parts:
    """Fit `names` on `history`; one that cannot be is left out with a note, unless it is `needed`.

    Raises:
        GnnError: an unknown name, or a needed one cannot be fitted.
    """
    fitted: dict[str, Fitted] = {}
    measured: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    for name in names:
        part = make(name, shop.config, shop.given)
        title = CATALOGUE[name].title
        began = time.monotonic()
        try:
            if part.trained:
                part.fit(history, shop.work(name, part))
            else:
                with shop.progress.station(f"fit {title}"):
                    part.fit(history, shop.work(name, part))
        except GnnError as error:
            if name in needed:
                raise
            notes.append(f"{title} is left out: {error}")
            continue
        fitted[name] = part
        measured[name] = {"seconds": round(time.monotonic() - began, 2), **part.facts}
    return Parts(fitted, measured, notes)


def usable(parts: dict[str, Fitted], names: Sequence[str], task: Task) -> list[str]:
    """Those of `names` that say something about `task`."""
    return [n for n in names if n in parts and not (task.name == NEW and parts[n].repeats_only)]
