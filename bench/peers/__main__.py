"""Runs a peer on a data set and keeps its lists: python -m bench.peers NAME --data CONTRACT_FOLDER [--seed N].

The lists go to `.cache/bench/peers/DATA/NAME-seedN.parquet` (user_id, rank, product_id, score), what happened to a JSON
file beside it. `gnn.evaluation.recs_file.evaluate_recs` scores them as it scores any tool's lists.
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
from bench.peers.run import OUT, Wish, run_peer
from ingest.errors import ShopgraphError


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    args = _arguments().parse_args(words)
    folder = OUT / (args.name or args.data.resolve().name)
    options = ExportOptions(args.valid_from, args.test_from, args.min_buyers)
    if args.all_relations:
        options = replace(options, exclude_relations=())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        rows = export(args.data, folder / "export", folder / "truth.csv", options)
        print("exported: " + ", ".join(f"{count:,} {name}" for name, count in rows.items()), file=sys.stderr)
        wish = Wish(args.seed, args.minutes, args.k, args.threads, dict(args.set))
        report = run_peer(args.peer, folder, wish, asdict(options))
    except (ShopgraphError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({name: report[name] for name in ("lists", "users", "seconds", "peak_mib")}))
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("peer", choices=sorted(PEERS))
    parser.add_argument("--data", type=Path, required=True, help="folder of contract tables")
    parser.add_argument("--name", help="of the data set; by default the folder's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=15.0, help="of processor time per thread, for training")
    parser.add_argument("--k", type=int, default=50, help="length of a list")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--min-buyers", type=int, default=0, help="as split.min_buyers of the evaluation")
    parser.add_argument("--all-relations", action="store_true", help="also those that post-date what they predict")
    parser.add_argument("--valid-from", help="cut-off, where the events have no split labels")
    parser.add_argument("--test-from", help="likewise")
    parser.add_argument("--set", type=_setting, action="append", default=[], metavar="KEY=JSON", help="peer's setting")
    return parser


def _setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


if __name__ == "__main__":
    sys.exit(main())
