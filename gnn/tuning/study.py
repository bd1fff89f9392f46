"""The search for better settings of one recommender: TPE on validation, from the current settings on."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.model.catalogue import CATALOGUE, make
from gnn.model.parts import Workshop, open_workshop
from gnn.network.device import cpu_threads
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Given
from gnn.tuning.journal import REASON, judged, open_study, settings_at, study_path
from gnn.tuning.per_user import PerUser
from gnn.tuning.result import TrialRow, TuningResult, best_of
from gnn.tuning.spaces import Setting, applied, combinations, current, settings_of, space_for
from gnn.tuning.trial import Late, Outcome, run_trial
from ingest.progress import Progress, Station

AT_RANDOM = 8
"""Trials drawn at random, the current settings among them, before TPE learns from them."""
DRAWS = 200
"""Draws of which one must be new; after the first few they are uniform."""
FEW = 10
"""Trials below which nothing is said of the settings' importance."""


def tune(  # noqa: PLR0913 - what is searched, how long, and where it is kept
    given: Given,
    config: GnnConfig,
    model: str,
    trials: int,
    minutes: float | None,
    folder: Path,
    progress: Progress,
    seed: int = 0,
    *,
    only: Sequence[str] = (),
) -> TuningResult:
    """Search the settings of `model` that validation likes best; the test part is not read.

    The first trial is what `config` says, so that the winner is never worse on validation than that. The search goes
    on where an earlier one of the same graph, text, fixed settings, space and seed in `folder` stopped, and an
    interrupted one finds what an uninterrupted one would have found (but for fits that are not reproducible).

    Args:
        given: graph and text vectors.
        config: the settings; those of the space are the first trial, the others stay.
        model: a name of the catalogue that has settings.
        trials: trials in all, earlier runs' included.
        minutes: time after which no trial begins and one of several epochs stops at its next one; None: no limit.
            The current settings are always tried to the end.
        folder: where studies are kept.
        progress: where work reports.
        seed: of the draws; each seed has a study of its own.
        only: dotted keys to search; empty: the whole space.

    Raises:
        GnnError: an unknown model or key, a budget of nothing, a graph that cannot be validated, or no trial could be
            fitted.
    """
    began = time.monotonic()
    if trials < 1:
        raise GnnError(f"{trials} trials", "--trials", "ask for one or more")
    if minutes is not None and not minutes > 0:
        raise GnnError(f"{minutes:g} minutes", "--minutes", "give the search some time")
    settings_of(model, only)
    with cpu_threads(config.train.threads):
        shop, split = open_workshop(given, config, progress)
        history = split.history("valid")
        space = space_for(model, config, given.snapshot, history, only)
        path = study_path(folder, given, config, model, space, seed)
        search = _Search(shop, history, model, space, open_study(path), path.with_suffix(".npz"), seed)
        search.run(trials, (lambda: False) if minutes is None else lambda: time.monotonic() - began > 60 * minutes)
    return search.result(time.monotonic() - began)


