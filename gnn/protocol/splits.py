"""Parts the events into train, valid and test, before any graph is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn.config import SplitConfig
from gnn.errors import GnnError
from gnn.protocol.events import UNKNOWN, Events
from gnn.protocol.interactions import Interactions


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
        side: events of other behaviours, by part (train, valid) and name; those of the test period are in none.
    """

    method: str
    cutoffs: dict[str, str]
    train: Events
    valid: Events
    test: Events
    half_life_days: float = 90.0
    side: Mapping[str, Mapping[str, Events]] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """What evaluation reports: `test`, or `valid` where there is no test event."""
        return "test" if len(self.test) else "valid"

    def until(self, stage: str) -> int | None:
        """Instant before which everything known at `stage` (valid or test) happened; None: there is no such instant."""
        return instant(self.cutoffs[f"{stage}_from"], "split") if self.cutoffs else None

    def history(self, stage: str) -> Interactions:
        """The pairs known when `stage` (valid or test) is predicted: train, or train and valid."""
        return self._at_test if stage == "test" else self._at_valid

    @cached_property
    def _at_valid(self) -> Interactions:
        side = self.side.get("train", {})
        return Interactions.from_events(self.train, self.half_life_days, side, self.until("valid"))

    @cached_property
    def _at_test(self) -> Interactions:
        side = dict(self.side.get("train", {}))
        for name, events in self.side.get("valid", {}).items():
            side[name] = side[name].plus(events) if name in side else events
        return Interactions.from_events(self.train.plus(self.valid), self.half_life_days, side, self.until("test"))

    def window(self, stage: str) -> Interactions:
        """The pairs of `stage`, repeats included."""
        return Interactions.from_events(self.test if stage == "test" else self.valid, self.half_life_days)


def split_events(
    events: Events,
    config: SplitConfig,
    seed: int = 0,
    half_life_days: float = 90.0,
    side: Mapping[str, Events] | None = None,
) -> Split:
    """Part `events` as `config` says.

    Args:
        events: the events to be predicted.
        config: the method and its cut-offs.
        seed: of the draw where the column knows no valid.
        half_life_days: age at which an event counts half in `Interactions.recent`.
        side: events of other behaviours, by name. They are parted at the same instants, by their own labels, or
            around their user's held-out events; what cannot be placed counts as test and is known to nobody.

    Raises:
        GnnError: a method that the events do not allow, or a part that must not be empty is.
    """
    if not len(events):
        raise GnnError("there are no events", "split", "load events, or name other ones in graph.target_events")
    method = config.method
    if method == "auto":
        method = "time" if events.timed else "column" if _labelled(events) else "leave-one-out"
    cutoffs: dict[str, str] = {}
    if method == "time":
        cut = _cuts(events, config)
        cutoffs = dict(zip(("valid_from", "test_from"), (_iso(moment) for moment in cut), strict=True))
        place = _by_time(events, cut)
        apart = {name: _by_time(part, cut) if part.timed else _unknown(part) for name, part in (side or {}).items()}
    elif method == "column":
        place = _by_column(events, config, seed)
        apart = {name: _by_label(part) for name, part in (side or {}).items()}
    else:
        place = _leave_one_out(events)
        apart = {name: _before_held_out(part, events, place) for name, part in (side or {}).items()}
    train, valid, test = (events.where(place == n) for n in (0, 1, 2))
    for name, part in (("train", train), ("valid", valid)):
        if not len(part):
            what, where = f"no event falls into {name}", f"{method} split"
            if method == "time":
                known = events.order[events.order != UNKNOWN]
                what += f": valid begins {cutoffs['valid_from']}, the events run from {_iso(int(known.min()))} to "
                what += _iso(int(known.max()))
            raise GnnError(what, where, "choose other cut-offs or another split")
    parts = {
        name: {behaviour: part.where(apart[behaviour] == n) for behaviour, part in (side or {}).items()}
        for n, name in enumerate(("train", "valid"))
    }
    return Split(method, cutoffs, train, valid, test, half_life_days, parts)


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


def _cuts(events: Events, config: SplitConfig) -> tuple[int, int]:
    """First instants of valid and test."""
    if not events.timed:
        raise GnnError("the events have no time", "train --split time", "use --split leave-one-out or column")
    known = events.order[events.order != UNKNOWN]
    start, end = (int(known.min()), int(known.max())) if len(known) else (0, 0)
    if start == end:
        raise GnnError("all events have the same time", "train --split time", "use --split leave-one-out or column")
    tenth = (end - start) // 10
    test = instant(config.test_from, "split.test_from") if config.test_from else end - tenth
    valid = instant(config.valid_from, "split.valid_from") if config.valid_from else test - tenth
    if valid >= test:
        raise GnnError(
            "valid begins no earlier than test", "split.valid_from", "set split.valid_from < split.test_from"
        )
    return valid, test


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1e6, UTC).isoformat()


def _by_time(events: Events, cut: tuple[int, int]) -> NDArray[np.int8]:
    valid, test = cut
    return (events.order >= valid).astype(np.int8) + (events.order >= test).astype(np.int8)


def _unknown(events: Events) -> NDArray[np.int8]:
    """Nothing says when: known to nobody."""
    return np.full(len(events), 2, np.int8)


def _by_label(events: Events) -> NDArray[np.int8]:
    """Labels of the events; without one: train."""
    if events.label is None:
        return np.zeros(len(events), np.int8)
    label = np.char.lower(events.label)
    return np.select([label == "valid", label == "test"], [1, 2], 0).astype(np.int8)


def _by_column(events: Events, config: SplitConfig, seed: int) -> NDArray[np.int8]:
    """Labels; a train pair's later labels stay as repeats. No valid: a seeded share of the train pairs."""
    if not _labelled(events):
        what = f"no event has train, valid or test in its property {config.split_column!r}"
        raise GnnError(what, "train --split column", "name the property with --split-column, or use another split")
    place = _by_label(events)
    if not (place == 1).any():
        keys = events.users * events.n_items + events.items
        pairs, where = np.unique(keys[place == 0], return_inverse=True)
        drawn = np.random.default_rng(seed).random(len(pairs)) < config.valid_share
        if not drawn.any():
            drawn[:1] = True
        place[np.flatnonzero(place == 0)[drawn[where]]] = 1
    return place


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


def _before_held_out(side: Events, events: Events, place: NDArray[np.int8]) -> NDArray[np.int8]:
    """Side events of a user: train before the event held out for valid, valid before the one for test, else test."""
    comparable = side.timed == events.timed and (side.timed or (side.sequenced and events.sequenced))
    if not comparable:
        return _unknown(side)
    last = np.iinfo(np.int64).max
    valid, test = np.full(side.n_users, last), np.full(side.n_users, last)
    for first, n in ((valid, 1), (test, 2)):
        np.minimum.at(first, events.users[place == n], events.order[place == n])
    valid = np.minimum(valid, test)
    known = np.where(side.order < valid[side.users], 0, np.where(side.order < test[side.users], 1, 2))
    return np.where(side.order == UNKNOWN, 2, known).astype(np.int8)


def describe(split: Split) -> dict[str, Any]:
    """JSON-able facts of a split."""
    sizes = {name: len(getattr(split, name)) for name in ("train", "valid", "test")}
    return {"method": split.method, **split.cutoffs, "events": sizes, "reported": split.stage}
