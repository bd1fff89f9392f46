"""Loading and reading the graph in both stores, beside what people write themselves, at one or more sizes.

    python -m bench.graph [--shops complete-journey,1,10] [--stores embedded,neo4j] [--repeats 3] [--only TASK,…]

A number names a made-up shop of the shape of Complete Journey (`bench/data/synthetic_shop.py`) with so many times as
many users, products and events; growth is the cost of a relationship in the greatest of them over that in the smallest.
The loads of a round follow one another, each round beginning with another one; each runs in a process of its own, on
an empty database (a new Neo4j server for every load), and reading and publishing follow shopgraph's own load. Tables
and graph files are kept in `.cache/bench/graph`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from bench.data import synthetic_shop
from bench.data.source import ROOT
from bench.graph.tasks import EMBEDDED, NEO4J, TASKS, Task
from bench.main_job import free_port
from bench.measure import MIB, machine, run, write_report
from ingest.build import IngestSettings, build_tables
from ingest.complete_journey import NAME
from ingest.enrich.infer import InferSettings
from ingest.progress import SilentProgress
from kg.neo4j_store.credentials import password_file
from kg.neo4j_store.server import ServerOptions, start, stop
from kg.shape import shape_graph
from shopgraph.cli.console import PIPE_WIDTH, table

CACHE = ROOT / ".cache" / "bench" / "graph"
NUMBERS = ("seconds", "cpu_seconds", "relationships_per_second", "added_mib", "server_cpu_seconds",
           "server_mib")  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How a bench runs.

    Attributes:
        tasks: names of the tasks.
        repeats: rounds.
        heap: of the Neo4j server and its import.
        page_cache: of the Neo4j server.
    """

    tasks: tuple[str, ...]
    repeats: int
    heap: str
    page_cache: str


def workspace(shop: str) -> Path:
    """Clean tables and graph files of a shop."""
    place = CACHE / shop
    if not (place / "graph").is_dir():
        source = shop if shop == NAME else str(synthetic_shop.write(CACHE / f"{shop}-source", float(shop)))
        plain = IngestSettings(infer=InferSettings(brand=False, category=False))
        build_tables(source, place / "tables", place / "reports", settings=plain)
    shape_graph(place / "tables", place / "graph", SilentProgress())
    return place


@contextmanager
def server(home: Path, options: Options) -> Iterator[tuple[str, dict[str, str], psutil.Process]]:
    """A server of `home`: its URL, the environment in which a driver finds it, and its process."""
    info = start(SilentProgress(), ServerOptions(free_port(), heap=options.heap, page_cache=options.page_cache), home)
    password = password_file(home).read_text().strip()
    environment = {"NEO4J_USERNAME": "neo4j", "NEO4J_PASSWORD": password, "SHOPGRAPH_STATE": str(home.parent)}
    try:
        yield info.url, environment, psutil.Process(info.pid)
    finally:
        stop(home)


def measured(task: str, place: Path, target: str, options: Options, home: Path, env: dict[str, str]) -> dict[str, Any]:
    """One run of a task in a process of its own."""
    words = [task, str(place), target, "--home", str(home), "--heap", options.heap]
    said: dict[str, Any] = json.loads(run([sys.executable, "-m", "bench.graph.once", *words], env).stdout)
    print(f"{task:20} {said['seconds']:9.1f} s {said['relationships_per_second']:12,}/s", file=sys.stderr)
    return said


def with_server(
    task: str, place: Path, target: str, options: Options, home: Path, env: dict[str, str], process: psutil.Process
) -> dict[str, Any]:
    """One run beside a server, with the processor time and the memory of the server."""
    before = process.cpu_times()
    said = measured(task, place, target, options, home, env)
    if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:  # an offline import starts another
        return said
    after = process.cpu_times()
    said["server_cpu_seconds"] = round(after.user + after.system - before.user - before.system, 2)
    said["server_mib"] = round(process.memory_info().rss / MIB)
    return said


def following(tasks: list[str]) -> list[str]:
    """Those of `tasks` that work on a loaded graph, in the order of the table."""
    return [name for name in TASKS if name in tasks and TASKS[name].follows]


def embedded_round(tasks: list[str], place: Path, options: Options) -> dict[str, dict[str, Any]]:
    """Every task of the embedded store once."""
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="round-", dir=place) as scratch:
        for name in tasks:
            if TASKS[name].follows:
                continue
            path = Path(scratch) / f"{name}.lbug"
            found[name] = measured(name, place, str(path), options, Path(), {})
            if name == "embedded-load":
                for after in following(tasks):
                    found[after] = measured(after, place, str(path), options, Path(), {})
            path.unlink()
    return found


