"""`shopgraph search`: products for words, with what the words mean, why each product, and how the matches fall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ingest.contract import LEVEL_SEPARATOR
from shopgraph.cli import console
from shopgraph.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    StoreOption,
    VerboseOption,
    WorkspaceOption,
    workspace_at,
)
from shopgraph.stations import current_snapshot

if TYPE_CHECKING:
    from encoders.search.facets import Facets
    from encoders.search.found import Hit
    from shopgraph.searching import Answer

_FACET = 5


def command(
    text: Annotated[str, typer.Argument(help="What is sought, in words.")],
    user: Annotated[str | None, typer.Option("--user", help="A user whose taste counts too.")] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Most products; variants of one share a place.")] = 10,
    brand: Annotated[list[str] | None, typer.Option("--brand", help="Only this brand; may be given again.")] = None,
    category: Annotated[
        list[str] | None,
        typer.Option("--category", help="Only this category, by name or path, with those below; may be given again."),
    ] = None,
    min_price: Annotated[float | None, typer.Option("--min-price", help="Least price.")] = None,
    max_price: Annotated[float | None, typer.Option("--max-price", help="Greatest price.")] = None,
    every: Annotated[bool, typer.Option("--every", help="Also products that must not be recommended.")] = False,
    native: Annotated[
        bool, typer.Option("--native", help="Candidates from the store's full-text and vector index (Neo4j).")
    ] = False,
    json_output: JsonOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Search the products by words, spelling mistakes and meaning included.

    Example: shopgraph search "gluten free pasta" --user 1 --max-price 5
    """
    from encoders.search.filters import Filters
    from shopgraph.searching import Options, search

    place = workspace_at(workspace)
    progress = console.progress()
    snapshot = current_snapshot(place, store, progress)
    filters = Filters(tuple(brand or ()), tuple(category or ()), min_price, max_price, every)
    answer = search(place, snapshot, store, Options(text, k, user, filters, native), progress)
    for note in answer.notes:
        console.say(f"note: {note}")
    if json_output:
        console.emit_json(answer.to_dict())
    else:
        show(answer)


def show(answer: Answer) -> None:
    """The answer for a person."""
    found = answer.found
    if found.intents:
        names = [f"{one.named.kind} {one.named.name} ({one.confidence:.0%})" for one in found.intents]
        console.say(f"names: {', '.join(names)}")
    if not found.hits:
        console.say("nothing is found")
        return
    rows = [
        (
            rank,
            card.title + (f" (+{hit.variants} variants)" if hit.variants else ""),
            card.brand,
            card.category.rpartition(LEVEL_SEPARATOR)[2],
            f"{hit.score:.3f}",
            why(hit),
            product_id,
        )
        for rank, (hit, product_id, card) in enumerate(zip(found.hits, answer.ids, answer.cards, strict=True), start=1)
    ]
    columns = ("#", "product", "brand", "category", "score", "because", "id")
    console.out.print(console.table(f"For {found.query.text}", columns, rows, right=("#", "score")))
    _show_facets(found.facets)


def why(hit: Hit) -> str:
    """The reasons of a hit on one line: words, meaning, names, and what the model adds."""
    words = [asked if asked == held else f"{held} for {asked}" for asked, held in hit.words.items()]
    parts = [", ".join(words)] if words else []
    if hit.similarity is not None:
        parts.append(f"meaning {hit.similarity:.2f}")
    parts += [f"{kind} {name}" for kind, name in hit.names]
    if hit.parts.personal:
        parts.append(f"you +{hit.parts.personal:.2f}")
    return "; ".join(parts)


def _show_facets(facets: Facets) -> None:
    bands = [(f"{band.low:,.2f} to {band.high:,.2f}", band.count) for band in facets.prices]
    lines = {
        "brands": facets.brands[:_FACET],
        "categories": facets.categories[:_FACET],
        "prices": bands,
    }
    console.say(f"\n{facets.products:,} products match")
    for title, counts in lines.items():
        if counts:
            console.say(f"{title}: " + " · ".join(f"{name} ({count:,})" for name, count in counts))
