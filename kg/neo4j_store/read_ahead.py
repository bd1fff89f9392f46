"""Runs several iterators at once, each in a thread, a few items ahead of whoever takes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.2
"""How often a thread that waits for its item to be taken looks whether anyone still will."""


@dataclass(frozen=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True)
class _End:
    error: BaseException | None


class _Belt(Generic[T]):
    """What waits to be taken.

    Args:
        items: how many may wait.
    """

    def __init__(self, items: int) -> None:
        self._waiting: Queue[_Item[T] | _End] = Queue(items)
        self._stopped = threading.Event()

    def run(self, source: Callable[[], Iterator[T]]) -> None:
        """Put the items of a source on the belt, then its end."""
        try:
            if all(self._offer(_Item(item)) for item in source()):
                self._offer(_End(None))
        except BaseException as error:
            self._offer(_End(error))

    def take(self) -> _Item[T] | _End:
        """The next item, or the end of one source."""
        return self._waiting.get()

    def stop(self) -> None:
        """Nobody takes anything any more."""
        self._stopped.set()

    def _offer(self, item: _Item[T] | _End) -> bool:
        """False when nobody will take it."""
        while not self._stopped.is_set():
            try:
                self._waiting.put(item, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return True
        return False


def read_ahead(sources: Sequence[Callable[[], Iterator[T]]], items: int = 2) -> Iterator[T]:
    """The items of all `sources` in whatever order they come.

    Args:
        sources: each is called, and its iterator used up, in a thread of its own.
        items: how many of all of them may wait to be taken.

    Raises:
        Exception: what one of the sources raised; the others are stopped.
    """
    belt: _Belt[T] = _Belt(items)
    threads = [threading.Thread(target=belt.run, args=(source,), daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    try:
        left = len(threads)
        while left:
            found = belt.take()
            if isinstance(found, _Item):
                yield found.value
                continue
            if found.error is not None:
                raise found.error
            left -= 1
    finally:
        belt.stop()
        for thread in threads:
            thread.join()
