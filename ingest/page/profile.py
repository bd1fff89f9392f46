"""The profile of a table on the quality page: rows over time, and a line per column."""

from __future__ import annotations

from html import escape

from ingest.monitor.drift import ColumnDrift, TableDrift
from ingest.monitor.profile import ColumnProfile, TableProfile, Volume
from ingest.page.svg import figure, histogram, line, percent
from ingest.quality import TableQuality
from ingest.rule_catalogue import meaning

_SHOWN = 5
_HEADS = ("column", "filled", "different", "range", "distribution", "faults", "drift")


def volume_charts(profile: TableProfile) -> str:
    """A chart per time column; of several events or channels a small one each."""
    return "".join(_volume(column, volume) for column, volume in profile.volume.items())


def _volume(column: str, volume: Volume) -> str:
    everything = volume.series["all"]
    # the first and the last unit may be cut off by the span of the data, so the title promises no more than counts
    head = f"<h3>Rows per {volume.unit} by <code>{escape(column)}</code></h3>"
    parts = [head, _chart(volume, everything, f"most {max(everything):,}")]
    for name in ("event", "channel"):
        series = {k: v for k, v in volume.series.items() if k.startswith(f"{name}=")}
        if len(series) > 1:
            ranked = sorted(series.items(), key=lambda item: (-sum(item[1]), item[0]))
            small = "".join(
                f"<div><b>{escape(_cut(key.partition('=')[2]))}</b> <span class='soft small'>{sum(counts):,} rows"
                f"</span>{line(counts, _cut(key))}</div>"
                for key, counts in ranked
            )
            parts.append(f"<h3>By {name}, each on its own scale</h3><div class='many'>{small}</div>")
    return "".join(parts)


def _chart(volume: Volume, counts: tuple[int, ...], note: str) -> str:
    first, last = volume.starts[0], volume.starts[-1]
    axis = f"<div class='axis'><span>{first}</span><span>{note}</span><span>{last}</span></div>"
    return line(counts, f"rows per {volume.unit}") + axis


def _named(what: str, columns: list[str]) -> str:
    names = ", ".join(f"<code>{escape(name)}</code>" for name in columns)
    return f"<p class='soft small'>{what}: {names}.</p>" if names else ""


def columns_table(profile: TableProfile, quality: TableQuality, drift: TableDrift | None) -> str:
    """A line per column that holds anything; the empty ones are named below."""
    faults = {*quality.faults, *quality.mends}
    known = drift.columns if drift else {}
    shown = {
        name: c
        for name, c in profile.columns.items()
        if c.missing < profile.rows or name in faults or (name in known and known[name].completeness[0] > 0)
    }
    rows = [_cells(name, c, profile.rows, quality, known.get(name)) for name, c in shown.items()]
    empty = {name: c for name, c in profile.columns.items() if name not in shown}
    left = _named("Without any value", [name for name, c in empty.items() if not c.hidden])
    left += _named("Personal, and empty or left out", [name for name, c in empty.items() if c.hidden])
    if not shown:
        return left
    used = [head for head in _HEADS if any(row[head] for row in rows)]
    heads = "".join(f"<th>{head}</th>" for head in used)
    body = "".join("<tr>" + "".join(_cell(head, row[head]) for head in used) + "</tr>" for row in rows)
    return (
        f"<h3>Columns of the clean table, {profile.rows:,} rows</h3><div class='scroll'><table class='columns'>"
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>{left}"
    )


def _cell(head: str, content: str) -> str:
    label = f" data-label='{head}'" if content and head != _HEADS[0] else ""
    return f"<td{label}>{content}</td>"


def _cells(name: str, c: ColumnProfile, rows: int, quality: TableQuality, drift: ColumnDrift | None) -> dict[str, str]:
    missing = f"<br/><span class='soft small'>{c.missing:,} missing</span>" if c.missing else ""
    filled = f"<div class='bar'><i class='full' style='width:{100 * c.completeness:.2f}%'></i></div>"
    unique = "<br/><span class='soft small'>all differ</span>" if c.exact and 1 < c.distinct == rows - c.missing else ""
    kind = f"{c.kind}, personal" if c.hidden else c.kind
    return {
        "column": f"<b><code>{escape(name)}</code></b><br/><span class='soft small'>{kind}</span>",
        "filled": f"{filled}{percent(c.completeness)}{missing}",
        "different": f"{'' if c.exact else 'about '}{c.distinct:,}{unique}" if c.missing < rows else "",
        "range": _range(c),
        "distribution": _distribution(c, rows - c.missing),
        "faults": _faults(name, quality),
        "drift": _drift(drift),
    }


def _range(c: ColumnProfile) -> str:
    if c.kind == "number" and isinstance(c.minimum, float) and isinstance(c.maximum, float):
        middle = f"median {figure(c.quantiles['0.5'])}, mean {figure(c.mean or 0.0)}" if c.quantiles else ""
        tails = f"<br/>98 % in {figure(c.quantiles['0.01'])} to {figure(c.quantiles['0.99'])}" if c.quantiles else ""
        sampled = f"<br/>from {c.sampled:,} rows" if c.sampled else ""
        soft = f"<br/><span class='soft small'>{middle}{tails}{sampled}</span>"
        return f"{figure(c.minimum)} to {figure(c.maximum)}{soft}"
    if isinstance(c.minimum, str) and isinstance(c.maximum, str):
        return f"{c.minimum[:16].replace('T', ' ')}<br/>{c.maximum[:16].replace('T', ' ')}"
    if c.lengths:
        low, high = c.lengths
        return f"<span class='soft small'>{low if low == high else f'{low:,} to {high:,}'} characters</span>"
    return ""


def _distribution(c: ColumnProfile, present: int) -> str:
    if c.histogram is not None and isinstance(c.minimum, float) and isinstance(c.maximum, float):
        return histogram(c.histogram, c.minimum, c.maximum) if c.distinct > 1 else ""
    if not c.top or not present:
        return ""
    lines = [_top_line(str(v), int(n) / present) for v, n in c.top[:_SHOWN]]
    more = f"<span class='soft'>and {c.distinct - _SHOWN:,} more</span>" if c.distinct > _SHOWN else ""
    return f"<div class='top'>{''.join(lines)}{more}</div>"


def _top_line(value: str, share: float) -> str:
    """A value, its share, and a bar of it behind both."""
    return (
        f"<div style='background-size:{100 * share:.2f}% 100%'>"
        f"<span title='{escape(value)}'>{escape(_cut(value))}</span><span class='n'>{percent(share)}</span></div>"
    )


def _faults(name: str, quality: TableQuality) -> str:
    lines = [
        f"<span class='bad' title='{escape(meaning(rule))}'>{n:,} rows {escape(rule)}</span>"
        for rule, n in quality.faults.get(name, {}).items()
    ]
    lines += [
        f"<span class='mid' title='{escape(meaning(rule))}'>{n:,} mended {escape(rule)}</span>"
        for rule, n in quality.mends.get(name, {}).items()
    ]
    return f"<span class='small'>{'<br/>'.join(lines)}</span>" if lines else ""


def _drift(drift: ColumnDrift | None) -> str:
    if drift is None or drift.psi is None:
        return ""
    tag = f" <span class='tag {drift.level}'>{drift.level}</span>" if drift.level else ""
    return f"<span class='n'>{drift.psi:.3f}</span>{tag}"


def _cut(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
