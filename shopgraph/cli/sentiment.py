"""`shopgraph sentiment`: what reviews say in words, as a number on REVIEWED."""

from __future__ import annotations

from typing import Any

from shopgraph.cli import console
from shopgraph.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    SetOption,
    StoreOption,
    VerboseOption,
    WorkspaceOption,
    workspace_at,
)
from shopgraph.sentiment import write_sentiment
from shopgraph.settings import load_settings


def command(
    settings: SetOption = None,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Write the sentiment of every review with a text onto REVIEWED, from -1 to 1; ratings teach it.

    Example: shopgraph sentiment
    """
    place = workspace_at(workspace)
    with place.writing():
        report = write_sentiment(place, store, load_settings(place, settings), console.progress())
    if json_output:
        console.emit_json(report)
    else:
        show(report)


def show(report: dict[str, Any]) -> None:
    """What was written, and how right it is on ratings that no head had seen."""
    rows = [
        (name, f"{one['accuracy']:.3f}", "" if one["auc"] is None else f"{one['auc']:.3f}", f"{one['mae']:.3f}")
        for name, one in report["quality"].items()
    ]
    title = f"{report['rated']:,} texts with a rating, each judged by heads that had not seen it"
    columns = ("by", "accuracy", "AUC", "mean error")
    console.out.print(console.table(title, columns, rows, right=columns[1:]))
    console.say("accuracy: the very rating; AUC: good from bad; mean error: in steps of the rating. Written is `both`")
    without = f", {report['without_text']:,} have no text and no sentiment" if report["without_text"] else ""
    console.say(f"{report['with_text']:,} reviews have a sentiment, mean {report['mean']:.2f}{without}")
    changed = f"{report['written']:,} written" if report["written"] else "all as it was"
    console.say(f"{changed}: {report['store']}")
