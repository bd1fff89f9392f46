"""Small charts as inline SVG: histograms, lines over time, and the flow of rows. Colours come from the page's CSS.

Labels of what a chart shows stand in the page; a chart's own words are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ingest.monitor.profile import Histogram

_THICK = 100.0
_TOP = 22.0
_RIGHT = 220


def figure(value: float) -> str:
    """A number for people: whole with separators from a thousand on, else four significant digits."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def percent(share: float) -> str:
    """A share as a percentage that is 0 or 100 only where it is so exactly."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return f"{min(max(100 * share, 0.01), 99.99):.2f} %"


def histogram(chart: Histogram, low: float, high: float) -> str:
    """Bars per bin; the open bins at both ends are lighter."""
    width, height = 160, 40
    bins = len(chart.counts)
    step, tallest = width / bins, max(chart.counts) or 1
    edges = [low, *chart.edges, high]
    parts = []
    for i, n in enumerate(chart.counts):
        tall = max(height * n / tallest, 1.0) if n else 0.0
        tail = " class='tail'" if bins > 21 and i in (0, bins - 1) else ""  # not where each value has a bin
        above, upto = figure(edges[i]), figure(edges[i + 1])
        words = upto if above == upto or not i else f"{above} to {upto}"
        parts.append(
            f"<rect{tail} x='{i * step:.2f}' y='{height - tall:.2f}' width='{max(step - 1, 0.5):.2f}' "
            f"height='{tall:.2f}'><title>{escape(words)}: {n:,} rows</title></rect>"
        )
    return (
        f"<svg class='hist' viewBox='0 0 {width} {height}' width='{width}' height='{height}' role='img' "
        f"aria-label='histogram'>{''.join(parts)}</svg>"
    )


def line(values: Sequence[int], label: str) -> str:
    """An area over time that fills the width it is given; the labels of its axes stand in the page."""
    width, height = 600, 100
    tallest = max(values, default=0) or 1
    step = width / max(len(values) - 1, 1)
    points = [(i * step, height - (height - 4) * v / tallest) for i, v in enumerate(values)]
    if len(points) == 1:
        points.append((width, points[0][1]))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f"<svg class='line' viewBox='0 0 {width} {height}' preserveAspectRatio='none' role='img' "
        f"aria-label='{escape(label)}'><polygon points='0,{height} {path} {width},{height}'/>"
        f"<polyline points='{path}'/></svg>"
    )


@dataclass(frozen=True)
class Stream:
    """Rows that flow into one end.

    Attributes:
        name: what becomes of them.
        rows: how many.
        kind: CSS class: `loaded`, `merged`, `quarantined`.
    """

    name: str
    rows: int
    kind: str


def flow(rows_in: int, created: int, streams: Sequence[Stream]) -> str:
    """Rows from the source on the left to what became of them on the right, bands as wide as their share.

    Args:
        rows_in: rows of the source, the sum of `streams`.
        created: rows of the clean table that others name; they join the first stream.
        streams: the ends, the clean table first.
    """
    total = rows_in + created
    sizes = [max(_THICK * s.rows / total, 1.5) for s in streams]
    joined = max(_THICK * created / total, 1.5) if created else 0.0
    below = _TOP + sum(sizes) + 30  # where the rows that others name begin
    parts = [_end(0, _TOP, sum(sizes), "source"), _words(0, _TOP - 7, f"{rows_in:,} rows in")]
    if created:
        parts += [_end(0, below, joined, "source"), _words(0, below - 7, f"{created:,} named by others")]
    y_left = y_right = _TOP
    for i, (stream, size) in enumerate(zip(streams, sizes, strict=True)):
        named = created if i == 0 else 0
        tall = size + (joined if named else 0.0)
        parts.append(_band(y_left, y_right, size, stream.kind))
        if named:
            parts.append(_band(below, y_right + size, joined, "created"))
        share = "" if named or not rows_in else f" ({percent(stream.rows / rows_in)})"
        parts.append(_end(_RIGHT, y_right, tall, stream.kind))
        words = f"{stream.name}: {stream.rows + named:,}{share}"
        parts.append(_words(_RIGHT + 16, y_right + max(tall, 10.0) / 2 + 4, words))
        y_left += size
        y_right += max(tall, 10.0) + 12
    deepest = max(y_right, y_left, below + joined if created else 0.0) + 6
    return (
        f"<div class='scroll'><svg class='flow' viewBox='0 0 540 {deepest:.0f}' role='img' "
        f"aria-label='what became of the rows'>{''.join(parts)}</svg></div>"
    )


def _end(x: float, y: float, tall: float, kind: str) -> str:
    return f"<rect class='{kind}' x='{x:.0f}' y='{y:.1f}' width='8' height='{tall:.1f}'/>"


def _words(x: float, y: float, words: str) -> str:
    return f"<text x='{x:.0f}' y='{y:.1f}'>{escape(words)}</text>"


def _band(y1: float, y2: float, size: float, kind: str) -> str:
    """A band from the source at height `y1` to an end at height `y2`."""
    left, middle = 8, (8 + _RIGHT) / 2
    return (
        f"<path class='band {kind}' d='M{left},{y1:.1f} "
        f"C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {_RIGHT},{y2:.1f} "
        f"V{y2 + size:.1f} C{middle:.1f},{y2 + size:.1f} {middle:.1f},{y1 + size:.1f} {left},{y1 + size:.1f} Z'/>"
    )