@dataclass
class _Search:
    """A running search.

    Attributes:
        shop: graph, current settings, tasks.
        history: the train part.
        model: the recommender.
        space: what is searched.
        study: the trials, on disk.
        users_file: where the values per user of the best trial and of the current settings are kept.
        seed: of the draws.
        fits: trials of this run.
        notes: what a reader should know.
    """

    shop: Workshop
    history: Interactions
    model: str
    space: tuple[Setting, ...]
    study: Study
    users_file: Path
    seed: int
    fits: int = 0
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.current = current(self.shop.config, self.space)
        self.distributions = {s.key: _distribution(s) for s in self.space}
        self.users = PerUser(self.users_file)

    def run(self, trials: int, late: Late) -> None:
        """Try settings until the study has `trials` trials, it is late, or nothing is left to try."""
        title = f"tune {CATALOGUE[self.model].title}"
        with self.shop.progress.station(title, trials, "trials") as station:
            self._say(station, min(trials, len(judged(self.study))))
            if self._current_trial() is None:
                self._try_current()
                self._say(station, 1)
            while len(judged(self.study)) < trials and not late():
                trial = self._new_trial()
                if trial is None:
                    self.notes.append("the search came to its end: nothing new is left to try")
                    break
                if not self._try(trial, late):
                    self.notes.append("the time was over in the middle of a trial; another run begins with it")
                    break
                self._say(station, 1)

    def _say(self, station: Station, more: int) -> None:
        best = best_of(self.rows())
        if best is not None:
            station.note(f"best validation NDCG {best.value:.4f} (trial {best.number})")
        station.advance(more)

    def rows(self) -> list[TrialRow]:
        """The trials that came to an end."""
        return [TrialRow.of(n, trial) for n, trial in enumerate(judged(self.study), 1)]

    def _current_trial(self) -> FrozenTrial | None:
        """The trial of the current settings, unless it was pruned: they are what all others are compared with."""
        ended = [t for t in judged(self.study) if t.state != TrialState.PRUNED]
        return next((t for t in ended if settings_at(t) == self.current), None)

    def _try_current(self) -> None:
        """The current settings as they are, even where they leave a choice to the fit."""
        self.fits += 1
        outcome = run_trial(self.shop, self.shop.config, self.model, self.history, None, lambda: False)
        point = {s.key: s.point(s.value(self.shop.config), outcome.facts) for s in self.space}
        self._keep_users(self.current, outcome)
        self.study.add_trial(
            create_trial(
                state=outcome.state,
                value=outcome.value,
                params=point,
                distributions=self.distributions,
                user_attrs=_attributes(self.current, outcome),
                intermediate_values=dict(enumerate(outcome.epochs)),
            )
        )

    def _new_trial(self) -> Trial | None:
        """A trial of settings that no other has tried; None: there are none, or they are too hard to find.

        Each draw has a seed of its own, so that a search that was interrupted goes on as if it had not been.
        """
        ended = judged(self.study)
        tried = [settings_at(t) for t in ended]
        if len({json.dumps(t) for t in tried}) >= combinations(self.space):
            return None
        for draw in range(DRAWS):
            seed = int(np.random.SeedSequence((self.seed, len(ended), draw)).generate_state(1)[0])
            self.study.sampler = _sampler(seed, uniform=draw >= DRAWS // 20)
            trial = self.study.ask(self.distributions)
            if self._settings(trial) not in tried:
                return trial
            self.study.tell(trial, state=TrialState.FAIL)
        return None

    def _settings(self, trial: Trial) -> dict[str, Any]:
        return {s.key: s.tried(trial.params[s.key]) for s in self.space}

    def _try(self, trial: Trial, late: Late) -> bool:
        """Run a trial and keep what came of it; False: it was interrupted."""
        self.fits += 1
        settings = self._settings(trial)
        config = applied(self.shop.config, settings)
        outcome = run_trial(self.shop, config, self.model, self.history, trial, late)
        interrupted = outcome.state == TrialState.FAIL and not outcome.reason
        if not interrupted:
            self._keep_users(settings, outcome)
            for name, value in _attributes(settings, outcome).items():
                trial.set_user_attr(name, value)
        self.study.tell(trial, outcome.value, outcome.state)
        return not interrupted

    def _keep_users(self, settings: Mapping[str, Any], outcome: Outcome) -> None:
        """Keep the values per user of the current settings and of the best so far, before the trial is on record."""
        if outcome.users is None or outcome.value is None:
            return
        best = best_of(self.rows())
        if best is None or best.value is None or outcome.value > best.value:
            self.users.keep(settings, outcome.users, [self.current])
        elif settings == self.current:
            self.users.keep(settings, outcome.users, [best.settings])

    def result(self, seconds: float) -> TuningResult:
        """What was found.

        Raises:
            GnnError: no trial could be fitted.
        """
        rows = self.rows()
        best = best_of(rows)
        if best is None or best.value is None:
            why = next((row.reason for row in rows if row.reason), "the time was over before the first trial ended")
            raise GnnError(f"none of {len(rows)} trials of {self.model} could be fitted: {why}")
        before = self._current_trial()
        task = self.shop.task_for(make(self.model, self.shop.config, self.shop.given))
        return TuningResult(
            model=self.model,
            task=task.name,
            k=max(self.shop.config.eval.k),
            users=len(task.users),
            space=self.space,
            trials=tuple(rows),
            best=best.settings,
            current=self.current,
            best_value=best.value,
            current_value=before.value if before is not None else None,
            gain=self.users.gain(best.settings, self.current, self.shop.config.eval),
            importance=_importance(self.study, len(rows)),
            notes=tuple(self.notes),
            seconds=round(seconds, 1),
            fits=self.fits,
        )


def _distribution(s: Setting) -> BaseDistribution:
    if s.kind == "choice":
        return CategoricalDistribution(s.choices)
    if s.kind == "whole":
        return IntDistribution(int(s.low), int(s.high), log=s.log)
    return FloatDistribution(s.low, s.high, log=s.log)


def _sampler(seed: int, *, uniform: bool) -> BaseSampler:
    return RandomSampler(seed) if uniform else TPESampler(n_startup_trials=AT_RANDOM, seed=seed)


def _attributes(settings: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    reason = {REASON: outcome.reason} if outcome.reason else {}
    return {"settings": dict(settings), "seconds": outcome.seconds, **reason}


def _importance(study: Study, trials: int) -> dict[str, float]:
    """Shares per setting; those that part the best quarter of the trials from the rest."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if trials < FEW or len(done) < FEW or len(done[0].params) < 2:
        return {}
    shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.25))
    return {key: round(float(share), 4) for key, share in shares.items()}
