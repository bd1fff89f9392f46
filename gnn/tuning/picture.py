"""The picture of a search: how the best value grew, and validation quality against every setting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnn.errors import GnnError
from gnn.tuning.result import TrialRow, TuningResult
from gnn.tuning.spaces import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

BLUE, GREY, ORANGE = "#1f5fa8", "#8a8a8a", "#d2691e"
ACROSS = 4
"""Panels of settings side by side."""


def draw(result: TuningResult, path: Path) -> None:
    """Write the picture of a search.

    Raises:
        GnnError: the file cannot be written.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    space = sorted(result.space, key=lambda s: -result.importance.get(s.key, 0.0))
    across = min(ACROSS, len(space))
    down = -(-len(space) // across)
    figure = Figure(figsize=(14, 4.4 + 3.0 * down), layout="constrained")
    grid = figure.add_gridspec(1 + down, across, height_ratios=[1.35, *[1.0] * down])
    low, high = _limits(result)
    _draw_progress(figure.add_subplot(grid[0, :]), result, low, high)
    for n, setting in enumerate(space):
        axes = figure.add_subplot(grid[1 + n // across, n % across])
        _draw_setting(axes, result, setting, low, high)
        axes.set_ylabel(f"NDCG@{result.k}" if n % across == 0 else "")
    asked = "new products" if result.task == "new-product" else "the next purchases"
    keys = "dashed: the settings before; ring: the winner"
    if result.importance:
        keys += "; importance: what sets the best quarter of the trials apart (PED-ANOVA)"
    figure.suptitle(
        f"Tuning {result.model}: NDCG@{result.k} of {asked}, {result.users:,} validation users, "
        f"{len(result.trials)} trials\n{keys}",
        fontsize=12,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise GnnError(
            f"the picture cannot be written: {error.strerror}", str(path), "change its permissions"
        ) from error


def _limits(result: TuningResult) -> tuple[float, float]:
    """Vertical range: hopeless trials, far below the middle half, do not press the others together."""
    values = np.asarray([t.value for t in result.trials if t.value is not None])
    high = float(values.max())
    quarter = float(np.quantile(values, 0.25))
    shown = values[values >= quarter - 1.5 * (high - quarter)]
    low = float(min(shown.min(), result.current_value if result.current_value is not None else high))
    margin = 0.08 * (high - low) or 0.02 * (abs(high) or 1.0)
    return low - margin, high + margin


def _draw_progress(axes: Axes, result: TuningResult, low: float, high: float) -> None:
    from matplotlib.ticker import MaxNLocator

    done = [t for t in result.trials if t.state == "done" and t.value is not None]
    best = np.maximum.accumulate(np.asarray([t.value for t in done], dtype=np.float64))
    numbers = [t.number for t in done]
    if result.current_value is not None:
        label = f"settings before: {result.current_value:.4f}"
        axes.axhline(result.current_value, color=ORANGE, linestyle="--", linewidth=1.2, label=label)
    label = f"best so far: {result.best_value:.4f} in the end"
    axes.step(
        [*numbers, len(result.trials) + 0.4], [*best, best[-1]], where="post", color=BLUE, linewidth=2, label=label
    )
    _points(axes, result.trials, [t.number for t in result.trials], low)
    failed = sum(t.state == "failed" for t in result.trials)
    note = f" ({failed} that could not be fitted left out)" if failed else ""
    axes.set_title(f"How the search went{note}", loc="left", fontsize=11)
    axes.set_xlabel("trial")
    axes.set_ylabel(f"validation NDCG@{result.k}")
    axes.set_xlim(0.4, len(result.trials) + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(low, high)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=5, fontsize=9, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_setting(axes: Axes, result: TuningResult, setting: Setting, low: float, high: float) -> None:
    x = np.asarray([_place(setting, t.points[setting.key], t.number) for t in result.trials])
    for t, at in zip(result.trials, x, strict=True):
        if t.settings == result.current:
            axes.axvline(_place(setting, t.points[setting.key]), color=ORANGE, linestyle="--", linewidth=1.2)
        if t.settings == result.best:
            axes.plot(at, result.best_value, "o", markersize=12, markerfacecolor="none", markeredgecolor=BLUE)
    _points(axes, result.trials, x, low)
    _scale(axes, setting, x)
    share = result.importance.get(setting.key)
    title = setting.key if share is None else f"{setting.key}  (importance {share:.0%})"
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_ylim(low, high)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _place(setting: Setting, point: Any, number: int = 0) -> float:
    """Horizontal place; those of a choice are spread by the trial's number, so that they do not hide each other."""
    if setting.kind == "choice":
        return setting.choices.index(point) + (0.06 * ((3 * number) % 5 - 2) if number else 0.0)
    return float(point)


def _scale(axes: Axes, setting: Setting, x: NDArray[np.float64]) -> None:
    """Ticks that a person can read: names, whole numbers, or plain numbers on a logarithmic scale."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if setting.kind == "choice":
        axes.set_xticks(range(len(setting.choices)), [str(c) for c in setting.choices])
        axes.set_xlim(-0.5, len(setting.choices) - 0.5)
    elif setting.log:
        axes.set_xscale("log")
        decades = np.log10(x.max() / x.min())
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("logarithmic scale", fontsize=8, color=GREY)
    elif setting.kind == "whole":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _points(axes: Axes, rows: Sequence[TrialRow], places: Sequence[float] | NDArray[np.float64], low: float) -> None:
    """Done trials as dots, pruned ones as crosses, those below the picture as triangles at its lower edge."""
    x = np.asarray(places, dtype=np.float64)
    y = np.asarray([np.nan if t.value is None else t.value for t in rows])
    done = np.asarray([t.state == "done" for t in rows], dtype=bool)
    pruned = np.asarray([t.state == "pruned" for t in rows], dtype=bool)
    inside = y >= low
    axes.plot(x[done & inside], y[done & inside], "o", color=BLUE, markersize=5, alpha=0.75, label="trial")
    if (pruned & inside).any():
        axes.plot(x[pruned & inside], y[pruned & inside], "x", color=GREY, markersize=6, label="stopped early")
    beyond = (y < low) & (done | pruned)
    if beyond.any():
        edge = np.full(int(beyond.sum()), low)
        axes.plot(x[beyond], edge, "v", color=GREY, markersize=6, clip_on=False, label="below the picture")
