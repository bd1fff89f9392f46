"""Search over a workspace: its index, text vectors and model where they are there, and a store's own indexes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from encoders.errors import EncoderError
from encoders.search.catalogue import Catalogue
from encoders.search.filters import Filters
from encoders.search.found import Found, Hit
from encoders.search.index import open_index
from encoders.search.query import spelling_notes
from encoders.search.searcher import Preference, QueryEncoder, Searcher
from ingest.progress import Progress
from kg.snapshot import Snapshot
from kg.stores import open_store
from shopgraph.errors import AppError
from shopgraph.finetuning import encoder_in_use
from shopgraph.products import Card, Cards
from shopgraph.serving import load_model
from shopgraph.settings import Settings, load_settings
from shopgraph.stations import saved_vectors
from shopgraph.workspace import Workspace

_NEAR_USERS = 3


@dataclass(frozen=True)
class Options:
    """What a search is asked for.

    Attributes:
        text: what is sought.
        k: most products.
        user: whose taste counts too, None: nobody's.
        filters: which products may be found.
        native: whether candidates come from the store's full-text and vector index.
    """

    text: str
    k: int = 10
    user: str | None = None
    filters: Filters = field(default_factory=Filters)
    native: bool = False


@dataclass(frozen=True)
class Answer:
    """What a search found.

    Attributes:
        found: the hits with their reasons, what the query names, and the facets.
        ids: the products' ids, in the order of the hits.
        cards: their names.
        notes: what a person should know, a line each.
    """

    found: Found
    ids: list[str]
    cards: list[Card]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        found, query = self.found, self.found.query
        return {
            "query": query.text,
            "mended": query.mended,
            "unknown": query.unknown,
            "intents": [
                {"kind": one.named.kind, "name": one.named.name, "confidence": one.confidence, "words": list(one.words)}
                for one in found.intents
            ],
            "hits": [
                _hit(rank, *row) for rank, row in enumerate(zip(found.hits, self.ids, self.cards, strict=True), start=1)
            ],
            "facets": {
                "products": found.facets.products,
                "brands": [{"name": name, "count": count} for name, count in found.facets.brands],
                "categories": [{"path": path, "count": count} for path, count in found.facets.categories],
                "prices": [asdict(band) for band in found.facets.prices],
            },
            "meaning_weight": round(found.meaning, 4),
            "notes": self.notes,
        }


def _hit(rank: int, hit: Hit, product_id: str, card: Card) -> dict[str, Any]:
    why = {
        "words": hit.words,
        "similarity": None if hit.similarity is None else round(hit.similarity, 4),
        "names": [{"kind": kind, "name": name} for kind, name in hit.names],
        "parts": {name: round(value, 4) for name, value in asdict(hit.parts).items()},
    }
    shown = {"title": card.title, "brand": card.brand, "category": card.category}
    score = {"rank": rank, "product_id": product_id, "score": round(hit.score, 4)}
    return score | shown | {"variants": hit.variants, "why": why}


def search(
    workspace: Workspace, snapshot: Snapshot, store_url: str | None, options: Options, progress: Progress
) -> Answer:
    """Answer one search.

    Raises:
        AppError: an unknown user.
        EncoderError: a query without a word, nothing to search in, an unknown brand or category.
        GraphError: `native` on a store without indexes.
    """
    settings, notes = load_settings(workspace), []
    if options.user is not None:
        _check_user(snapshot, options.user)
    with searching(workspace, snapshot, store_url, settings, progress, native=options.native) as (searcher, remarks):
        notes += remarks
        prefer = None
        if options.user is not None:
            prefer = _preference(workspace, snapshot, options.user)
            if prefer is None:
                notes.append("there is no model: the order is the same for everybody; run shopgraph train")
        found = searcher.search(options.text, options.k, options.filters, prefer)
    notes += [*found.query.notes, *spelling_notes(found.query)]
    ids = snapshot.nodes["Product"].ids
    names = [ids.id(hit.product) for hit in found.hits]
    return Answer(found, names, Cards(snapshot).of(names), notes)


@contextmanager
def searching(
    workspace: Workspace,
    snapshot: Snapshot,
    store_url: str | None,
    settings: Settings,
    progress: Progress,
    *,
    native: bool = False,
) -> Iterator[tuple[Searcher, list[str]]]:
    """A searcher over the workspace, to be asked many times, and what a person should know of it."""
    encode, vectors, notes = None, None, []
    real: frozenset[str] = frozenset()
    try:
        vectors = saved_vectors(workspace, snapshot)
        if vectors is None:
            notes.append("product text has not been encoded: found by words alone; run shopgraph encode")
    except EncoderError as error:
        notes.append(f"{error.what}: found by words alone; {error.remedy}")
    if vectors is not None:
        encode, real = _query_encoder(workspace, settings, vectors.head.digest)
        if encode is None:
            notes.append("the text vectors are of another model: found by words alone; run shopgraph encode")
    said, place = settings.encode.text, workspace.search_index
    index = open_index(snapshot, vectors, settings.search, place, progress, real, said, workspace.events)
    catalogue = Catalogue(snapshot)
    if not native:
        yield Searcher(catalogue, index, settings.search, encode), notes
        return
    from encoders.search.store_source import StoreSource

    with open_store(workspace.store_url(store_url)) as store:
        source = StoreSource(store, catalogue, index)
        if encode is not None and source.published is None:
            notes.append("the store's vector index does not hold the text vectors: its full-text index alone is asked")
        yield Searcher(catalogue, index, settings.search, encode, source), notes


def _query_encoder(workspace: Workspace, settings: Settings, digest: str) -> tuple[QueryEncoder | None, frozenset[str]]:
    """Encodes queries with the model of the vectors, and the words that it knows; None if the settings name another."""
    from encoders.search.query_vector import query_vector
    from encoders.search.real_words import real_words
    from encoders.text_encoder import TextEncoder
    from encoders.variants import as_encoded

    encoder = TextEncoder(as_encoded(encoder_in_use(workspace, settings), digest), workspace.embeddings)
    try:
        same = encoder.digest == digest
    except EncoderError:  # made by an int8 model that is not there any more
        same = False
    if not same:
        return None, frozenset()
    return partial(query_vector, encoder), real_words(encoder.files.folder)


def _preference(workspace: Workspace, snapshot: Snapshot, user: str) -> Preference | None:
    """The model's scores for a user; None without a model."""
    if not workspace.has_model():
        return None
    from gnn.serving.preference import preference

    return preference(load_model(workspace, snapshot), user)


def _check_user(snapshot: Snapshot, user: str) -> None:
    """Check that the graph knows the user, before anything is read that takes time.

    Raises:
        AppError: it does not; with ids that are near.
    """
    ids = snapshot.nodes["User"].ids
    if ids.row(user) >= 0:
        return
    from rapidfuzz import fuzz, process

    near = process.extract(user, ids.ids.to_pylist(), scorer=fuzz.ratio, limit=_NEAR_USERS, score_cutoff=60)
    names = ", ".join(repr(one) for one, _, _ in near)
    raise AppError(
        f"unknown user {user!r}", "--user", f"did you mean {names}" if near else "see the ids with shopgraph query"
    )
