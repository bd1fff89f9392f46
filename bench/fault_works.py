"""What is broken off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.fault_shop import write_deliveries, write_shop

_AS_OF = ("--as-of", "2025-01-01")


@dataclass(frozen=True)
class Work:
    """What is broken off: commands on a workspace.

    Attributes:
        name: for the table, as in "a build".
        before: words of the command that makes the older state.
        words: words of the command that is broken off.
        needs_before: whether it needs the older state; else it can begin with an empty store as well.
    """

    name: str
    before: tuple[str, ...]
    words: tuple[str, ...]
    needs_before: bool = False


def a_build(scratch: Path, events: int) -> Work:
    """A build, after one of an older delivery."""
    older = write_shop(scratch / "older", events * 2 // 3)
    newer = write_shop(scratch / "newer", events)
    return Work("a build", ("graph-build", str(older), *_AS_OF), ("graph-build", str(newer), *_AS_OF))


def an_update(scratch: Path, events: int) -> Work:
    """An update: new events and products, changed prices, removals."""
    older, delivery = write_deliveries(scratch, events)
    build = ("graph-build", str(older), *_AS_OF)
    return Work("an update", build, ("graph-build", str(delivery), "--update", *_AS_OF), needs_before=True)


def an_offline_import(scratch: Path, events: int) -> Work:
    """A build by the offline importer, after one over Bolt; only a Neo4j server has it."""
    build = a_build(scratch, events)
    return Work("an offline import", build.before, (*build.words, "--offline"))


WORKS: dict[str, Callable[[Path, int], Work]] = {"build": a_build, "update": an_update, "offline": an_offline_import}
