"""Do one task once; print its seconds, CPU seconds and the memory that it added, as JSON.

    python -m bench.graph.once TASK WORKSPACE TARGET [--home DIR] [--heap SIZE]

WORKSPACE holds clean tables (`tables/`) and the graph files made of them (`graph/`).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from bench.graph.tasks import TASKS, Place
from ingest.progress import SilentProgress
from kg.shape import shape_graph


def memory_kib(name: str) -> int:
    """A field of this process's memory, such as VmRSS (now) or VmHWM (most)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def warm_imports(target: str) -> None:
    """Load the libraries that a store brings along, some at their first use: they are no part of what a task takes."""
    import pyarrow.parquet  # noqa: F401

    if "://" in target:
        pass
    else:
        import ladybug

        with ladybug.Database() as database, ladybug.Connection(database) as connection:
            connection.execute("RETURN 1")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("workspace", type=Path)
    parser.add_argument("target")
    parser.add_argument("--home", type=Path, default=Path())
    parser.add_argument("--heap", default="2g")
    args = parser.parse_args()
    task = TASKS[args.task]
    graph = shape_graph(args.workspace / "tables", args.workspace / "graph", SilentProgress())
    with tempfile.TemporaryDirectory(prefix="shopgraph-bench-", dir=args.workspace) as scratch:
        place = Place(args.target, args.home.resolve(), Path(scratch).resolve(), args.heap)
        prepared_at = time.perf_counter()
        prepared = task.prepare(graph, place)
        prepare_seconds = time.perf_counter() - prepared_at
        warm_imports(args.target)
        Path("/proc/self/clear_refs").write_text("5")  # the greatest memory counts from here
        before, began, cpu = memory_kib("VmRSS"), time.perf_counter(), time.process_time()
        facts = task.work(graph, place, prepared)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
    said = {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used, 2),
        "prepare_seconds": round(prepare_seconds, 2),
        "added_mib": round((memory_kib("VmHWM") - before) / 1024, 1),
        "relationships_per_second": round(facts["relationships"] / seconds),
        **facts,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
