"""What a search found: its trials, its winner, and how sure the gain is."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from gnn.measure.bootstrap import Interval
from gnn.tuning.journal import REASON, settings_at
from gnn.tuning.spaces import Setting

State = Literal["done", "pruned", "failed"]
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class TrialRow:
    """One trial.

    Attributes:
        number: from 1, in the order in which they came to an end.
        state: `done`, `pruned` (its epochs were below the median of the others') or `failed`.
        value: validation NDCG; of a pruned one that of its last epoch; None where it failed.
        settings: dotted key to value; JSON-able.
        points: the same where the search puts it: of several numbers the one that the fit chose.
        seconds: of its fit and its reading.
        epochs: epochs that validation saw, 0 where the fit has none.
        reason: why it failed.
    """

    number: int
    state: State
    value: float | None
    settings: dict[str, Any]
    points: dict[str, Any]
    seconds: float
    epochs: int
    reason: str = ""

    @classmethod
    def of(cls, number: int, trial: FrozenTrial) -> TrialRow:
        """The row of a trial that came to an end."""
        attributes = trial.user_attrs
        return cls(
            number,
            STATES[trial.state],
            trial.value,
            settings_at(trial),
            dict(trial.params),
            round(attributes.get("seconds", 0.0), 2),
            len(trial.intermediate_values),
            attributes.get(REASON, ""),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return vars(self)


@dataclass(frozen=True)
class TuningResult:
    """What a search found.

    Attributes:
        model: the recommender.
        task: the question that judged it.
        k: cut-off of the NDCG.
        users: validation users.
        space: the settings searched.
        trials: all that came to an end, in that order.
        best: settings of the winner, by dotted key; JSON-able.
        current: the settings before.
        best_value: validation NDCG of the winner.
        current_value: of the settings before; None where they cannot be fitted.
        gain: winner minus before, paired over users; None where a value per user is missing.
        importance: share of each setting in what parts good trials from others (PED-ANOVA); empty with few trials.
        notes: what a reader should know.
        seconds: of this run.
        fits: trials of this run.
    """

    model: str
    task: str
    k: int
    users: int
    space: tuple[Setting, ...]
    trials: tuple[TrialRow, ...]
    best: dict[str, Any]
    current: dict[str, Any]
    best_value: float
    current_value: float | None
    gain: Interval | None
    importance: dict[str, float]
    notes: tuple[str, ...]
    seconds: float
    fits: int

    @property
    def ranked(self) -> list[TrialRow]:
        """The trials, best first; those that were done before pruned ones, failed ones last."""
        order = {"done": 0, "pruned": 1, "failed": 2}
        return sorted(self.trials, key=lambda t: (order[t.state], -(t.value or 0.0), t.number))

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """Keys that the winner changes: (before, after)."""
        return {key: (self.current[key], new) for key, new in self.best.items() if new != self.current[key]}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "model": self.model,
            "task": self.task,
            "metric": f"ndcg@{self.k}",
            "users": self.users,
            "best": self.best,
            "best_value": self.best_value,
            "current": self.current,
            "current_value": self.current_value,
            "gain": self.gain.to_dict() if self.gain is not None else None,
            "importance": self.importance,
            "trials": [row.to_dict() for row in self.ranked],
            "notes": list(self.notes),
            "fits": self.fits,
            "seconds": self.seconds,
        }

    def to_csv(self) -> str:
        """One row per trial, in the order in which they came to an end."""
        keys = [s.key for s in self.space]
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["trial", "state", f"ndcg@{self.k}", "seconds", "epochs", *keys, REASON])
        for t in self.trials:
            settings = [_cell(t.settings[key]) for key in keys]
            value = "" if t.value is None else t.value
            table.writerow([t.number, t.state, value, t.seconds, t.epochs, *settings, t.reason])
        return text.getvalue()


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


def best_of(rows: Sequence[TrialRow]) -> TrialRow | None:
    """The earliest of the best trials that were done."""
    done = [row for row in rows if row.state == "done"]
    return max(done, key=lambda row: row.value if row.value is not None else -math.inf) if done else None
