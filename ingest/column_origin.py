"""Columns that the source has not as such: parts of nested values, lists written as text, the first of several."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ColumnOrigin:
    """Where the values of a column come from.

    Attributes:
        paths: source columns, or dotted paths into nested ones (`related.also_bought`, `images.0.large`: keys, and
            places in lists from 0); a row takes the first that has a value.
        join: separators that lists are written with: of a list of lists, and of a list. Empty: as JSON. Where an
            item holds a separator itself, a space stands in its stead.
        html: whether the commonest HTML entities (`&amp;`, `&quot;`, …) are replaced by their characters.
    """

    paths: tuple[str, ...]
    join: tuple[str, ...] = ()
    html: bool = False

    @property
    def label(self) -> str:
        """Its name among the source's columns, for messages and the report."""
        joined = f" joined by {self.join!r}" if self.join else ""
        return " or ".join(self.paths) + joined + (" without HTML" if self.html else "")

    @property
    def plain(self) -> bool:
        """Whether it is one column or path, taken as it is."""
        return len(self.paths) == 1 and not self.join and not self.html


def head_of(path: str, columns: frozenset[str]) -> str | None:
    """The source column that a path leads into, the longest where several would do; None where there is none."""
    if path in columns:
        return path
    keys = path.split(".")
    heads = (".".join(keys[:n]) for n in range(len(keys) - 1, 0, -1))
    return next((head for head in heads if head in columns), None)


def pointer(path: str, head: str) -> str:
    """The JSON pointer of the rest of a path within its source column; empty for the column itself."""
    rest = path[len(head) + 1 :]
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in rest.split(".")) if rest else ""
