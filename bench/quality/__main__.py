"""The scoreboard: train what is missing, write docs/quality.md: python -m bench.quality."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data.source import ROOT
from bench.peers.__main__ import main as run_peer
from bench.peers.catalogue import PEERS
from bench.quality.assemble import Kept, kept_cells, searches, section
from bench.quality.cells import Cell, load
from bench.quality.code import code_digest
from bench.quality.datasets import CACHE, DATA, RESULTS, Prepared, prepare, standing
from bench.quality.one_cell import measure_apart
from bench.quality.page import Section, page
from bench.quality.peers import peers
from bench.quality.protocols import PROTOCOLS, Protocol, hindrance
from bench.quality.scoreboard import Plan, fill, search_all
from bench.quality.tuned import Budget, search_apart
from gnn.model.catalogue import AUTO, CATALOGUE, FUSED
from shopgraph.cli import console
from shopgraph.workspace import write_whole

MODELS = (*CATALOGUE, FUSED, AUTO)
PAGE = ROOT / "docs" / "quality.md"


def sections(
    cache: Path, results: Path, models: Sequence[str], seeds: int, code: Callable[[str], str]
) -> list[Section]:
    """Every protocol's section, from the results on the data that stand in the cache."""
    out = []
    for protocol in PROTOCOLS.values():
        data = standing(DATA[protocol.data], cache)
        cells: list[Kept] = []
        if data is not None:
            cells = kept_cells(protocol, data, models, seeds, results, code)
            for stem in peers(protocol, data, cache, results, code("")):
                record = load(stem)
                cells += [Kept(stem, record, True, data, peer=True)] if record else []
        searched = searches(protocol, data, models, results) if data is not None else []
        out.append(section(protocol, data, models, cells, searched, list(PEERS)))
    return out


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__)
    parser.add_argument("--data", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), metavar="NAME",
                        help=f"protocols: {', '.join(PROTOCOLS)}")  # fmt: skip
    parser.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME",
                        help=f"models: {', '.join(MODELS)}")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3, help="for models that depend on one (default 3)")
    parser.add_argument("--budget", type=int, default=0, help="most new cells; 0: any number")
    parser.add_argument("--minutes", type=float, default=0.0, help="begin no cell after so many; 0: no limit")
    parser.add_argument("--retry", action="store_true", help="try again what failed")
    parser.add_argument("--search", action="store_true",
                        help="first search the settings of every model on validation, each with the same budget; "
                        "without it those found earlier are used, or those that are shipped")  # fmt: skip
    parser.add_argument("--trials", type=int, default=Budget.trials,
                        help=f"settings tried per model (default {Budget.trials})")  # fmt: skip
    parser.add_argument("--trial-minutes", type=float, default=Budget.minutes,
                        help=f"minutes of search per model (default {Budget.minutes:g})")  # fmt: skip
    parser.add_argument("--peers", nargs="*", choices=PEERS, metavar="NAME",
                        help="also run other tools where they have no figures yet, in environments of their own; "
                        f"without a name all: {', '.join(PEERS)}")  # fmt: skip
    parser.add_argument("--page-only", action="store_true", help="train nothing, write the page")
    args = parser.parse_args()
    chosen = [PROTOCOLS[name] for name in args.data]
    budget = Budget(args.trials, args.trial_minutes) if args.search else None
    plan = Plan(chosen, args.model, args.seeds, RESULTS, code_digest, args.minutes, args.budget, args.retry, budget)
    try:
        if not args.page_only:
            search_all(plan, _prepared, _searched, console.say)
            fill(plan, _prepared, _measured, console.say)
            if args.peers is not None:
                run_peers(chosen, args.peers or PEERS)
    finally:
        before = PAGE.read_text() if PAGE.exists() else ""
        write_whole(PAGE, page(sections(CACHE, RESULTS, MODELS, args.seeds, code_digest), before))
    console.say(f"written to {PAGE.relative_to(ROOT)}")


def run_peers(chosen: Sequence[Protocol], names: Iterable[str]) -> None:
    """Run the peers `names` on every protocol that they apply to and have no figures of; one that fails says why."""
    for protocol in chosen:
        wanted = [name for name in names if not hindrance(name, protocol)]
        if not wanted:
            continue
        stems = peers(protocol, _prepared(protocol), CACHE, RESULTS, code_digest(""))
        known = {record["model"] for record in map(load, stems) if record and record["status"] == "done"}
        for name in wanted:
            if name not in known:
                console.say(f"{protocol.name}: {name}")
                run_peer([name, "--protocol", protocol.name])


def _prepared(protocol: Protocol) -> Prepared:
    return prepare(DATA[protocol.data], console.progress())


def _measured(cell: Cell, stem: Path) -> dict[str, object]:
    return measure_apart(cell, stem, CACHE, RESULTS)


def _searched(protocol: Protocol, model: str, budget: Budget, results: Path) -> Mapping[str, Any]:
    return search_apart(protocol, model, budget, CACHE, results)


if __name__ == "__main__":
    main()
