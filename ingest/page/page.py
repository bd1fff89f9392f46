"""The quality report as one self-contained page: what a data steward opens every morning."""

from __future__ import annotations

from html import escape
from pathlib import Path

from ingest.linkage.report import section as linkage_section
from ingest.page.drift import drift_section, state
from ingest.page.profile import columns_table, volume_charts
from ingest.page.style import frame
from ingest.page.svg import Stream, flow, percent
from ingest.quality import QualityReport, TableQuality
from ingest.rule_catalogue import meaning

_LONGEST_LIST = 50


def write_page(report: QualityReport, target: Path) -> None:
    """Write the page: what came in, what became of it and why, what the clean tables hold, and what has changed."""
    names = [*report.tables, *(name for name in report.profile if name not in report.tables)]
    parts = [_head(report), state(report), _cards(report), _summary(report), drift_section(report.drift)]
    parts += [_section(name, report) for name in names]
    parts += [linkage_section(report.linkage), _case_variants(report), _ignored(report)]
    target.write_text(frame("Data quality", "\n".join(part for part in parts if part)), "utf-8")


def _head(report: QualityReport) -> str:
    return (
        f"<h1>Data quality</h1><p class='soft'>Source <code>{escape(report.source)}</code>, as of "
        f"{escape(report.as_of[:16].replace('T', ' '))}. Every row that came in was loaded, merged into another row of "
        "the same key, or set aside in quarantine with its reason.</p>"
    )


def _cards(report: QualityReport) -> str:
    rows_in = sum(t.rows_in for t in report.tables.values())
    quarantined = sum(t.quarantined for t in report.tables.values())
    drifting = sum(
        bool(c.level) for t in (report.drift.tables.values() if report.drift else ()) for c in t.columns.values()
    )
    cards = [
        ("rows in", f"{rows_in:,}"),
        ("loaded", percent(sum(t.loaded for t in report.tables.values()) / rows_in) if rows_in else "0"),
        ("merged", f"{sum(t.merged for t in report.tables.values()):,}"),
        ("quarantined", f"{quarantined:,}"),
        ("fields mended", f"{sum(t.mended for t in report.tables.values()):,}"),
        ("columns that drift", f"{drifting:,}" if report.drift else "n/a"),
    ]
    return (
        "<div class='cards'>"
        + "".join(f"<div><b>{n}</b><span class='soft'>{k}</span></div>" for k, n in cards)
        + "</div>"
    )


def _summary(report: QualityReport) -> str:
    rows = "".join(
        f"<tr><td><a href='#{escape(name)}'>{escape(name)}</a></td><td>{_bar(t)}</td>"
        + "".join(_number(n) for n in (t.rows_in, t.loaded, t.merged, t.quarantined, t.mended, t.created))
        + "</tr>"
        for name, t in report.tables.items()
    )
    heads = ("rows in", "loaded", "merged", "quarantined", "fields mended", "created")
    return (
        "<section class='scroll'><h2>What became of the rows</h2><table><tr><th>table</th><th></th>"
        + "".join(f"<th class='n'>{head}</th>" for head in heads)
        + f"</tr>{rows}</table></section>"
    )


def _bar(table: TableQuality) -> str:
    if not table.rows_in:
        return ""
    counts = {"loaded": table.loaded, "merged": table.merged, "quarantined": table.quarantined}
    bars = "".join(f"<i class='{k}' style='width:{100 * n / table.rows_in:.3f}%'></i>" for k, n in counts.items() if n)
    return f"<div class='bar'>{bars}</div>"


def _section(name: str, report: QualityReport) -> str:
    table = report.tables.get(name, TableQuality())
    files = ", ".join(f"<code>{escape(f)}</code>" for f in table.files[:_LONGEST_LIST]) or "made from other tables"
    parts = [f"<h2 id='{escape(name)}'>{escape(name)}</h2><div class='soft'>{files}</div>", _account(table)]
    parts += [_quarantine(name, table, report.refused), _mends(table), _inferred(table), _conflicts(table)]
    parts += [_extras(table), _left_out(table)]
    profile = report.profile.get(name)
    if profile is not None:
        drift = report.drift.tables.get(name) if report.drift else None
        parts += [volume_charts(profile), columns_table(profile, table, drift)]
    return f"<section>{''.join(parts)}</section>"


def _account(table: TableQuality) -> str:
    """The flow of rows; where all were loaded, a sentence is enough."""
    if not table.rows_in:
        return f"<p>{table.created:,} created.</p>" if table.created else ""
    created = f"; {table.created:,} created, since other tables name them" if table.created else ""
    if table.loaded == table.rows_in and not table.created:
        return f"{_bar(table)}<div>{table.rows_in:,} rows in, all loaded.</div>"
    streams = [Stream("in the clean table", table.loaded, "loaded")]
    streams += [Stream("merged into another row", table.merged, "merged")] if table.merged else []
    by_rule = sorted(table.rules.items(), key=lambda item: -item[1])
    streams += [Stream(rule, n, "quarantined") for rule, n in by_rule]
    counts = {"loaded": table.loaded, "merged": table.merged, "quarantined": table.quarantined}
    words = ", ".join(f"{n:,} {k} ({percent(n / table.rows_in)})" for k, n in counts.items() if n)
    return f"<div>{table.rows_in:,} rows in: {words}{created}.</div>{flow(table.rows_in, table.created, streams)}"


