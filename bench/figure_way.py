"""The README's picture of the way from tables to recommendations.

python -m bench.figure_way [--out docs/images/way.png]
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

STATIONS = (
    ("tables", "CSV, Parquet, JSONL\nor a known data set", "ingest"),
    ("clean tables", "each row loaded, merged\nor quarantined", "ingest"),
    ("graph", "Neo4j, or embedded:\nthe source of truth", "kg"),
    ("snapshot", "memory-mapped arrays\nwith a fingerprint", "kg"),
    ("text vectors", "a transformer reads\ntitle, brand, category", "encoders"),
    ("model bundle", "PyG network + EASE\n+ item-kNN, fused", "gnn"),
    ("recommendations", "with a reason along\na path of the graph", "gnn"),
)
ROOMS = {"ingest": "#f2c894", "kg": "#a9cfe8", "encoders": "#d3b8e0", "gnn": "#b5dbb0"}


def box(axes: Axes, x: float, y: float, texts: tuple[str, str], colour: str) -> None:
    """One station: a rounded box with its name and a remark."""
    axes.add_patch(
        FancyBboxPatch((x, y), 1.9, 1.0, boxstyle="round,pad=0.02,rounding_size=0.12", fc=colour, ec="#444", lw=1.1)
    )
    axes.text(x + 0.95, y + 0.72, texts[0], ha="center", va="center", fontsize=11.5, weight="bold")
    axes.text(x + 0.95, y + 0.32, texts[1], ha="center", va="center", fontsize=8.6, color="#222")


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], bend: float = 0.0) -> None:
    """An arrow between two stations."""
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=14, lw=1.3, color="#444",
            connectionstyle=f"arc3,rad={bend}", shrinkA=2, shrinkB=2,
        )
    )  # fmt: skip


def draw(out: Path) -> None:
    """Draw the stations in two rows: data above, learning below."""
    figure, axes = plt.subplots(figsize=(11.2, 3.9), dpi=160)
    places = [(0.1, 2.3), (2.6, 2.3), (5.1, 2.3), (7.6, 2.3), (7.6, 0.5), (5.1, 0.5), (2.6, 0.5)]
    for (name, remark, room), (x, y) in zip(STATIONS, places, strict=True):
        box(axes, x, y, (name, remark), ROOMS[room])
    for (x, y), (x2, y2) in pairwise(places[:4]):
        arrow(axes, (x + 1.9, y + 0.5), (x2, y2 + 0.5))
    arrow(axes, (8.55, 2.3), (8.55, 1.5))
    arrow(axes, (7.6, 1.0), (7.0, 1.0))
    arrow(axes, (7.6, 2.42), (6.6, 1.5), 0.05)
    arrow(axes, (5.1, 1.0), (4.5, 1.0))
    box(axes, 0.1, 0.5, ("people", "Cypher, commands,\nnotebooks"), "#eeeeee")
    arrow(axes, (2.6, 1.0), (2.0, 1.0))
    arrow(axes, (5.4, 2.3), (2.0, 1.4), -0.05)
    for index, (room, colour) in enumerate(ROOMS.items()):
        axes.add_patch(FancyBboxPatch((0.15 + index * 1.3, 3.62), 0.18, 0.16, boxstyle="round,pad=0.01", fc=colour))
        axes.text(0.42 + index * 1.3, 3.70, f"{room}/", va="center", fontsize=9.5, family="monospace")
    axes.set_xlim(0, 9.65)
    axes.set_ylim(0.3, 3.95)
    axes.axis("off")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, bbox_inches="tight", facecolor="white")
    plt.close(figure)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images/way.png"))
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
