"""How long work reports its progress: a Protocol that every room accepts and the command line implements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Station(Protocol):
    """One running piece of work."""

    def advance(self, amount: int = 1) -> None:
        """Say that `amount` more units are done."""

    def note(self, text: str) -> None:
        """Show a short remark beside the bar (a loss, a count)."""


class Progress(Protocol):
    """Opens stations; entering one shows it, leaving it shows its duration."""

    def station(self, title: str, total: int | None = None, unit: str = "") -> AbstractContextManager[Station]:
        """Open a station called `title` of `total` units (None: unknown)."""


class _SilentStation:
    def advance(self, amount: int = 1) -> None:
        """Ignore the advance."""

    def note(self, text: str) -> None:
        """Ignore the remark."""


class SilentProgress:
    """Progress that shows nothing: the default in a library call."""

    @contextmanager
    def station(self, title: str, total: int | None = None, unit: str = "") -> Iterator[Station]:  # noqa: ARG002
        """Open a station that shows nothing."""
        yield _SilentStation()
