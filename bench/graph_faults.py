"""Builds that are broken off at random moments, and what the next run makes of them.

    python -m bench.graph_faults [--work build|update|offline] [--points N] [--store embedded,neo4j] [--faults killed,…]
        [--events N] [--out FILE]

`killed`: the program, by SIGKILL. `server`: the Neo4j server, by SIGKILL, and started again. `connection`: every
connection to the server is cut. `disk`: no file may grow past a random size. The moments are spread over the time that
an unbroken run takes. Odd points begin with the graph of an older delivery in the store, even ones with an empty
store; an update always begins with the older graph. After the fault the store may hold the old graph, none, or the new
one, each whole if it is called complete; and after one more run it must equal that of an unbroken run in everything but
the ledger.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from bench.fault_place import Place, must, places, run
from bench.fault_strikes import STRIKES
from bench.fault_works import WORKS, Work
from bench.measure import machine, write_report
from shopgraph.cli.console import PIPE_WIDTH, table

FAULTS = {"embedded": ("killed", "disk"), "neo4j": ("killed", "server", "connection", "disk")}
_TRIES = 3


@dataclass
class Point:
    """One fault.

    Attributes:
        work: what was broken off.
        store: embedded or neo4j.
        fault: its kind.
        moment: when, as a share of an unbroken run; of `disk` the share of the largest file.
        began_with: "empty" or "older graph".
        ended: how the broken run ended: killed, an error's line, or done.
        held: what the store held then: nothing, half, older or new.
        again: exit code of the next run.
        equal: whether the graph then equals that of an unbroken run.
    """

    work: str
    store: str
    fault: str
    moment: float
    began_with: str
    ended: str = ""
    held: str = ""
    again: int | None = None
    equal: bool = False


def break_points(place: Place, work: Work, faults: list[str], points: int, seed: int) -> Iterator[Point]:
    """Break `work` off at `points` moments per kind of fault."""
    draw = random.Random(seed)
    seconds, largest, older, wanted = unbroken(place, work)
    print(f"{place.kind}: {work.name} takes {seconds:.1f} s unbroken", flush=True)
    for fault in faults:
        for number in range(points):
            moment = (number + draw.random()) / points
            first = work.needs_before or number % 2 == 1
            point = Point(work.name, place.kind, fault, round(moment, 3), "older graph" if first else "empty")
            for _ in range(_TRIES):
                place.clear()
                if first:
                    place.put_back()
                size = moment * largest if fault == "disk" else moment * seconds
                began = time.perf_counter()
                point.ended = STRIKES[fault](place, work.words, size)
                took = time.perf_counter() - began
                if fault == "disk" or took >= size:
                    break
                seconds = took  # it ended before it was struck: the machine has become faster
            point.held = held(place, older if first else None, wanted)
            point.again, line = run(place.command(work.words))
            point.equal = point.again == 0 and place.fingerprint() == wanted and point.held != "WRONG"
            if not point.equal:
                print(f"NOT EQUAL: {point} {line}", flush=True)
            yield point


def unbroken(place: Place, work: Work) -> tuple[float, int, str, str]:
    """Seconds of an unbroken run, its largest file, and what the store holds before and after."""
    place.clear()
    must(run(place.command(work.before)))
    older = place.fingerprint()
    place.keep()
    if not work.needs_before:
        place.clear()
    began = time.perf_counter()
    must(run(place.command(work.words)))
    seconds = time.perf_counter() - began
    largest = max(path.stat().st_size for path in place.workspace.rglob("*") if path.is_file())
    wanted = place.fingerprint()
    if older == wanted or not wanted:
        raise RuntimeError("the two deliveries give one graph: nothing would be shown")
    return seconds, largest, older, wanted


def held(place: Place, older: str | None, wanted: str) -> str:
    """What the store holds after a fault; WRONG where it calls complete what is neither graph."""
    found = place.fingerprint()
    names = {"": "nothing complete", older: "older", wanted: "new"}
    return names.get(found, "WRONG")


def show(points: list[Point]) -> None:
    """A line per kind of fault and place."""
    groups: dict[tuple[str, str, str], list[Point]] = {}
    for point in points:
        groups.setdefault((point.work, point.store, point.fault), []).append(point)
    rows = []
    for key, some in groups.items():
        broken = [p for p in some if p.ended != "done"]
        states = ", ".join(f"{name} {sum(p.held == name for p in some)}" for name in sorted({p.held for p in some}))
        rows.append((*key, len(some), len(broken), states, sum(p.equal for p in some)))
    columns = ("work", "store", "fault", "points", "broken off", "the store then held", "equal after one more run")
    out = Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH)
    out.print(table("Faults", columns, rows, right=("points", "broken off", "equal after one more run")))


def main() -> None:
    """Break, compare, print and write; exit code 1 where a graph differed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", choices=WORKS, default="build")
    parser.add_argument("--points", type=int, default=20, help="per store and kind of fault")
    parser.add_argument("--store", default="embedded,neo4j")
    parser.add_argument("--faults", default="killed,server,connection,disk")
    parser.add_argument("--events", type=int, default=20_000, help="rows of the made-up shop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench/results/graph_faults.json"))
    args = parser.parse_args()
    points: list[Point] = []
    with (
        tempfile.TemporaryDirectory(prefix="shopgraph-bench-") as folder,
        places(args.store.split(","), Path(folder)) as stores,
    ):
        work = WORKS[args.work](Path(folder), args.events)
        for place in stores:
            faults = [name for name in args.faults.split(",") if name in FAULTS[place.kind]]
            for point in break_points(place, work, faults, args.points, args.seed):
                points.append(point)
                print(f"  {point.store} {point.fault} at {point.moment:.0%}: {point.ended}; {point.held}", flush=True)
    show(points)
    report = {"machine": machine(), "events": args.events, "points": [asdict(point) for point in points]}
    write_report(report, args.out)
    if not all(point.equal for point in points):
        sys.exit(1)


if __name__ == "__main__":
    main()
