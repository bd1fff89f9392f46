"""Runs a peer on a data set and keeps its lists: python -m bench.peers NAME --protocol PROTOCOL [--seed N].

The lists go to `.cache/bench/peers/PROTOCOL/NAME-seedN.parquet` (user_id, rank, product_id, score), what happened to a
JSON file beside it; `python -m bench.quality --page-only` then scores them and adds a row to the scoreboard. With
`--data CONTRACT_FOLDER` instead a peer runs on any other tables, and `shopgraph evaluate --recs` scores its lists.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from bench.peers.catalogue import PEERS
from bench.peers.neutral import ExportOptions, export
from bench.peers.run import Wish, run_peer
from bench.quality.datasets import CACHE, DATA, prepare
from bench.quality.protocols import PROTOCOLS, Protocol
from ingest.errors import ShopgraphError
from shopgraph.cli import console


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    args = _parsed(words)
    try:
        data, name, options = of_protocol(PROTOCOLS[args.protocol]) if args.protocol else _given(args)
        folder = CACHE / "peers" / name
        folder.mkdir(parents=True, exist_ok=True)
        rows = export(data, folder / "export", folder / "truth.csv", options)
        print("exported: " + ", ".join(f"{count:,} {name}" for name, count in rows.items()), file=sys.stderr)
        wish = Wish(args.seed, args.minutes, args.k, args.threads, dict(args.set))
        report = run_peer(args.peer, folder, wish, asdict(options))
    except (ShopgraphError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({name: report[name] for name in ("lists", "users", "seconds", "peak_mib")}))
    return 0


def of_protocol(protocol: Protocol) -> tuple[Path, str, ExportOptions]:
    """A protocol's tables, built where they are not there, its name, and what its settings say of the split."""
    data = prepare(DATA[protocol.data], console.progress())
    split, graph = protocol.config.split, protocol.config.graph
    options = ExportOptions(
        split.valid_from, split.test_from, split.min_buyers, exclude_relations=graph.exclude_relations
    )
    contract = data.folder / "contract"
    return contract if contract.exists() else data.tables, protocol.name, options


def _given(args: argparse.Namespace) -> tuple[Path, str, ExportOptions]:
    options = ExportOptions(args.valid_from, args.test_from, args.min_buyers)
    if args.all_relations:
        options = replace(options, exclude_relations=())
    return args.data, args.name or args.data.resolve().name, options


def _parsed(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("peer", choices=sorted(PEERS))
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--protocol", choices=PROTOCOLS, metavar="PROTOCOL",
                       help=f"of the scoreboard, whose data and settings hold: {', '.join(PROTOCOLS)}")  # fmt: skip
    where.add_argument("--data", type=Path, help="folder of contract tables")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=15.0, help="of processor time per thread, for training")
    parser.add_argument("--k", type=int, default=50, help="length of a list")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--set", type=_setting, action="append", default=[], metavar="KEY=JSON", help="peer's setting")
    own = parser.add_argument_group("with --data")
    own.add_argument("--name", help="of the data set; by default the folder's")
    own.add_argument("--min-buyers", type=int, default=0, help="as split.min_buyers of the evaluation")
    own.add_argument("--all-relations", action="store_true", help="also those that post-date what they predict")
    own.add_argument("--valid-from", help="cut-off, where the events have no split labels")
    own.add_argument("--test-from", help="likewise")
    args = parser.parse_args(words)
    if args.protocol and (args.name or args.min_buyers or args.all_relations or args.valid_from or args.test_from):
        parser.error("--protocol says name, cut-offs, candidates and relations itself: leave them out, or give --data")
    return args


def _setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


if __name__ == "__main__":
    sys.exit(main())
