"""A day, a week and a month of Complete Journey added to its graph, beside building everything.

    python -m bench.graph_update [--store URL] [--copies 1] [--out FILE]

The graph is built of what was sold until a cut; then a day, a week and a month are added one after the other through
the command line. In the end the graph must be the one that a build of everything gives, which is timed as well.
`--copies N` sells everything N times, to other users each. `--store` names an empty Neo4j database (both builds are
loaded into it in turn); without it the embedded store is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from bench.measure import machine, run, write_report
from ingest.build import build_tables
from ingest.enrich.infer import InferSettings
from ingest.enrich.labels import LabelSettings
from ingest.names import literal
from ingest.progress import SilentProgress
from ingest.settings import IngestSettings
from kg.snapshot_read import read_snapshot
from kg.stores import open_store
from shopgraph.cli.console import PIPE_WIDTH, table

CUT = "2017-11-20"
SPANS = {"a day": 1, "a week": 7, "a month": 30}
"""Delivery -> days that it holds; each begins where the one before ends."""


def write_deliveries(folder: Path, copies: int) -> dict[str, int]:
    """Write the folders `all`, `base` and one per delivery; events of each."""
    plain = IngestSettings(labels=LabelSettings(on=False), infer=InferSettings(brand=False, category=False))
    build_tables("complete-journey", folder / "clean", folder / "reports", settings=plain)
    events = {}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 2; SET memory_limit = '3GB'")
        end = f"TIMESTAMPTZ '{CUT}' + INTERVAL {sum(SPANS.values())} DAY"
        spans = {"all": f"'1990-01-01' AND {end}", "base": f"'1990-01-01' AND '{CUT}'"}
        begin = f"TIMESTAMPTZ '{CUT}'"
        for name, days in SPANS.items():
            spans[name] = f"{begin} AND {begin} + INTERVAL {days} DAY"
            begin = f"({begin} + INTERVAL {days} DAY)"
        for name, span in spans.items():
            (folder / name).mkdir()
            for path in sorted((folder / "clean").glob("*.parquet")):
                if path.stem == "events":
                    events[name] = _write_events(connection, path, folder / name, span, copies)
                elif name in ("all", "base") and path.stem != "promotions":
                    (folder / name / path.name).symlink_to(path)
    return events


def _write_events(connection: duckdb.DuckDBPyConnection, clean: Path, target: Path, span: str, copies: int) -> int:
    rows = 0
    for copy in range(copies):
        suffix = literal(f"-{copy}" if copy else "")
        written = connection.execute(
            f"COPY (SELECT * REPLACE (user_id || {suffix} AS user_id, event_id || {suffix} AS event_id, "
            f"order_id || {suffix} AS order_id) FROM read_parquet({literal(str(clean))}) "
            f"WHERE time >= {span.replace(' AND ', ' AND time < ', 1)}) "
            f"TO {literal(str(target / f'events-{copy:03}.parquet'))} (FORMAT parquet)"
        ).fetchone()
        rows += int(written[0]) if written else 0
    return rows


def built(source: Path, work: Path, store: str | None, *words: str) -> dict[str, Any]:
    """One `graph-build`: seconds by step and in all, peak memory, what changed."""
    store_words = ["--store", store] if store else []
    command = [sys.executable, "-m", "shopgraph.cli.main", "graph-build", str(source), "--workspace", str(work)]
    done = run([*command, "--json", *store_words, *words])
    said = json.loads(done.stdout)
    return {
        "seconds": round(done.seconds, 2),
        "steps": said["seconds"],
        "peak_mib": round(done.peak_mib),
        "changes": said["changes"],
    }


def content(work: Path, store: str | None) -> str:
    """Fingerprint of all that a graph holds."""
    with open_store(store or str(work / "graph.lbug")) as opened:
        return read_snapshot(opened, SilentProgress(), everything=True).fingerprint


def figures(copies: int, store: str | None, folder: Path) -> dict[str, Any]:
    """Measure.

    Raises:
        SystemExit: the graph that was updated is not the one of one build.
    """
    events = write_deliveries(folder, copies)
    found: dict[str, Any] = {"copies": copies, "store": "neo4j" if store else "embedded", "events": events}
    found["base"] = built(folder / "base", folder / "steps", store)
    for name in SPANS:
        found[name] = built(folder / name, folder / "steps", store, "--update")
    updated = content(folder / "steps", store)
    found["all"] = built(folder / "all", folder / "once", store)
    if content(folder / "once", store) != updated:
        sys.exit("the updated graph differs from the one of a build of everything")
    return found


def show(found: dict[str, Any]) -> None:
    """Print the figures."""
    rows = []
    for name in ("all", "base", *SPANS):
        one = found[name]
        changes = sum(one["changes"].values())
        steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in one["steps"].items())
        share = one["seconds"] / found["all"]["seconds"]
        rows.append((name, f"{found['events'][name]:,}", f"{changes:,}" if changes else "", one["seconds"],
                     f"{share:.2f}", steps, f"{one['peak_mib']:,}"))  # fmt: skip
    columns = ("delivery", "events", "rows changed in the graph", "seconds", "of all", "steps", "peak MiB")
    Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH).print(
        table(f"Updates, {found['store']} store", columns, rows, right=tuple(c for c in columns if c != "steps"))
    )
    print("the updated graph is the one of a build of everything")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", help="URL of an empty Neo4j database; default: the embedded store")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench/results/graph_update.json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shopgraph-bench-") as name:
        found = figures(args.copies, args.store, Path(name))
    show(found)
    write_report({"machine": machine(), **found}, args.out)


if __name__ == "__main__":
    main()
