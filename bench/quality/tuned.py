"""Settings searched on validation, every model with the same budget: python -m bench.quality.tuned.

What is found is kept in `tuned/PROTOCOL/MODEL.json` of the results, in the repository; the searches themselves lie in
the cache and go on where they were interrupted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from bench.quality.cells import Cell
from bench.quality.code import code_digest
from bench.quality.datasets import CACHE, DATA, Prepared, place, prepare
from bench.quality.protocols import PROTOCOLS, Protocol, hindrance
from gnn.errors import GnnError
from gnn.model.choice import served_names
from gnn.protocol.recommender import Given
from gnn.tuning.spaces import SPACES
from gnn.tuning.study import tune
from ingest.progress import Progress, SilentProgress
from shopgraph.workspace import write_whole


@dataclass(frozen=True)
class Budget:
    """What a search may take; whichever is used up first ends it.

    Attributes:
        trials: settings tried, those that are shipped among them.
        minutes: after which no trial begins; the shipped settings are always tried to the end.
    """

    trials: int = 12
    minutes: float = 3.0


def base_of(protocol: Protocol) -> Protocol:
    """The protocol on whose validation settings are searched for `protocol`."""
    return PROTOCOLS[protocol.tuned_on] if protocol.tuned_on else protocol


def _inputs(protocol: Protocol, data: Prepared) -> dict[str, Any]:
    base = base_of(protocol)
    source = data.folder.name if base.data == protocol.data else _folder_name(base.data)
    return {"data": source, "settings": json.loads(json.dumps(dict(base.settings)))}


@cache
def _folder_name(name: str) -> str:
    """Name of a data set's folder: asked for every model, and each time a hash of all raw files."""
    return place(DATA[name], CACHE).name


def found(protocol: Protocol, data: Prepared, model: str, results: Path) -> dict[str, Any] | None:
    """The record of a search, None where there is none that still holds.

    It holds while the raw data and the protocol's settings are what they were.
    """
    path = _record(protocol, model, results)
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    return record if record["inputs"] == _inputs(protocol, data) else None


def settings_of(protocol: Protocol, data: Prepared, model: str, results: Path) -> dict[str, Any]:
    """Dotted settings that searches found for a model, or for the parts of `fused` and `auto`."""
    out: dict[str, Any] = {}
    for name in served_names(model, protocol.config):
        out |= (found(protocol, data, name, results) or {}).get("settings", {})
    return out


def missing(protocol: Protocol, data: Prepared, models: Sequence[str], budget: Budget, results: Path) -> list[str]:
    """Models whose settings have not been searched with this budget, in order."""
    searched = {m: found(protocol, data, m, results) for m in models if m in SPACES and not hindrance(m, protocol)}
    return [m for m, known in searched.items() if known is None or known["budget"] != vars(budget)]


def search(
    protocol: Protocol,
    data: Prepared,
    model: str,
    budget: Budget,
    results: Path,
    journals: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Search a model's settings and keep what was found; `settings` holds what differs from what is shipped.

    A model without anything to search on this data is kept with its `reason`.

    Args:
        protocol: whose validation part is asked.
        data: its data.
        model: what is searched.
        budget: trials and minutes.
        results: where the record is kept.
        journals: where the search itself is kept, so that it can go on.
        progress: where work reports.
    """
    config = Cell(protocol, model, 0, data, "").config
    record: dict[str, Any] = {"inputs": _inputs(protocol, data), "budget": vars(budget), "settings": {}}
    record |= {"code": code_digest(model), "date": datetime.now(UTC).date().isoformat()}
    folder = journals / base_of(protocol).name
    given = Given(data.snapshot, data.vectors)
    try:
        result = tune(given, config, model, budget.trials, budget.minutes, folder, progress or SilentProgress())
    except GnnError as error:
        record["reason"] = str(error)
    else:
        record["settings"] = {key: new for key, (_, new) in result.changed.items()}
        record["validation"] = {"before": result.current_value, "after": result.best_value}
        record |= {"trials": len(result.trials), "seconds": round(sum(t.seconds for t in result.trials), 1)}
    write_whole(_record(protocol, model, results), json.dumps(record, indent=1))
    return record


def _record(protocol: Protocol, model: str, results: Path) -> Path:
    return results / "tuned" / base_of(protocol).name / f"{model}.json"


def search_apart(protocol: Protocol, model: str, budget: Budget, cache: Path, results: Path) -> Mapping[str, Any]:
    """`search` in a child process, so that its memory is its own."""
    words = [sys.executable, "-m", "bench.quality.tuned", protocol.name, model]
    words += ["--cache", str(cache), "--results", str(results)]
    words += ["--trials", str(budget.trials), "--minutes", str(budget.minutes)]
    done = subprocess.run(words, check=False)
    path = _record(protocol, model, results)
    if done.returncode or not path.exists():
        return {"reason": f"the process ended with {done.returncode}"}
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def main() -> None:
    """Search the settings that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("model", choices=SPACES)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=Budget.trials)
    parser.add_argument("--minutes", type=float, default=Budget.minutes)
    args = parser.parse_args()
    protocol = PROTOCOLS[args.protocol]
    data = prepare(DATA[protocol.data], cache=args.cache)
    search(protocol, data, args.model, Budget(args.trials, args.minutes), args.results, args.cache / "tuned")


if __name__ == "__main__":
    main()
