"""Draws a neighbourhood as one HTML file that needs no network: boxes in columns, a reason's path marked."""

from __future__ import annotations

import html
import textwrap
from collections import defaultdict
from pathlib import Path

import plotly.graph_objects as go

from shopgraph.errors import AppError
from shopgraph.picture.net import Link, Net, Node

COLOURS = {
    "centre": "#f2c894", "recommended": "#b5dbb0", "Product": "#a9cfe8", "User": "#f7e3b5", "Brand": "#d3b8e0",
    "Category": "#e4d3ee", "Entity": "#f0c4cf", "Coupon": "#dddddd",
}  # fmt: skip
NAMES = {"recommended": "recommended", "Product": "product", "User": "shopper", "Brand": "brand",
         "Category": "category", "Entity": "entity", "Coupon": "coupon"}  # fmt: skip
MARKED, PLAIN = "#c0392b", "#c9ced6"
WORDS = {
    "PURCHASED": "bought", "VIEWED": "viewed", "CARTED": "put into the cart", "REVIEWED": "reviewed", "SAW": "saw",
    "CLICKED": "clicked", "WISHED": "wished for", "RETURNED": "returned", "MADE_BY": "made by",
    "IN_CATEGORY": "is in", "CHILD_OF": "is part of", "VARIANT_OF": "is a variant of", "RELATED": "is tied to",
    "APPLIES_TO": "applies to", "SIMILAR": "is similar to", "had": "had",
}  # fmt: skip
"""How people say a relationship."""

_WRAP = 26
_LINE = 15
_GAP = 14
_COLUMN = 240


def draw(net: Net, title: str, subtitle: str, out: Path) -> None:
    """Write the picture to `out`.

    Titles come from the shop's data: they are escaped, so that what looks like markup is shown as it stands.

    Raises:
        AppError: the file cannot be written.
    """
    page = figure(net, title, subtitle).to_html(
        include_plotlyjs=True, full_html=True, config={"displaylogo": False, "scrollZoom": True, "responsive": False}
    )
    head = f"<head><title>{html.escape(title)}</title>"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page.replace("<head>", head, 1), encoding="utf-8")
    except OSError as error:
        raise AppError(f"{out} cannot be written: {error.strerror or error}", "--out", "choose another file") from error


def figure(net: Net, title: str, subtitle: str) -> go.Figure:
    """The picture as a Plotly figure."""
    places, width, height = _places(net)
    drawn = go.Figure()
    for marked in (False, True):  # the marked ones lie above
        links = [link for link in net.links.values() if _is_marked(net, link) == marked]
        _lines(drawn, places, links, net, marked=marked)
    for node, (x, y) in places.items():
        shown = net.nodes[node]
        on_path = node == net.centre or any(node in pair for pair in net.marked)
        hover = [f"{NAMES.get(node[0].lower(), node[0].lower())} {node[1]}", *textwrap.wrap(shown.note, 60)]
        drawn.add_annotation(
            x=x, y=y, text=_lines_of(net, node), showarrow=False, align="center", font={"size": 12, "color": "#1c2430"},
            bgcolor=COLOURS[shown.role], bordercolor=MARKED if on_path and net.marked else "#8b95a3",
            borderwidth=2 if on_path and net.marked else 1, borderpad=4, hovertext=_escaped("\n".join(hover)),
        )  # fmt: skip
    for role in dict.fromkeys(shown.role for shown in net.nodes.values()):
        if role in NAMES:
            marker = {"symbol": "square", "size": 14, "color": COLOURS[role], "line": {"width": 1, "color": "#8b95a3"}}
            drawn.add_scatter(x=[None], y=[None], mode="markers", name=NAMES[role], marker=marker)
    drawn.update_layout(
        title={"text": f"<b>{_escaped(title)}</b><br><sup>{_escaped(subtitle)}</sup>", "x": 0.02, "font": {"size": 20}},
        width=width + 80, height=height + 150, margin={"l": 40, "r": 40, "t": 100, "b": 50},
        plot_bgcolor="white", paper_bgcolor="white", dragmode="pan", hovermode="closest",
        xaxis={"visible": False, "range": [0, width]}, yaxis={"visible": False, "range": [-height, 0]},
        legend={"orientation": "h", "y": -0.01, "yanchor": "top", "x": 0, "font": {"size": 13}},
    )  # fmt: skip
    return drawn


