"""What has changed since the build before, and what needs a look, on the quality page."""

from __future__ import annotations

from html import escape

from ingest.monitor.drift import Drift, TableDrift
from ingest.page.svg import percent
from ingest.quality import QualityReport

_QUIET = (0.8, 1.25)
"""Ratios of volume that the list of what needs a look passes over."""

_FEWEST = 100
"""So few rows may double by chance, and their ratio is passed over too."""

_LISTED = 12


def state(report: QualityReport) -> str:
    """The one thing to know first: refused, broken thresholds, or neither; and what needs a look."""
    lines = [f"<b>{escape(b.line)}</b>" + ("" if b.fatal else " (warning only)") for b in report.broken]
    held = len(report.thresholds)
    kind, head = (
        ("", f"All {held} thresholds hold" if held > 1 else "The threshold holds")
        if held
        else (" plain", "No thresholds are set")
    )
    if report.refused:
        kind, head = " refused", "This build was refused; tables and graph are still those of the build before"
    elif report.broken:
        kind, head = " warn", f"{len(report.broken)} threshold{'s are' if len(report.broken) > 1 else ' is'} broken"
    notes = _notes(report)
    shown = "".join(f"<li>{line}</li>" for line in [*lines, *notes[:_LISTED]])
    more = f"<p class='soft'>and {len(notes) - _LISTED} more below</p>" if len(notes) > _LISTED else ""
    listed = f"<ul>{shown}</ul>" if shown else "<p class='soft'>Nothing else stands out.</p>"
    return f"<section class='state{kind}'><h2>{head}</h2>{listed}{more}</section>"


def _notes(report: QualityReport) -> list[str]:
    """What stands out without any threshold, the weightiest first."""
    notes = []
    if report.drift:
        gone = report.drift.vanished_tables
        notes += [f"the table <code>{escape(name)}</code> of the build before is gone" for name in gone]
        for name, table in report.drift.tables.items():
            notes += [f"<code>{escape(name)}.{escape(c)}</code> is gone" for c in table.vanished_columns]
            notes += _column_notes(name, table) + _volume_notes(name, table)
            notes += _rule_notes(name, table, report.tables[name].rows_in) if name in report.tables else []
    for name, t in report.tables.items():
        if t.rows_in and t.quarantined / t.rows_in >= 0.01:
            notes.append(
                f"{percent(t.quarantined / t.rows_in)} of <a href='#{escape(name)}'>{escape(name)}</a> is in quarantine"
            )
    return notes


def _column_notes(name: str, table: TableDrift) -> list[str]:
    notes = []
    drifting = {column: c for column, c in table.columns.items() if c.level}
    for column, c in sorted(drifting.items(), key=lambda item: -(item[1].psi or 0.0)):
        notes.append(
            f"<code>{escape(name)}.{escape(column)}</code> has drifted: PSI {c.psi:.3f} "
            f"<span class='tag {c.level}'>{c.level}</span>"
        )
    for column, c in table.columns.items():
        if c.completeness[0] - c.completeness[1] >= 0.01:
            share = f"{percent(c.completeness[0])} to {percent(c.completeness[1])}"
            notes.append(f"<code>{escape(name)}.{escape(column)}</code> is emptier: filled {share}")
        if c.vanished_count:
            gone = "1 category" if c.vanished_count == 1 else f"{c.vanished_count:,} categories"
            notes.append(f"gone from <code>{escape(name)}.{escape(column)}</code>: {gone}")
    return notes


def _rule_notes(name: str, table: TableDrift, rows_in: int) -> list[str]:
    """Rules that set aside more than twice as many rows as before, and one in a thousand or more."""
    grown = {rule: n for rule, (old, n) in table.rules.items() if n > 2 * old and n * 1000 >= rows_in}
    return [
        f"<code>{escape(rule)}</code> sets aside {n:,} rows of {escape(name)}, {table.rules[rule][0]:,} before"
        for rule, n in grown.items()
    ]


def _volume_notes(name: str, table: TableDrift) -> list[str]:
    notes = []
    for series, v in table.volume.items():
        known = (v.shared, v.known, "of the days known before")
        fresh = (v.recent, v.expected, f"that were expected of {v.new_days:,} new days")
        for ratio, rows, words in (known, fresh):
            if ratio is not None and rows >= _FEWEST and not _QUIET[0] <= ratio <= _QUIET[1]:
                notes.append(f"<code>{escape(name)}</code> {escape(series)}: {ratio:.2f} times the rows {words}")
    return notes


def drift_section(drift: Drift | None) -> str:
    """Before and now, table by table."""
    if drift is None:
        return (
            "<section id='drift'><h2>Change since the build before</h2><p class='soft'>There is none: this is the "
            "first build here. The next one of changed data is compared with it.</p></section>"
        )
    rows = "".join(_row(name, table) for name, table in drift.tables.items())
    only = [f"new: <code>{escape(n)}</code>" for n in drift.new_tables]
    only += [f"gone: <code>{escape(n)}</code>" for n in drift.vanished_tables]
    tables = f"<p>Tables {', '.join(only)}</p>" if only else ""
    return (
        "<section id='drift'><h2>Change since the build before</h2><p class='soft'>It was made "
        f"{_minute(drift.built)} UTC of <code>{escape(drift.source)}</code>. PSI: population stability index; below "
        "0.1 is taken as no change, from 0.25 as a large one, and what chance explains is not marked.</p>"
        f"{tables}"
        "<div class='scroll'><table class='columns'><thead><tr><th>table</th><th class='n'>rows before</th>"
        "<th class='n'>rows now</th><th>what changed</th></tr></thead><tbody>"
        f"{rows}</tbody></table></div></section>"
    )


def _row(name: str, table: TableDrift) -> str:
    before, now = table.rows
    lines = [*_column_notes(name, table), *_volume_notes(name, table)]
    for column, c in table.columns.items():
        for what, values, count in (("new", c.new, c.new_count), ("gone", c.vanished, c.vanished_count)):
            if count:
                shown = ", ".join(f"<code>{escape(v)}</code>" for v in values)
                more = f" and {count - len(values):,} more" if count > len(values) else ""
                lines.append(f"{what} in <code>{escape(column)}</code>: {shown}{more}")
    lines += [f"column <code>{escape(c)}</code> is new" for c in table.new_columns]
    lines += [f"column <code>{escape(c)}</code> is gone" for c in table.vanished_columns]
    lines += [
        f"quarantine by <code>{escape(rule)}</code>: {old:,} rows before, {new:,} now"
        for rule, (old, new) in table.rules.items()
        if old != new
    ]
    everything = table.volume.get("all")
    if everything and everything.new_days:
        ratio = f", {everything.recent:.2f} times the rows expected" if everything.recent is not None else ""
        lines.append(f"{everything.new_days:,} new days{ratio}")
    body = f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>" if lines else "<span class='soft'>nothing</span>"
    return (
        f"<tr><td><a href='#{escape(name)}'>{escape(name)}</a></td>"
        f"<td class='n' data-label='rows before'>{before:,}</td>"
        f"<td class='n' data-label='rows now'>{now:,}</td><td>{body}</td></tr>"
    )


def _minute(moment: str) -> str:
    return escape(moment[:16].replace("T", " "))
