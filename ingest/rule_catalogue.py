"""Every cleaning rule in one place, for reports, documentation and tests.

The table of rules in docs/tables.md is written from it: `python -m ingest.rule_catalogue` prints it.
"""

from __future__ import annotations

from typing import Any

from ingest.bots import BOT_RULE
from ingest.cleaning_rule import Action, CleaningRule
from ingest.enrich.infer import FILL_RULES
from ingest.mends import MEND_RULES
from ingest.merge import MERGE_RULES
from ingest.outliers import OUTLIER_RULES
from ingest.rules import ROW_RULES

_ALL: tuple[tuple[CleaningRule[Any], ...], ...] = (
    ROW_RULES,
    (BOT_RULE, *OUTLIER_RULES.values()),
    MEND_RULES,
    MERGE_RULES,
    tuple(FILL_RULES.values()),
)
CATALOGUE: dict[str, CleaningRule[Any]] = {rule.name: rule for rules in _ALL for rule in rules}
"""Name -> rule; those that quarantine in the order in which they are tried, then mends, merges and fills."""

_DONE = {
    Action.QUARANTINE: "the row is quarantined",
    Action.MEND: "the field is mended",
    Action.MERGE: "rows are merged",
    Action.FILL: "the field is filled and marked",
}


def meaning(name: str) -> str:
    """What a rule means, for people."""
    return CATALOGUE[name].meaning


def rules_table() -> str:
    """All rules as a Markdown table."""
    rows = ["| rule | what is done | tables | means |", "|---|---|---|---|"]
    for rule in CATALOGUE.values():
        tables = ", ".join(rule.tables) or "all"
        off = ", if turned on" if rule.optional else ""
        rows.append(f"| `{rule.name}` | {_DONE[rule.action]}{off} | {tables} | {rule.meaning} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(rules_table(), end="")
