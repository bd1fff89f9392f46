"""`shopgraph recommend`: products for one user with reasons, or lists for many into a file."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ingest.contract import LEVEL_SEPARATOR
from kg.snapshot import Snapshot
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
from shopgraph.id_files import read_frame, read_ids
from shopgraph.lists_file import write_lists
from shopgraph.products import Cards
from shopgraph.serving import load_model
from shopgraph.stations import current_snapshot

if TYPE_CHECKING:
    import pandas as pd

    from gnn.serving.recommend import Recommendations, Repeats


def command(
    user: Annotated[str | None, typer.Option("--user", help="One user: prints the list with a reason each.")] = None,
    users: Annotated[
        str | None, typer.Option("--users", help="all, or a file of user ids: writes the lists to --out.")
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option("--events", help="Parquet or CSV table of new events (product_id; user_id, event, time if any)."),
    ] = None,
    k: Annotated[int, typer.Option("--k", help="Length of a list.")] = 10,
    out: Annotated[Path | None, typer.Option("--out", help="Parquet or CSV file for the lists of --users.")] = None,
    repeats: Annotated[
        Literal["exclude", "include"], typer.Option("--repeats", help="Whether the list may hold what the user had.")
    ] = "exclude",
    candidates: Annotated[str, typer.Option("--candidates", help="all, cold, or a file of product ids.")] = "all",
    no_rerank: Annotated[
        bool, typer.Option("--no-rerank", help="Keep the model's own order: the settings' rules are left aside.")
    ] = False,
    at: Annotated[
        datetime | None, typer.Option("--at", help="Time at which the products must be available; default now.")
    ] = None,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Recommend products.

    Example: shopgraph recommend --user 1 --k 5

    With --events the lists are for those who did these events: new users by them alone, users of the graph by what it
    knows and them. Nothing is trained again.
    """
    if sum(given is not None for given in (user, users, events)) != 1:
        raise typer.BadParameter("name one of --user ID, --users all|FILE and --events FILE")
    if users is not None and out is None:
        raise typer.BadParameter("--users writes a file: name it with --out")
    place = workspace_at(workspace)
    chosen = candidates if candidates in ("all", "cold") else read_ids(Path(candidates), "product_id", "--candidates")
    wanted = _asked(users) if user is None else [user]
    snapshot = current_snapshot(place, store, console.progress())
    model = replace(load_model(place, snapshot), at=at)
    if no_rerank:
        model = in_its_own_order(model)
    if events is not None:
        for_events(model, snapshot, events, k, repeats, chosen, out, json_output=json_output)
        return
    if out is None:
        rows = one_user(model, snapshot, str(user), k, repeats, chosen)
        if json_output:
            console.emit_json(rows)
        else:
            show(str(user), rows)
        return
    _, unknown = model.user_rows(wanted)
    written = write_lists(model.stream(wanted, k, repeats, chosen), out)
    if json_output:
        console.emit_json({"out": str(out), "rows": written, "unknown_users": len(unknown)})
    else:
        console.say(f"{written:,} rows in {out}" + (f"; {len(unknown):,} unknown users skipped" if unknown else ""))


def for_events(
    model: Recommendations,
    snapshot: Snapshot,
    events: Path,
    k: int,
    repeats: Repeats,
    candidates: str | list[str],
    out: Path | None,
    *,
    json_output: bool,
) -> None:
    """Lists for those who did `events`, into `out` or shown, without training anything again."""
    from gnn.serving.visitors import visitors_of

    visitors = visitors_of(read_frame(events, "--events"), model)
    for reason, count in visitors.skipped.items():
        console.say(f"{count:,} events skipped: {reason}")
    frames = model.stream_for(visitors.ids, visitors.history, k, repeats, candidates)
    if out is not None:
        written = write_lists(frames, out)
        if json_output:
            console.emit_json({"out": str(out), "rows": written, "skipped": dict(visitors.skipped)})
        else:
            console.say(f"{written:,} rows in {out}")
        return
    rows = [row for frame in frames for row in _named(frame, snapshot)]
    if json_output:
        console.emit_json(rows)
        return
    for name in visitors.ids:
        show(name, [row for row in rows if row["user_id"] == name])


def _named(lists: pd.DataFrame, snapshot: Snapshot) -> list[dict[str, Any]]:
    """The rows of lists with the names of the products."""
    cards = Cards(snapshot).of(lists["product_id"].tolist())
    named = lists.assign(**{word: [getattr(card, word) for card in cards] for word in ("title", "brand", "category")})
    return [{str(key): value for key, value in row.items()} for row in named.to_dict("records")]


def in_its_own_order(model: Recommendations) -> Recommendations:
    """The model without rules of re-ranking."""
    from gnn.rerank.rules import RAW

    return replace(model, rerank=RAW)


def _asked(users: str | None) -> list[str] | None:
    """The users of --users; None means all.

    Raises:
        AppError: a file that cannot be read or names nobody.
    """
    if users is None or users == "all":
        return None
    ids = read_ids(Path(users), "user_id", "--users")
    if not ids:
        raise AppError("the file holds no user id", users, "put one id a line")
    return ids


def one_user(
    model: Recommendations, snapshot: Snapshot, user: str, k: int, repeats: Repeats, candidates: str | list[str]
) -> list[dict[str, Any]]:
    """The user's list with names and reasons, best first."""
    from gnn.serving.explain import Explainer

    lists = model.recommend([user], k, repeats, candidates)
    products = lists["product_id"].tolist()
    if not products:
        return []
    why = Explainer(model).explain_all(user, products)
    rows = []
    for at, (card, reason) in enumerate(zip(Cards(snapshot).of(products), why, strict=True)):
        rows.append(
            {
                "user_id": user,
                "rank": at + 1,
                "product_id": products[at],
                "score": float(lists["score"].iloc[at]),
                "title": card.title,
                "brand": card.brand,
                "category": card.category,
                "reason_kind": reason.reason_kind,
                "reason": reason.reason,
                "evidence": reason.evidence,
            }
        )
    return rows


def show(user: str, rows: list[dict[str, Any]]) -> None:
    """The list for a person."""
    if not rows:
        console.say(f"no product is left to recommend to {user}")
        return
    because = ("because",) if "reason" in rows[0] else ()
    columns = ("#", "product", "brand", "category", *because, "id")
    lines = [
        (
            *(r["rank"], r["title"], r["brand"], r["category"].rpartition(LEVEL_SEPARATOR)[2]),
            *(r["reason"] for _ in because),
            r["product_id"],
        )
        for r in rows
    ]
    console.out.print(console.table(f"For user {user}", columns, lines, right=("#",)))
