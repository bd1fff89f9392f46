"""The main job on Complete Journey in both stores: speed, memory and quality beside the baselines.

    python -m bench.main_job [--out FILE] [--stores embedded,neo4j] [--store-url neo4j://HOST:PORT]

Without --store-url the Neo4j figures come from a private server that this command starts and stops.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.measure import machine, run, write_report
from gnn.evaluation.report import table as comparison
from ingest.progress import SilentProgress
from kg.neo4j_store.credentials import password_file
from kg.neo4j_store.server import ServerOptions, start, stop
from shopgraph.cli.console import PIPE_WIDTH, table

SHOPGRAPH = str(Path(sys.executable).with_name("shopgraph"))


@contextmanager
def neo4j_server(url: str | None) -> Iterator[tuple[str, dict[str, str]]]:
    """A server's URL and the environment in which commands reach it."""
    if url:
        yield url, {}
        return
    with tempfile.TemporaryDirectory(prefix="shopgraph-bench-") as state:
        home = Path(state)
        server = start(SilentProgress(), ServerOptions(bolt_port=free_port()), home)
        try:
            yield server.url, {"NEO4J_USERNAME": "neo4j", "NEO4J_PASSWORD": password_file(home).read_text().strip()}
        finally:
            stop(home)


def free_port() -> int:
    """A TCP port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def build_figures(workspace: Path, store: str | None, environment: dict[str, str]) -> dict[str, Any]:
    """Build the graph in one store; its relationships per second are those of the load alone."""
    words = [SHOPGRAPH, "graph-build", "complete-journey", "--json", "--workspace", str(workspace)]
    done = run(words + (["--store", store] if store else []), environment)
    report = json.loads(done.stdout)
    counts: dict[str, int] = report["counts"]
    relationships = sum(count for name, count in counts.items() if name.isupper())
    nodes = sum(count for name, count in counts.items() if not name.isupper())
    load = report["seconds"]["load"]
    return {
        "seconds": round(done.seconds, 1),
        "steps": report["seconds"],
        "nodes": nodes,
        "relationships": relationships,
        "relationships_per_second": round(relationships / load),
        "peak_mib": round(done.peak_mib),
        "fingerprint": report["fingerprint"],
    }


def model_figures(workspace: Path) -> dict[str, Any]:
    """Encode, train and evaluate."""
    tail = ["--json", "--workspace", str(workspace)]
    figures: dict[str, Any] = {}
    encoded = run([SHOPGRAPH, "encode", *tail])
    head = json.loads(encoded.stdout)
    figures["encode"] = {
        "seconds": round(encoded.seconds, 1),
        "peak_mib": round(encoded.peak_mib),
        "distinct_texts": head["texts"],
        "texts_per_second": round(head["encoded"] / head["seconds"], 1) if head["encoded"] else None,
    }
    trained = run([SHOPGRAPH, "train", *tail])
    figures["train"] = {"seconds": round(trained.seconds, 1), "peak_mib": round(trained.peak_mib)}
    evaluated = run([SHOPGRAPH, "evaluate", *tail])
    figures["evaluate"] = {"seconds": round(evaluated.seconds, 1), "peak_mib": round(evaluated.peak_mib)}
    figures["quality"] = json.loads(evaluated.stdout)
    return figures


def show(report: dict[str, Any]) -> None:
    """Print the figures as tables."""
    out = Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH)
    rows = [
        (name, b["seconds"], b["steps"]["load"], f"{b['relationships']:,}", f"{b['relationships_per_second']:,}",
         b["peak_mib"])
        for name, b in report["build"].items()
    ]  # fmt: skip
    columns = ("store", "build s", "load s", "relationships", "relationships/s", "peak MiB")
    out.print(table("Build", columns, rows, right=columns[1:]))
    model = report["model"]
    rows = [(step, model[step]["seconds"], model[step]["peak_mib"]) for step in ("encode", "train", "evaluate")]
    out.print(table("\nModel", ("step", "seconds", "peak MiB"), rows, right=("seconds", "peak MiB")))
    out.print(f"texts per second: {model['encode']['texts_per_second']}")
    for task in model["quality"]["tasks"]:
        heads, lines = comparison(model["quality"], task)
        out.print(table(f"\n{task}", heads, lines, right=heads[1:]))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench/results/main_job.json"))
    parser.add_argument("--stores", default="embedded,neo4j")
    parser.add_argument("--store-url")
    args = parser.parse_args()
    stores = args.stores.split(",")
    report: dict[str, Any] = {"machine": machine(), "build": {}}
    with tempfile.TemporaryDirectory(prefix="shopgraph-bench-") as folder:
        workspace = Path(folder) / "embedded"
        report["build"]["embedded"] = build_figures(workspace, None, {})
        report["model"] = model_figures(workspace)
        if "neo4j" in stores:
            with neo4j_server(args.store_url) as (url, environment):
                report["build"]["neo4j"] = build_figures(Path(folder) / "neo4j", url, environment)
            same = report["build"]["neo4j"]["fingerprint"] == report["build"]["embedded"]["fingerprint"]
            report["snapshots_equal"] = same
    show(report)
    write_report(report, args.out)


if __name__ == "__main__":
    main()
