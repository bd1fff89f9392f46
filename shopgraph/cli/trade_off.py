"""`shopgraph trade-off`: what a rule of re-ranking costs in accuracy and what it brings, as a table and a curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shopgraph.cli import console
from shopgraph.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    StoreOption,
    VerboseOption,
    WorkspaceOption,
    workspace_at,
)
from shopgraph.errors import AppError
from shopgraph.settings import load_settings
from shopgraph.stations import current_snapshot, saved_vectors, trained_with

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")
BLUE, GREY = "#1f5fa8", "#666666"


@dataclass(frozen=True)
class Panel:
    """One curve of the picture.

    Attributes:
        rule: the rule whose strength grows along it.
        figure: what it brings, a key of the points.
        title: what the panel shows.
        axis: what the horizontal axis counts.
        percent: whether that is a share.
        falls: whether less of it is better; then the axis runs from right to left.
    """

    rule: str
    figure: str
    title: str
    axis: str
    percent: bool = True
    falls: bool = False


PANELS = (
    Panel("mmr", "diversity", "mmr: varied lists", "diversity: pairs of a list's products that are {unlike}"),
    Panel(
        "calibration",
        "divergence",
        "calibration: the shopper's own mix of categories",
        "distance of the list's mix from the history's: KL divergence in nats",
        percent=False,
        falls=True,
    ),
    Panel(
        "exposure", "coverage", "exposure_cap: more products get a chance", "coverage: products that stand in any list"
    ),
    Panel(
        "exposure",
        "gini",
        "exposure_cap: places shared more evenly",
        "Gini index of the products' numbers of places: 0 would be even",
        percent=False,
        falls=True,
    ),
)
UNLIKE = {"category": "of different categories", "brand": "of different brands", "vectors": "far apart (1 - cosine)"}


def command(
    rule: Annotated[
        Literal["mmr", "calibration", "exposure"] | None,
        typer.Option("--rule", help="The rule to try at growing strength; default: each of them."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Picture of the curve: .png, .svg or .pdf.")] = None,
    k: Annotated[int, typer.Option("--k", help="Length of a list; 0: the largest cut-off of evaluation.")] = 0,
    repeats: Annotated[
        Literal["exclude", "include"], typer.Option("--repeats", help="New products, or the next purchase.")
    ] = "exclude",
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Show what re-ranking costs in NDCG and what it brings, on the validation users.

    Example: shopgraph trade-off --rule mmr --out trade-off.png
    """
    if out is not None and out.suffix.lower() not in FORMATS:
        raise AppError(f"{out.name} is no picture", "--out", f"end its name with {', '.join(FORMATS)}")
    from gnn.evaluation.trade_off import SETTING, trade_off
    from gnn.protocol.tasks import NEW, NEXT

    place, progress = workspace_at(workspace), console.progress()
    config = load_settings(place).gnn.rerank
    snapshot = current_snapshot(place, store, progress)
    vectors = saved_vectors(place, snapshot, trained_with(place))
    report = trade_off(
        place.model("eval"),
        snapshot,
        vectors.matrix if vectors is not None else None,
        config,
        progress,
        tuple(SETTING) if rule is None else (rule,),
        NEXT if repeats == "include" else NEW,
        k,
    )
    report["settings"] = {name: getattr(config, SETTING[name]) for name in report["rules"]}
    if out is not None:
        draw(report, out)
    if json_output:
        console.emit_json(report | ({"out": str(out)} if out is not None else {}))
    else:
        show(report)
        if out is not None:
            console.say(f"the curve is in {out}")


