"""Sets properties of events in the embedded store: in a copy of the file, which is renamed over the old one."""

from __future__ import annotations

from pathlib import Path

import ladybug

from ingest.progress import Progress
from kg.errors import GraphError
from kg.ladybug_store.answer import answer
from kg.ladybug_store.copying import copy_literal, pool_bytes
from kg.ladybug_store.replacing import MAX_FILE_BYTES, replacement
from kg.property_names import property_name
from kg.stores import EdgeFile

AGAIN = "run the command again"


def annotate(path: Path, file: EdgeFile, progress: Progress) -> None:
    """Give the relationships that `file` names by ends and `id` its values.

    Raises:
        GraphError: the folder cannot be written, or the database has not all of the relationships.
    """
    names = [name for name in file.properties if name != "id"]
    values = "".join(f", {property_name(name)} AS `__v{n}`" for n, name in enumerate(names))
    assigned = ", ".join(f"r.{property_name(name)} = `__v{n}`" for n, name in enumerate(names))
    with (
        replacement(path, "writing into the database", AGAIN, copy=True) as fresh,
        progress.station(f"write {', '.join(names)}", total=file.rows, unit="relationships") as station,
        ladybug.Database(fresh, buffer_pool_size=pool_bytes(file.rows), max_db_size=MAX_FILE_BYTES) as database,
        ladybug.Connection(database) as connection,
    ):
        statement = (
            f"LOAD FROM {copy_literal(file.path)} WITH source AS __source, target AS __target, id AS __id{values} "
            f"MATCH (a:`{file.source}`)-[r:`{file.type}`]->(b:`{file.target}`) "
            f"WHERE a.id = __source AND b.id = __target AND r.id = __id SET {assigned} RETURN count(*)"
        )
        with answer(connection, statement) as result:
            found = int(result.get_as_arrow()[0][0].as_py())
        if found != file.rows:
            what = f"the database has {found:,} of {file.rows:,} {file.type} that values are for"
            raise GraphError(what, str(path), AGAIN)
        station.advance(found)
        connection.execute("CHECKPOINT")
