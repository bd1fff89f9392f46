"""The README's picture of the evaluation: every recommender with its interval, both tasks.

python -m bench.figure_comparison --report shopgraph-workspace/reports/evaluation.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from gnn.evaluation.report import TITLES

OURS = {"fused": "#2f7d32", "network": "#7cb87f"}
OTHER = "#9aa7b1"


def panel(axes: Axes, task: str, figures: dict[str, Any], metric: str) -> None:
    """One task: a dot per recommender with its bootstrap interval, best on top."""
    rows = sorted(
        ((name, figures["recommenders"][name]["metrics"][metric]) for name in figures["recommenders"]),
        key=lambda row: row[1]["mean"],
    )
    for height, (name, found) in enumerate(rows):
        colour = OURS.get(name, OTHER)
        axes.plot([found["low"], found["high"]], [height, height], color=colour, lw=3, solid_capstyle="round")
        axes.plot(found["mean"], height, "o", color=colour, ms=7)
        axes.annotate(f"{found['mean']:.4f}", (found["high"], height), xytext=(6, -3.5), textcoords="offset points",
                      fontsize=8.5)  # fmt: skip
    axes.set_yticks(range(len(rows)), [TITLES.get(name, name) for name, _ in rows])
    axes.set_title(f"{task}: {metric} of {figures['users']:,} users", fontsize=10.5, loc="left")
    axes.set_xlim(0, 1.18 * max(found["high"] for _, found in rows))
    axes.margins(y=0.12)
    axes.grid(axis="x", alpha=0.3)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def draw(report: dict[str, Any], out: Path, metric: str) -> None:
    """Draw a panel per task."""
    tasks = report["tasks"]
    figure, axes = plt.subplots(1, len(tasks), figsize=(5.4 * len(tasks), 3.0), dpi=160, squeeze=False)
    for index, (task, figures) in enumerate(tasks.items()):
        panel(axes[0][index], task, figures, metric)
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, facecolor="white")
    plt.close(figure)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=Path("shopgraph-workspace/reports/evaluation.json"))
    parser.add_argument("--metric", default="ndcg@20")
    parser.add_argument("--out", type=Path, default=Path("docs/images/comparison.png"))
    args = parser.parse_args()
    draw(json.loads(args.report.read_text()), args.out, args.metric)


if __name__ == "__main__":
    main()