def neo4j_round(tasks: list[str], place: Path, options: Options) -> dict[str, dict[str, Any]]:
    """Every task of Neo4j once, each load into a new server."""
    found: dict[str, dict[str, Any]] = {}
    for name in tasks:
        if TASKS[name].follows:
            continue
        state = Path(tempfile.mkdtemp(prefix="server-", dir=place)).resolve()
        home = state / "neo4j"  # where a command finds the server that it manages
        try:
            if TASKS[name].running:
                with server(home, options) as (url, env, process):
                    found[name] = with_server(name, place, url, options, home, env, process)
                    if name == "neo4j-load":
                        for after in following(tasks):
                            found[after] = with_server(after, place, url, options, home, env, process)
            else:
                with server(home, options):
                    pass  # it makes the folders and the configuration
                found[name] = measured(name, place, "neo4j://localhost", options, home, {})
        finally:
            shutil.rmtree(state, ignore_errors=True)
    return found


def figures(shop: str, options: Options) -> dict[str, Any]:
    """Medians, least and greatest of every task on one shop."""
    began = time.perf_counter()
    place = workspace(shop)
    print(f"{shop}: graph files in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    rounds: list[dict[str, dict[str, Any]]] = []
    for turn in range(options.repeats):
        found: dict[str, dict[str, Any]] = {}
        for store, one_round in ((EMBEDDED, embedded_round), (NEO4J, neo4j_round)):
            names = [name for name in options.tasks if TASKS[name].store == store]
            if names:
                shift = turn % len(names)
                found |= one_round(names[shift:] + names[:shift], place, options)
        rounds.append(found)
    return {name: summary([found[name] for found in rounds]) for name in options.tasks}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the numbers, all of the seconds, and the facts of the last run.

    Raises:
        SystemExit: the runs of a task did not carry the same.
    """
    if len({one["relationships"] for one in runs}) > 1 or len({one.get("fingerprint") for one in runs}) > 1:
        sys.exit(f"the runs of a task differ: {runs}")
    medians = {n: statistics.median(one[n] for one in runs) for n in NUMBERS if n in runs[0]}
    return {**runs[-1], **medians, "runs": [one["seconds"] for one in runs]}


def growth(shops: dict[str, dict[str, Any]]) -> dict[str, float]:
    """How much more a relationship costs in the greatest made-up shop than in the smallest, per task."""
    sizes = sorted((float(shop), shop) for shop in shops if shop != NAME)
    if len(sizes) < 2:
        return {}
    small, great = shops[sizes[0][1]], shops[sizes[-1][1]]
    return {
        name: round(small[name]["relationships_per_second"] / great[name]["relationships_per_second"], 2)
        for name in small
    }


def show(shops: dict[str, dict[str, Any]]) -> None:
    """Print the figures."""
    grown = growth(shops)
    columns = ("shop", "store", "what", "by", "relationships", "seconds", "least", "most", "CPU s", "server CPU s",
               "per second", "added MiB")  # fmt: skip
    rows = []
    for shop, tasks in shops.items():
        for name, one in tasks.items():
            task: Task = TASKS[name]
            rows.append((
                shop, task.store, task.what, task.says, f"{one['relationships']:,}", one["seconds"], min(one["runs"]),
                max(one["runs"]), one["cpu_seconds"], one.get("server_cpu_seconds", ""),
                f"{round(one['relationships_per_second']):,}", f"{one['added_mib']:,}",
            ))  # fmt: skip
    out = Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH)
    out.print(table("The graph in its stores", columns, rows, right=columns[4:]))
    for name, times in grown.items():
        out.print(f"growth of {TASKS[name].store} {TASKS[name].what}, {TASKS[name].says}: {times:.2f}")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench/results/graph.json"))
    parser.add_argument("--shops", default="complete-journey,1,10")
    parser.add_argument("--stores", default="embedded,neo4j")
    parser.add_argument("--only", help="tasks, of " + ", ".join(TASKS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--heap", default="2g", help="of the Neo4j server and of neo4j-admin import")
    parser.add_argument("--page-cache", default="1g", help="of the Neo4j server")
    args = parser.parse_args()
    stores, only = args.stores.split(","), args.only.split(",") if args.only else list(TASKS)
    chosen = tuple(name for name, task in TASKS.items() if task.store in stores and name in only)
    options = Options(chosen, args.repeats, args.heap, args.page_cache)
    shops = {shop: figures(shop, options) for shop in args.shops.split(",")}
    show(shops)
    report = {"machine": machine(), "options": vars(options), "shops": shops, "growth": growth(shops)}
    write_report(report, args.out)


if __name__ == "__main__":
    main()
