"""Validation values per user of the trials that are compared, kept beside the study."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn.config import EvalConfig
from gnn.measure.bootstrap import Bootstrap, Interval

Settings = Mapping[str, Any]


class PerUser:
    """A file of arrays, one per trial that is still needed.

    Args:
        path: the file (.npz); it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.arrays: dict[str, NDArray[np.float64]] = {}
        if path.exists():
            with np.load(path, allow_pickle=False) as stored:
                self.arrays = {name: stored[name] for name in stored.files}

    def keep(self, settings: Settings, values: NDArray[np.float64], others: Sequence[Settings]) -> None:
        """Keep the values (u,) of `settings` and those of `others`; the file is replaced whole."""
        needed = [_name(other) for other in others]
        self.arrays = {name: array for name, array in self.arrays.items() if name in needed}
        self.arrays[_name(settings)] = values
        scratch = self.path.with_suffix(".part")
        with scratch.open("wb") as file:
            np.savez(file, allow_pickle=False, **self.arrays)
        scratch.replace(self.path)

    def gain(self, after: Settings, before: Settings, config: EvalConfig) -> Interval | None:
        """Mean of after minus before with its paired interval; None where one of them is not kept."""
        pair = [self.arrays.get(_name(settings)) for settings in (after, before)]
        if pair[0] is None or pair[1] is None:
            return None
        return Bootstrap(len(pair[0]), config).intervals((pair[0] - pair[1])[:, None])[0]


def _name(settings: Settings) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
