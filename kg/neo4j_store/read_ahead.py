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


def read_ahead(sources: Sequence[Callable[[], Iterator[T]]], items: int = 2) -> Iterator[T]:
    """The items of all `sources` in whatever order they come.

    Args:
        sources: each is called, and its iterator used up, in a thread of its own.
        items: how many of all of them may wait to be taken.

    Raises:
        Exception: what one of the sources raised; the others are stopped.
    """
    waiting: Queue[_Item[T] | _End] = Queue(items)
    stopped = threading.Event()

    def offer(item: _Item[T] | _End) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return True
        return False

    def run(source: Callable[[], Iterator[T]]) -> None:
        try:
            if all(offer(_Item(item)) for item in source()):
                offer(_End(None))
        except BaseException as error:
            offer(_End(error))

    threads = [threading.Thread(target=run, args=(source,), daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    try:
        left = len(threads)
        while left:
            found = waiting.get()
            if isinstance(found, _Item):
                yield found.value
                continue
            if found.error is not None:
                raise found.error
            left -= 1
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
