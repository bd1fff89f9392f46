"""`shopgraph tune`: searches the settings of one recommender on validation and writes the winner into the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from shopgraph.settings import load_settings
from shopgraph.settings_edit import as_toml, edit_settings
from shopgraph.stations import current_snapshot, knowing_blocks, saved_vectors
from shopgraph.workspace import Workspace, write_whole

if TYPE_CHECKING:
    from gnn.config import GnnConfig
    from gnn.tuning.result import TuningResult

SHOWN = 12
"""Trials in the table; the CSV file has all."""


def command(
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The recommender to tune, as in ease.")],
    trials: Annotated[int, typer.Option("--trials", help="Trials in all, earlier runs of the search included.")] = 30,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Begin no trial after so many minutes.", show_default=False)
    ] = None,
    settings: SetOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="KEY", help="Search this setting alone; may be given again."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the search; each has a search of its own.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Leave shopgraph.toml as it is.")] = False,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Search better settings of a recommender on validation, and write them into shopgraph.toml.

    Example: shopgraph tune --model ease --trials 30
    """
    from gnn.protocol.recommender import Given
    from gnn.tuning.picture import draw
    from gnn.tuning.study import tune

    place = workspace_at(workspace)
    with place.writing():
        progress = console.progress()
        written_down, chosen = load_settings(place).gnn, load_settings(place, settings).gnn
        snapshot = current_snapshot(place, store, progress)
        vectors = saved_vectors(place, snapshot, chosen)
        given = Given(snapshot, vectors.matrix if vectors is not None else None)
        folder = place.reports / "tuning"
        known = knowing_blocks(chosen, vectors)
        found = tune(given, known, model, trials, minutes, folder, progress, seed, only=tuple(only or ()))
        files = {"csv": folder / f"{model}.csv", "png": folder / f"{model}.png"}
        write_whole(files["csv"], found.to_csv())
        draw(found, files["png"])
        changes = changes_to(written_down, found)
        backup = None
        if changes and not dry_run:
            backup = edit_settings(place.settings_file, {key: new for key, (_, new) in changes.items()})
    if json_output:
        report = found.to_dict() | {"changes": changes, "written": bool(changes) and not dry_run}
        console.emit_json(report | {name: str(file) for name, file in files.items()})
        return
    show(found)
    tell(found, changes)
    where = f"{place.settings_file}" + (f", as it was before in {backup.name}" if backup is not None else "")
    if changes:
        console.say(f"not written (--dry-run): {where}" if dry_run else f"written: {where}")
        _next(place, model, settings or ())
    console.say(f"all trials: {files['csv']}; picture: {files['png']}")


def changes_to(config: GnnConfig, found: TuningResult) -> dict[str, tuple[Any, Any]]:
    """Keys of the settings file that the winner changes: (what it says, or its default; the winner's value)."""
    from gnn.tuning.spaces import current

    before = current(config, found.space)
    return {key: (before[key], new) for key, new in found.best.items() if new != before[key]}


def show(found: TuningResult) -> None:
    """The best trials as a table."""
    keys = [s.key for s in found.space]
    heads = _short(keys)
    rows = []
    for t in found.ranked[:SHOWN]:
        value = f"{t.value:.4f}" if t.value is not None else ""
        mark = " *" if t.settings == found.current else ""
        cells = [_cell(t.points[key], t.settings[key]) for key in keys]
        rows.append((f"{t.number}{mark}", value, *cells, f"{t.seconds:.1f}", t.state))
    columns = ("trial", f"NDCG@{found.k}", *heads, "s", "")
    title = f"\n{found.model}, {found.task}, {found.users:,} validation users; * the settings before"
    console.out.print(console.table(title, columns, rows, right=columns[:-1]))
    rest = len(found.trials) - SHOWN
    if rest > 0:
        console.say(f"and {rest} more")
    failed = [t for t in found.trials if t.reason]
    if failed:
        console.say(f"{len(failed)} trials failed; the last: {failed[-1].reason}")
    for note in found.notes:
        console.say(note)


def tell(found: TuningResult, changes: dict[str, tuple[Any, Any]]) -> None:
    """What changes, what validation gained, and how far that can be believed."""
    if not found.changed:
        console.say(f"the settings as they are were the best of {len(found.trials)} trials")
    for key, (before, after) in changes.items():
        console.say(f"{key}: {as_toml(before)} → {as_toml(after)}")
    if not found.changed:
        return
    if found.current_value is None:
        console.say(f"validation NDCG@{found.k} {found.best_value:.4f}; the settings before could not be fitted")
    else:
        gain = f"validation NDCG@{found.k} {found.current_value:.4f} → {found.best_value:.4f}"
        if found.gain is not None:
            gain += (
                f": {found.gain.mean:+.4f}, 95 % interval over users {found.gain.low:+.4f} to {found.gain.high:+.4f}"
            )
            gain += "" if found.gain.low > 0 else ", which chance alone may give"
        console.say(gain)
    console.say("this was measured on the users by whom the winner was chosen, so expect less of it elsewhere")


def _next(place: Workspace, model: str, overrides: Sequence[str]) -> None:
    if overrides:
        console.say(f"the search ran under --set {' '.join(overrides)}, which is not written")
    console.say(f"next: shopgraph train --model {model}, then shopgraph evaluate ({place.root})")


def _short(keys: Sequence[str]) -> list[str]:
    """Keys without what all have in common, as in `side.view` of `models.ease.side.view`."""
    parts = [key.split(".") for key in keys]
    same = 0
    while all(len(p) > same + 1 and p[same] == parts[0][same] for p in parts):
        same += 1
    return [".".join(p[same:]) for p in parts]


def _cell(point: Any, value: Any) -> str:
    if isinstance(value, list) and len(value) > 1:
        return f"{point:g} of {len(value)}"
    return f"{point:.3g}" if isinstance(point, float) else str(point)
