"""Every place that holds the id of a person: what must be looked at when somebody asks to be forgotten.

docs/privacy.md shows the table: python -m shopgraph.personal_places. It follows from the contract and the graph's
schema, so that a new column or relationship with ids of people is in it by itself; a test builds a shop with a planted
id, and finds the id in these places and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ingest.contract import TABLES
from ingest.personal import PERSON, STANDS_IN, domain, personal_columns
from kg.schema import RELATIONSHIPS

PERSON_LABELS = ("User", "Account", "Entity")
"""Labels whose id may be a person's; an entity's only where triples say that an end of theirs is a user."""

BUILT = "`graph-build` of the source without the person"
TRAINED = "`train` after that build"
WRITTEN = "the command again after that training, or delete the file"
IMPORTED = "goes with the next `graph-build` into that server, or delete the folder"
ENDS = "goes with the run; what a killed run leaves goes with the next `graph-build`"


@dataclass(frozen=True)
class Place:
    """A place that holds ids of people.

    Attributes:
        where: a file of the workspace, `store` for the graph store whichever it is, or what a command writes.
        field: column of the file, or `label.property` in the store; empty: anywhere in it.
        erased: how an id is removed from it.
    """

    where: str
    field: str
    erased: str


def personal_places() -> tuple[Place, ...]:
    """All places."""
    return (*_tables(), *_reports(), *_graph(), *_models(), *_outputs())


def _tables() -> Iterator[Place]:
    """Clean tables, and the rows set aside of the same tables."""
    for table in TABLES:
        columns = [c for c in personal_columns(table) if domain(c) == PERSON]
        columns += [column for owner, column in STANDS_IN if owner == table]
        for column in columns:
            yield Place(f"tables/{table}.parquet", column, BUILT)
        if columns:
            yield Place(f"tables/quarantine/{table}.parquet", "row", BUILT)
    yield Place("tables/created/users.parquet", "user_id", BUILT)
    for column in ("account_id", "user_id"):
        yield Place("tables/account_users.parquet", column, BUILT)
    for column in ("account_a", "account_b"):
        yield Place("tables/account_links.parquet", column, BUILT)


def _reports() -> Iterator[Place]:
    """The quality report lists users that differ only by case; the manifest holds it too."""
    for where in ("tables/manifest.json", "reports/quality.json", "reports/quality.html"):
        yield Place(where, "", BUILT)


def _graph() -> Iterator[Place]:
    """Graph files, the store, and the snapshot of it, in which relationships have row numbers for ids."""
    for label in PERSON_LABELS:
        yield Place(f"graph/{label}.parquet", "id", BUILT)
        yield Place("store", f"{label}.id", BUILT)
        yield Place(f"snapshot/node.{label}.arrow", "id", BUILT)
    for name, relationship in RELATIONSHIPS.items():
        ids = [p for p in relationship.properties if domain(p) == PERSON or p == "evidence"]
        for source, target in relationship.endpoints:
            file = f"graph/{source}.{name}.{target}.parquet"
            ends = [end for end, label in (("source", source), ("target", target)) if label in PERSON_LABELS]
            for column in [*ends, *ids]:
                yield Place(file, column, BUILT)
        for column in ids:
            yield Place("store", f"{name}.{column}", BUILT)


def _models() -> Iterator[Place]:
    """Model bundles: their id maps; histories and weights know rows only."""
    for kind in ("eval", "live"):
        for label in PERSON_LABELS:
            yield Place(f"model/{kind}/ids-{label}.parquet", "id", TRAINED)


def _outputs() -> Iterator[Place]:
    """What commands write where they are told to, and what a run holds while it lasts."""
    yield Place("evaluate --per-user FILE", "user_id", WRITTEN)
    for who in ("users", "events"):
        yield Place(f"recommend --{who} … --out FILE", "user_id", WRITTEN)
    for column in ("source", "evidence"):
        yield Place("runs/*/recommended.parquet", column, "`publish` after that training, and delete the older folders")
    yield Place("recommend --user ID", "", "is shown, not kept")
    yield Place("query … --out FILE", "", "the command again after that build, or delete the file")
    yield Place("graph-build --json", "", "is shown, not kept")
    yield Place("tables-update/", "", "goes when `graph-build --update` is run to its end, or delete the folder")
    yield Place("tables-refused/", "", "goes with the next delivery that is accepted, or delete the folder")
    yield Place("runs/.run-*/", "", "goes with the run; what a killed run leaves goes with the next `publish`")
    yield Place(".sentiment-*/", "", "goes with the run; what a killed run leaves goes with the next `sentiment`")
    yield Place(".tables-*/", "", ENDS)
    yield Place(".graph-*/", "", ENDS)
    yield Place("import/", "", IMPORTED)
    yield Place(".import-*/", "", ENDS)


def as_markdown() -> str:
    """The table of docs/privacy.md: a line per place and way of erasing, its fields together."""
    fields: dict[tuple[str, str], list[str]] = {}
    for place in personal_places():
        fields.setdefault((place.where, place.erased), []).append(place.field)
    lines = ["| where | field | how it is erased |", "|---|---|---|"]
    for (where, erased), names in fields.items():
        shown = ", ".join(f"`{name}`" for name in names if name) or "anywhere"
        lines.append(f"| `{where}` | {shown} | {erased} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_markdown(), end="")