def show(report: dict[str, Any]) -> None:
    """A table per rule, and one of what all cost together."""
    header = ("strength", f"NDCG@{report['k']}", "change", "95 % interval", "diversity", "KL", "coverage", "Gini")
    for rule, points in report["rules"].items():
        rows = []
        for p in points:
            change = p["change"]
            interval = f"{change['low']:+.2%} to {change['high']:+.2%}" if p["strength"] else ""
            figures = [f"{p[name]:.4f}" for name in ("diversity", "divergence", "coverage", "gini")]
            strength = f"{p['strength']:g}" + (" *" if p["strength"] == report["settings"][rule] else "")
            rows.append((strength, f"{p['ndcg']:.4f}", f"{change['mean']:+.2%}", interval, *figures))
        console.out.print(console.table(f"\n{rule}, {report['task']}, valid", header, rows, right=header))
    _show_together(report["together"], report["k"])
    console.say(f"\n{report['users']:,} users, {report['candidates']:,} candidates; * what the settings say; 0 is off")


def _show_together(kinds: Sequence[dict[str, Any]], k: int) -> None:
    rows = []
    for kind in kinds:
        row = [str(kind["name"])]
        for way in ("by_product", "by_group"):
            change = kind[way]["change"]
            row += [f"{kind[way]['ndcg']:.4f}", f"{change['mean']:+.2%} [{change['low']:+.2%}, {change['high']:+.2%}]"]
        rows.append(tuple(row))
    header = ("lists", f"NDCG@{k} by product", "change", "by variant group", "change ")
    console.out.print(console.table("\nall rules together", header, rows, right=header[1:]))


def draw(report: dict[str, Any], out: Path) -> None:
    """The curves into a picture.

    Raises:
        AppError: it cannot be written.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    panels = [panel for panel in PANELS if panel.rule in report["rules"]]
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(7.2 * across, 4.6 * down), layout="constrained")
    for axes, panel in zip(figure.subplots(down, across, squeeze=False).flat, panels, strict=False):
        _draw_panel(axes, panel, report)
    task = "products never bought before" if report["task"] == "new-product" else "the next purchases"
    figure.suptitle(
        f"What each rule costs and brings: lists of {report['k']}, {task}, {report['users']:,} validation users\n"
        "right: more of what the rule is for; numbers: its strength; ring: the setting; band: 95 % interval",
        fontsize=11,
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=130)
    except OSError as error:
        raise AppError(f"{out} cannot be written: {error.strerror or error}", "--out", "choose another file") from error


def _draw_panel(axes: Axes, panel: Panel, report: dict[str, Any]) -> None:
    points = report["rules"][panel.rule]
    scale = 100 if panel.percent else 1
    x = [p[panel.figure] * scale for p in points]
    y = [p["change"]["mean"] * 100 for p in points]
    low, high = ([p["change"][end] * 100 for p in points] for end in ("low", "high"))
    axes.fill_between(x, low, high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(x, y, color=BLUE, marker="o", markersize=5)
    for at, point in enumerate(points):
        if point["strength"] == report["settings"][panel.rule]:
            axes.plot(x[at], y[at], "o", markersize=13, markerfacecolor="none", markeredgecolor=BLUE)
    _label(axes, x, y, [_name(panel.rule, p["strength"]) for p in points])
    axes.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_title(panel.title, fontsize=11, loc="left")
    axes.set_xlabel(panel.axis.format(unlike=UNLIKE[report["similarity"]]) + (" (%)" if panel.percent else ""))
    axes.set_ylabel(f"change of NDCG@{report['k']} (%)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.08, y=0.12)
    if panel.falls:
        axes.invert_xaxis()


def _name(rule: str, strength: float) -> str:
    if not strength:
        return "off"
    return f"{strength:.0%}" if rule == "exposure" else f"{strength:g}"


def _label(axes: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str]) -> None:
    """Names beside the points; one that would lie on the last one written is left out."""
    wide, high = (max(v) - min(v) or 1.0 for v in (x, y))
    last: tuple[float, float] | None = None
    for at, name in enumerate(names):
        place = (x[at] / wide, y[at] / high)
        if last is None or abs(place[0] - last[0]) > 0.05 or abs(place[1] - last[1]) > 0.06:
            axes.annotate(name, (x[at], y[at]), xytext=(6, 6), textcoords="offset points", fontsize=9, color=GREY)
            last = place
