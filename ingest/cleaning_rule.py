"""What a cleaning rule is: a name, the tables it holds for, what it does, what it means, and the check itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

Check = TypeVar("Check", bound=Callable[..., Any])


class Action(Enum):
    """What becomes of a row or field that a rule catches."""

    QUARANTINE = "quarantine"  # the row is set aside
    MEND = "mend"  # the field is repaired or left empty
    MERGE = "merge"  # the row goes into another row
    FILL = "fill"  # the empty field gets a value, marked as inferred


@dataclass(frozen=True)
class CleaningRule(Generic[Check]):
    """A cleaning rule.

    Attributes:
        name: as it stands in quarantine files and reports.
        action: what it does.
        tables: the contract tables it holds for; empty: all of them.
        meaning: what it means, for people.
        check: gives the SQL that finds what the rule catches; what it takes depends on the action.
        optional: whether it holds only where a setting turns it on.
    """

    name: str
    action: Action
    tables: tuple[str, ...]
    meaning: str
    check: Check
    optional: bool = False

    def holds_for(self, table: str) -> bool:
        """Whether the rule is one of the table's."""
        return not self.tables or table in self.tables
