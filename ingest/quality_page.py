"""The quality report as one self-contained page for an analyst."""

from __future__ import annotations

from html import escape
from pathlib import Path

from ingest.linkage.report import section as linkage_section
from ingest.quality import QualityReport, TableQuality
from ingest.rules import EXPLANATIONS, MENDS

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; background: #f6f7f9; margin: 0; }
main { max-width: 1000px; margin: 0 auto; padding: 24px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 0 0 8px; }
h3 { font-size: 14px; margin: 16px 0 4px; }
section { background: #fff; border: 1px solid #dfe3e8; border-radius: 8px; padding: 16px 20px; margin: 16px 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 4px 10px 4px 0; vertical-align: top; }
th { font-weight: 600; color: #5b6773; border-bottom: 1px solid #dfe3e8; } td + td.n, th.n { text-align: right; }
.n { font-variant-numeric: tabular-nums; white-space: nowrap; text-align: right; } .soft { color: #5b6773; }
.bar { display: flex; height: 10px; border-radius: 5px; overflow: hidden; background: #e9ecf0; margin: 6px 0 2px; }
.bar i { display: block; }
.loaded { background: #2f8f5b; } .merged { background: #d9a520; } .quarantined { background: #c8433a; }
code { background: #eef0f3; border-radius: 3px; padding: 0 4px; } .scroll { overflow-x: auto; }
"""
_LONGEST_LIST = 50


def write_page(report: QualityReport, target: Path) -> None:
    """Write the page: what came in, what became of it, and why."""
    parts = [_summary(report)]
    parts += [_section(name, table) for name, table in report.tables.items()]
    parts += [linkage_section(report.linkage), _case_variants(report), _ignored(report)]
    body = "\n".join(part for part in parts if part)
    target.write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Data quality</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main>\n{body}\n</main></body></html>\n",
        "utf-8",
    )


def _summary(report: QualityReport) -> str:
    rows = "".join(
        f"<tr><td><a href='#{escape(name)}'>{escape(name)}</a></td>"
        + "".join(_number(n) for n in (t.rows_in, t.loaded, t.merged, t.quarantined, t.mended, t.created))
        + "</tr>"
        for name, t in report.tables.items()
    )
    heads = ("rows in", "loaded", "merged", "quarantined", "fields mended", "created")
    return (
        f"<h1>Data quality</h1><p class='soft'>Source <code>{escape(report.source)}</code>, as of "
        f"{escape(report.as_of)}. Every row that came in was loaded, merged into another row of the same key, or set "
        "aside in quarantine with its reason.</p><section class='scroll'><table><tr><th>table</th>"
        + "".join(f"<th class='n'>{head}</th>" for head in heads)
        + f"</tr>{rows}</table></section>"
    )


def _section(name: str, table: TableQuality) -> str:
    files = ", ".join(f"<code>{escape(f)}</code>" for f in table.files[:_LONGEST_LIST]) or "named by other tables only"
    parts = [f"<h2 id='{escape(name)}'>{escape(name)}</h2><div class='soft'>{files}</div>", _bar(table)]
    if table.rules:
        rows = [
            (f"<code>{escape(rule)}</code>", EXPLANATIONS[rule], n, _examples(table, rule))
            for rule, n in sorted(table.rules.items(), key=lambda item: -item[1])
        ]
        parts.append(
            "<h3>Rows in quarantine</h3>" + _table(("rule", "what it means", "rows", "commonest values"), rows)
        )
        parts.append(
            f"<p class='soft'>Each row, its file and line: <code>tables/quarantine/{escape(name)}.parquet</code></p>"
        )
    if table.mends:
        mends = [
            (f"<code>{escape(column)}</code>", MENDS[rule], n, "")
            for column, by_rule in table.mends.items()
            for rule, n in by_rule.items()
        ]
        parts.append("<h3>Mended fields</h3>" + _table(("column", "what was done", "fields", ""), mends))
    if table.conflict_columns:
        kept = [
            (f"<code>{escape(c)}</code>", "the later row's value was kept", n, "")
            for c, n in table.conflict_columns.items()
        ]
        head = f"<h3>Conflicts: {table.conflicts:,} merged rows had other values for the same key</h3>"
        parts.append(head + _table(("column", "what was done", "values", ""), kept))
    renamed = {clean: source for clean, source in table.extras.items() if clean != source}
    if table.extras:
        names = ", ".join(f"<code>{escape(n)}</code>" for n in table.extras)
        was = "; ".join(f"<code>{escape(s)}</code> became <code>{escape(n)}</code>" for n, s in renamed.items())
        parts.append(f"<p>Columns beyond the contract, kept as properties: {names}{'. ' + was if was else ''}.</p>")
    return f"<section>{''.join(parts)}</section>"


def _bar(table: TableQuality) -> str:
    if not table.rows_in:
        return f"<p>{table.created:,} created.</p>" if table.created else "<p>no rows.</p>"
    counts = {"loaded": table.loaded, "merged": table.merged, "quarantined": table.quarantined}
    bars = "".join(f"<i class='{k}' style='width:{100 * n / table.rows_in:.3f}%'></i>" for k, n in counts.items() if n)
    words = ", ".join(f"{n:,} {k} ({100 * n / table.rows_in:.2f} %)" for k, n in counts.items() if n)
    created = f"; {table.created:,} created, since other tables name them" if table.created else ""
    return f"<div class='bar'>{bars}</div><div>{table.rows_in:,} rows in: {words}{created}.</div>"


def _examples(table: TableQuality, rule: str) -> str:
    shown = [
        f"<code>{escape('(empty)' if v in (None, '') else str(v))}</code> &times; {n:,}"
        for v, n in table.examples.get(rule, [])
    ]
    return ", ".join(shown)


def _table(heads: tuple[str, str, str, str], rows: list[tuple[str, str, int, str]]) -> str:
    head = f"<tr><th>{heads[0]}</th><th>{heads[1]}</th><th class='n'>{heads[2]}</th><th>{heads[3]}</th></tr>"
    body = "".join(f"<tr><td>{a}</td><td>{escape(b)}</td>{_number(n)}<td>{c}</td></tr>" for a, b, n, c in rows)
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
