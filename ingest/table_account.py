"""What became of one table's rows, as the report has it and in a few words."""

from __future__ import annotations

from ingest.cleaning import CleanedTable
from ingest.linkage.report import LinkReport
from ingest.merge import MergedTable
from ingest.monitor.worst_rows import WorstRows
from ingest.names import shown_names
from ingest.quality import TableQuality
from ingest.staging import StagedTable


def table_account(staged: StagedTable, cleaned: CleanedTable, merged: MergedTable, worst: WorstRows) -> TableQuality:
    """The account of a table whose rows were staged, cleaned and merged."""
    rules: dict[str, int] = {}
    faults: dict[str, dict[str, int]] = {}
    for index, n in cleaned.quarantined.items():
        broken = cleaned.rules[index]
        rules[broken.name] = rules.get(broken.name, 0) + n
        if broken.column is not None:
            faults.setdefault(broken.column, {})[broken.name] = n
    mends: dict[str, dict[str, int]] = {}
    for (rule, column), n in cleaned.mended.items():
        mends.setdefault(column, {})[rule] = n
    return TableQuality(
        rows_in=cleaned.rows_in,
        loaded=merged.loaded,
        merged=merged.merged,
        quarantined=sum(cleaned.quarantined.values()),
        mended=sum(cleaned.mended.values()),
        conflicts=merged.conflicts,
        rules=rules,
        mends=mends,
        conflict_columns=merged.conflict_columns,
        extras={c.name: c.source for c in cleaned.columns if c.extra and c.source is not None},
        files=[f.name for f in staged.files],
        examples=worst.examples,
        faults=faults,
        places=worst.places,
        left_out=dict(cleaned.left_out),
    )


def table_remark(quality: TableQuality, linkage: LinkReport | None) -> str:
    """The account in a few words, for the progress display."""
    parts = [f"{quality.loaded:,} loaded"]
    parts += [
        f"{n:,} {what}"
        for n, what in ((quality.merged, "merged"), (quality.quarantined, "quarantined"), (quality.removed, "removed"))
        if n
    ]
    if linkage is not None:
        parts.append(f"of {linkage.users:,} users")
        unknown = linkage.unknown_decisions
        parts += [f"decisions about unknown accounts: {unknown:,}"] if unknown else []
    parts += [f"left out as contact fields: {shown_names(list(quality.left_out))}"] if quality.left_out else []
    return ", ".join(parts)