def _lines(
    drawn: go.Figure, places: dict[Node, tuple[float, float]], links: list[Link], net: Net, *, marked: bool
) -> None:
    """Relationships as lines, with a point in the middle of each that says what it is."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    said: list[str] = []
    for link in links:
        (x1, y1), (x2, y2) = places[link.source], places[link.target]
        bow = 0.45 * _COLUMN if x1 == x2 else 0  # of one column: the line runs beside what stands between them
        xs += [x1, (x1 + x2) / 2 + bow, x2, None]
        ys += [y1, (y1 + y2) / 2, y2, None]
        times = f" {link.times} times" if link.times > 1 else ""
        said.append(_escaped(f"{net.titles[link.source]} {WORDS[link.type]} {net.titles[link.target]}{times}"))
    if not links:
        return
    colour, width, name = (
        (MARKED, 3, "the reason's path")
        if marked
        else (PLAIN, 1.2, "other relationships" if net.marked else "relationships")
    )
    drawn.add_scatter(x=xs, y=ys, mode="lines", line={"color": colour, "width": width}, name=name, hoverinfo="skip")
    for link, x, y in zip(links, xs[1::4], ys[1::4], strict=True):
        drawn.add_annotation(
            x=x, y=y, text=_short(link), showarrow=False, bgcolor="white", borderpad=1,
            font={"size": 10, "color": colour if marked else "#6b7684"},
        )  # fmt: skip
    drawn.add_scatter(
        x=xs[1::4], y=ys[1::4], mode="markers", text=said, hoverinfo="text", showlegend=False,
        marker={"size": 7, "color": colour},
    )  # fmt: skip


def _short(link: Link) -> str:
    times = f" {link.times}×" if link.times > 1 else ""  # noqa: RUF001 - the sign is meant
    return WORDS[link.type].removeprefix("is ").removeprefix("a ") + times


def _places(net: Net) -> tuple[dict[Node, tuple[float, float]], float, float]:
    """Pixels of each box's middle, and width and height of all: columns from left to right, each near what it joins."""
    columns: dict[int, list[Node]] = defaultdict(list)
    for node, shown in net.nodes.items():
        columns[shown.column].append(node)
    order = sorted(columns)
    rank = _ranks(net, columns, order)
    tall = {c: sum(_height(net, n) + _GAP for n in columns[c]) for c in order}
    height = max(tall.values())
    places: dict[Node, tuple[float, float]] = {}
    for place, column in enumerate(order):
        spare = (height - tall[column]) / (len(columns[column]) + 1)
        y = 0.0
        for node in sorted(columns[column], key=lambda n: rank[n]):
            size = _height(net, node)
            y += spare + _GAP / 2
            places[node] = (_COLUMN * (place + 0.5), -(y + size / 2))
            y += size + _GAP / 2
    return places, float(_COLUMN * len(order)), float(height)


def _ranks(net: Net, columns: dict[int, list[Node]], order: list[int]) -> dict[Node, float]:
    """Where each node stands in its column, from 0 to 1: at the mean of its neighbours, kinds together."""
    near: dict[Node, list[Node]] = defaultdict(list)
    for source, target, _ in net.links:
        near[source].append(target)
        near[target].append(source)
    rank = {n: (at + 0.5) / len(columns[c]) for c in order for at, n in enumerate(columns[c])}
    for sweep in (order, order[::-1]) * 4:
        for column in sweep:
            if column == max(order) and "recommended" in {net.nodes[n].role for n in columns[column]}:
                continue  # the list keeps its order
            want = {n: sum(rank[m] for m in near[n]) / len(near[n]) if near[n] else rank[n] for n in columns[column]}
            for at, node in enumerate(sorted(columns[column], key=lambda n: want[n])):
                rank[node] = (at + 0.5) / len(columns[column])
    return rank


def _is_marked(net: Net, link: Link) -> bool:
    return frozenset((link.source, link.target)) in net.marked


def _wrapped(net: Net, node: Node) -> list[str]:
    name, rank = net.titles[node], net.nodes[node].rank
    if node[0] in ("User", "Coupon"):
        name = f"{NAMES[node[0]]} {name}"
    elif sum(other == name for other in net.titles.values()) > 1:
        name = f"{name} ({node[1]})"  # two of one title
    lines = textwrap.wrap(f"{rank}. {name}" if rank else name, _WRAP) or [name]
    return [*lines[:2], lines[2][: _WRAP - 1] + "…"] if len(lines) > 3 else lines


def _height(net: Net, node: Node) -> float:
    return _LINE * len(_wrapped(net, node)) + 10


def _lines_of(net: Net, node: Node) -> str:
    return "<br>".join(_escaped(line) for line in _wrapped(net, node))


def _escaped(text: str) -> str:
    """Text of the shop as Plotly shows it letter by letter; a line break stays one."""
    return html.escape(text, quote=False).replace("\n", "<br>")