def _quarantine(name: str, table: TableQuality, refused: bool) -> str:
    if not table.rules:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(rule)}</code></td><td>{escape(meaning(rule))}</td>"
        f"<td class='n' data-label='rows'>{n:,}</td><td data-label='commonest values'>{_examples(table, rule)}</td>"
        f"<td data-label='for example'>{_place(table, rule)}</td></tr>"
        for rule, n in sorted(table.rules.items(), key=lambda item: -item[1])
    )
    heads = "<th>rule</th><th>what it means</th><th class='n'>rows</th><th>commonest values</th><th>for example</th>"
    folder = "tables-refused" if refused else "tables"
    return (
        f"<h3>Rows in quarantine</h3><div class='scroll'><table class='columns'><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
        f"<p class='soft small'>Each row, its file and line: <code>{folder}/quarantine/{escape(name)}.parquet</code>"
        "</p>"
    )


def _examples(table: TableQuality, rule: str) -> str:
    shown = [
        f"<code>{escape('(empty)' if v in (None, '') else str(v))}</code> &times; {n:,}"
        for v, n in table.examples.get(rule, [])
    ]
    return ", ".join(shown) or "<span class='soft'>not shown</span>"


def _place(table: TableQuality, rule: str) -> str:
    if rule not in table.places:
        return ""
    file, line = table.places[rule]
    return f"<span class='small place'><code>{escape(str(file))}</code> line {line:,}</span>"


def _mends(table: TableQuality) -> str:
    rows = [(c, meaning(rule), n) for c, by_rule in table.mends.items() for rule, n in by_rule.items()]
    return f"<h3>Mended fields</h3>{_small_table(('column', 'what was done', 'fields'), rows)}" if rows else ""


def _inferred(table: TableQuality) -> str:
    rows = [(c, meaning(f"inferred_{c}"), n) for c, n in table.inferred.items()]
    return f"<h3>Inferred fields</h3>{_small_table(('column', 'what was done', 'fields'), rows)}" if rows else ""


def _conflicts(table: TableQuality) -> str:
    rows = [(c, "the later row's value was kept", n) for c, n in table.conflict_columns.items()]
    head = f"<h3>Conflicts: {table.conflicts:,} merged rows had other values for the same key</h3>"
    return head + _small_table(("column", "what was done", "values"), rows) if rows else ""


def _extras(table: TableQuality) -> str:
    if not table.extras:
        return ""
    names = ", ".join(f"<code>{escape(n)}</code>" for n in table.extras)
    renamed = {clean: source for clean, source in table.extras.items() if clean != source}
    was = "; ".join(f"<code>{escape(s)}</code> became <code>{escape(n)}</code>" for n, s in renamed.items())
    return f"<p>Columns beyond the contract, kept as properties: {names}{'. ' + was if was else ''}.</p>"


def _left_out(table: TableQuality) -> str:
    if not table.left_out:
        return ""
    names = ", ".join(f"<code>{escape(n)}</code> ({escape(why)})" for n, why in table.left_out.items())
    return (
        f"<p>Columns left out, since they are contact fields of people: {names}. One that is none is named in "
        "<code>not_personal</code> in mapping.toml.</p>"
    )


def _small_table(heads: tuple[str, str, str], rows: list[tuple[str, str, int]]) -> str:
    head = f"<tr><th>{heads[0]}</th><th>{heads[1]}</th><th class='n'>{heads[2]}</th></tr>"
    body = "".join(f"<tr><td><code>{escape(a)}</code></td><td>{escape(b)}</td>{_number(n)}</tr>" for a, b, n in rows)
    return f"<div class='scroll'><table>{head}{body}</table></div>"


def _number(n: int) -> str:
    return f"<td class='n'>{n:,}</td>" if n else "<td class='n soft'>0</td>"


def _case_variants(report: QualityReport) -> str:
    if not report.case_variants:
        return ""
    parts = [
        "<h2>Ids that differ only by case</h2><p>They were kept apart. If they are one thing, correct the source.</p>"
    ]
    for column, groups in report.case_variants.items():
        shown = "; ".join(" / ".join(f"<code>{escape(i)}</code>" for i in group) for group in groups[:_LONGEST_LIST])
        more = (
            f" and {len(groups) - _LONGEST_LIST:,} more, listed in quality.json" if len(groups) > _LONGEST_LIST else ""
        )
        parts.append(f"<p><b>{escape(column)}</b>: {shown}{more}</p>")
    return f"<section>{''.join(parts)}</section>"


def _ignored(report: QualityReport) -> str:
    if not report.ignored_files:
        return ""
    names = ", ".join(f"<code>{escape(n)}</code>" for n in report.ignored_files[:_LONGEST_LIST])
    return f"<section><h2>Files that belong to no table</h2><p>They were not read: {names}</p></section>"
