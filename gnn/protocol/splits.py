"""Parts the events into train, valid and test, before any graph is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn.config import SplitConfig
from gnn.errors import GnnError
from gnn.protocol.events import UNKNOWN, Events, Interactions


@dataclass(frozen=True)
class Split:
    """Events parted in three; pairs that stand in an earlier part may stand in a later one only as repeats.

    Attributes:
        method: `time`, `column` or `leave-one-out`, never `auto`.
        cutoffs: `valid_from` and `test_from` as ISO 8601 (time), else empty.
        train: events that models learn from.
        valid: events that settings are chosen by.
        test: events read once; may be empty (column).
        half_life_days: age at which an event counts half in `Interactions.recent`.
    """

    method: str
    cutoffs: dict[str, str]
    train: Events
    valid: Events
    test: Events
    half_life_days: float = 90.0

    @property
    def stage(self) -> str:
        """What evaluation reports: `test`, or `valid` where there is no test event."""
        return "test" if len(self.test) else "valid"

    def history(self, stage: str) -> Interactions:
        """The pairs known when `stage` (valid or test) is predicted: train, or train and valid."""
        events = self.train if stage == "valid" else self.train.plus(self.valid)
        return Interactions.from_events(events, self.half_life_days)

    def window(self, stage: str) -> Interactions:
        """The pairs of `stage`, repeats included."""
        return Interactions.from_events(self.test if stage == "test" else self.valid, self.half_life_days)


def split_events(events: Events, config: SplitConfig, seed: int = 0, half_life_days: float = 90.0) -> Split:
    """Part `events` as `config` says.

    Raises:
        GnnError: a method that the events do not allow, or a part that must not be empty is.
    """
    method = config.method
    if method == "auto":
        method = "time" if events.timed else "column" if _labelled(events) else "leave-one-out"
    if method == "time":
        side, cutoffs = _by_time(events, config)
    elif method == "column":
        side, cutoffs = _by_column(events, config, seed), {}
    else:
        side, cutoffs = _leave_one_out(events), {}
    train, valid, test = (events.where(side == n) for n in (0, 1, 2))
    for name, part in (("train", train), ("valid", valid)):
        if not len(part):
            where = f"{method} split"
            raise GnnError(f"no event falls into {name}", where, "choose other cut-offs or another split")
    return Split(method, cutoffs, train, valid, test, half_life_days)


def _labelled(events: Events) -> bool:
    return events.label is not None and bool(np.isin(np.char.lower(events.label), ["train", "valid", "test"]).any())


def instant(text: str, key: str) -> int:
    """Microseconds since 1970 of an ISO 8601 instant, UTC unless it says otherwise.

    Raises:
        GnnError: it cannot be read.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise GnnError(f"{text!r} is no date", key, "write it as 2017-08-01 or 2017-08-01T12:00:00Z") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp()) * 1_000_000 + moment.microsecond


def _by_time(events: Events, config: SplitConfig) -> tuple[NDArray[np.int8], dict[str, str]]:
    if not events.timed:
        raise GnnError("the events have no time", "train --split time", "use --split leave-one-out or column")
    known = events.order[events.order != UNKNOWN]
    start, end = int(known.min()), int(known.max())
    tenth = (end - start) // 10
    test = instant(config.test_from, "split.test_from") if config.test_from else end - tenth
    valid = instant(config.valid_from, "split.valid_from") if config.valid_from else test - tenth
    if valid >= test:
        raise GnnError(
            "valid begins no earlier than test", "split.valid_from", "set split.valid_from < split.test_from"
        )
    side = (events.order >= valid).astype(np.int8) + (events.order >= test).astype(np.int8)
    iso = {k: datetime.fromtimestamp(v / 1e6, UTC).isoformat() for k, v in (("valid_from", valid), ("test_from", test))}
    return side, iso


def _by_column(events: Events, config: SplitConfig, seed: int) -> NDArray[np.int8]:
    """Labels; a train pair's later labels stay as repeats. No label: train. No valid: seeded share of train pairs."""
    if events.label is None or not _labelled(events):
        what = f"no event has train, valid or test in its property {config.split_column!r}"
        raise GnnError(what, "train --split column", "name the property with --split-column, or use another split")
    label = np.char.lower(events.label)
    side = np.select([label == "valid", label == "test"], [1, 2], 0).astype(np.int8)
    if not (side == 1).any():
        keys = events.users * events.n_items + events.items
        pairs, where = np.unique(keys[side == 0], return_inverse=True)
        drawn = np.random.default_rng(seed).random(len(pairs)) < config.valid_share
        if not drawn.any():
            drawn[:1] = True
        side[np.flatnonzero(side == 0)[drawn[where]]] = 1
    return side


def _leave_one_out(events: Events) -> NDArray[np.int8]:
    """Per user, the pair with the latest event is test (of two pairs or more), the one before valid (of three)."""
    pairs = Interactions.from_events(events)
    by_time = np.lexsort((np.arange(len(pairs)), pairs.last, pairs.users))
    lengths = np.diff(pairs.indptr)
    from_end = np.empty(len(pairs), np.int64)
    from_end[by_time] = np.repeat(pairs.indptr[1:], lengths) - 1 - np.arange(len(pairs))
    side = np.zeros(len(pairs), np.int8)
    many = np.repeat(lengths, lengths)
    side[(from_end == 0) & (many >= 2)] = 2
    side[(from_end == 1) & (many >= 3)] = 1
    return np.asarray(side[np.searchsorted(pairs.keys, events.users * events.n_items + events.items)])


def describe(split: Split) -> dict[str, Any]:
    """JSON-able facts of a split."""
    sizes = {name: len(getattr(split, name)) for name in ("train", "valid", "test")}
    return {"method": split.method, **split.cutoffs, "events": sizes, "reported": split.stage}
