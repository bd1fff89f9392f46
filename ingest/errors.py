"""The root of every error that a person can cause: one line that says what, where and what to do."""

from __future__ import annotations


class ShopgraphError(Exception):
    """An error of data or environment, shown as one line; the command line exits with 1.

    Args:
        what: what is wrong, with the offending value.
        where: the file, table, column, URL or setting it concerns.
        remedy: what the person can do about it.
    """

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        """The one line: `what (where); remedy`."""
        place = f" ({self.where})" if self.where else ""
        advice = f"; {self.remedy}" if self.remedy else ""
        return " ".join(f"{self.what}{place}{advice}".split())


class IngestError(ShopgraphError):
    """A source or table that cannot be read or cleaned."""
