"""Builds that are broken off at random moments, and what the next run makes of them.

    python -m bench.graph_faults [--work build|offline] [--points N] [--store embedded,neo4j] [--faults killed,…]
        [--events N] [--out FILE]

`killed`: the program, by SIGKILL. `server`: the Neo4j server, by SIGKILL, and started again. `connection`: every
connection to the server is cut. `disk`: no file may grow past a random size. The moments are spread over the time that
an unbroken run takes. Odd points begin with the graph of an older delivery in the store, even ones with an empty
store. After the fault the store may hold the old graph, none, or the new one, each whole if it is called complete; and
after one more run it must equal an unbroken build in everything but the ledger.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.cut_proxy import CutProxy
from bench.fault_shop import write_shop
from bench.graph_load import empty
from bench.main_job import free_port
from bench.measure import machine, write_report
from ingest.progress import SilentProgress
from kg.neo4j_store.credentials import password_file, server_home
from kg.neo4j_store.server import ServerInfo, ServerOptions, start, status, stop
from kg.shape import shape_graph
from kg.snapshot_read import read_snapshot
from kg.stores import open_store
from shopgraph.cli.console import PIPE_WIDTH, table

FAULTS = {"embedded": ("killed", "disk"), "neo4j": ("killed", "server", "connection", "disk")}
_PATIENCE = 600.0
_TRIES = 3


@dataclass(frozen=True)
class Work:
    """What is broken off: commands on a workspace.

    Attributes:
        name: for the table, as in "a build".
        before: words of the command that makes the older state.
        words: words of the command that is broken off.
    """

    name: str
    before: tuple[str, ...]
    words: tuple[str, ...]


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


@dataclass
class Place:
    """A store and the workspaces that use it.

    Attributes:
        kind: embedded or neo4j.
        root: scratch folder.
        server: of neo4j.
        options: with which to start it again.
    """

    kind: str
    root: Path
    server: ServerInfo | None = None
    options: ServerOptions | None = None

    @property
    def workspace(self) -> Path:
        """The workspace of the point at hand."""
        return self.root / "workspace"

    @property
    def url(self) -> str:
        """Of the store."""
        return self.server.url if self.server else str(self.workspace / "graph.lbug")

    def clear(self) -> None:
        """No workspace, nothing in the store."""
        shutil.rmtree(self.workspace, ignore_errors=True)
        if self.server:
            empty(self.server)

    def keep(self) -> None:
        """Keep the workspace as it is for `put_back`."""
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self.workspace, self._kept)

    def put_back(self) -> None:
        """The workspace that was kept, and in the store its graph: a copy of a run is faster than the run."""
        shutil.copytree(self._kept, self.workspace)
        if self.server:
            files = shape_graph(self.workspace / "tables", self.workspace / "graph", SilentProgress())
            with open_store(self.url) as store:
                store.load(files, SilentProgress())

    @property
    def _kept(self) -> Path:
        return self.root / "kept"

    def command(self, words: tuple[str, ...], url: str | None = None) -> list[str]:
        """The command line of `words` on this place."""
        line = [sys.executable, "-m", "shopgraph.cli.main", *words, "--workspace", str(self.workspace)]
        return [*line, "--store", url or self.url] if self.server else line

    def fingerprint(self) -> str:
        """Of everything in the store, '' where it holds no complete graph."""
        if status() is None if self.server else not Path(self.url).exists():
            return ""
        with open_store(self.url) as store:
            if store.built() is None:
                return ""
            return read_snapshot(store, SilentProgress(), everything=True).fingerprint


def run(command: list[str], **how: Any) -> tuple[int, str]:
    """Exit code and last line of a command that is left alone."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False, **how)
    return done.returncode, last_line(done.stderr)


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def break_off(command: list[str], seconds: float, strike: Callable[[subprocess.Popen[str]], None]) -> str:
    """Run `command`, strike after `seconds`, and say how it ended."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, text=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            strike(process)
        code = process.wait(_PATIENCE)
        said.seek(0)
        return "killed" if code == -signal.SIGKILL else "done" if code == 0 else last_line(said.read())[:100]


def killed(place: Place, words: tuple[str, ...], seconds: float) -> str:
    """The program dies."""
    return break_off(place.command(words), seconds, lambda process: process.kill())


def server_killed(place: Place, words: tuple[str, ...], seconds: float) -> str:
    """The server dies and is started again while the program still waits for it, or has given up."""

    def strike(_: subprocess.Popen[str]) -> None:
        assert place.server is not None
        assert place.server.pid is not None
        os.kill(place.server.pid, signal.SIGKILL)
        os.waitpid(place.server.pid, 0)
        place.server = start(SilentProgress(), place.options)

    return break_off(place.command(words), seconds, strike)


def connection_cut(place: Place, words: tuple[str, ...], seconds: float) -> str:
    """Every connection is cut, and for two seconds nobody gets another."""
    assert place.options is not None
    with CutProxy(place.options.bolt_port) as proxy:
        command = place.command(words, f"bolt://127.0.0.1:{proxy.port}")
        return break_off(command, seconds, lambda _: proxy.cut(2.0))


def disk_full(place: Place, words: tuple[str, ...], limit: float) -> str:
    """No file of the program can grow past `limit` bytes."""

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing fails with an error, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))

    code, line = run(place.command(words), preexec_fn=small)
    return "done" if code == 0 else "killed" if code < 0 else line[:100]


STRIKES: dict[str, Callable[[Place, tuple[str, ...], float], str]] = {
    "killed": killed, "server": server_killed, "connection": connection_cut, "disk": disk_full
}  # fmt: skip


def break_points(place: Place, work: Work, faults: list[str], points: int, seed: int) -> Iterator[Point]:
    """Break `work` off at `points` moments per kind of fault."""
    draw = random.Random(seed)
    seconds, largest, older, wanted = unbroken(place, work)
    print(f"{place.kind}: {work.name} takes {seconds:.1f} s unbroken", flush=True)
    for fault in faults:
        for number in range(points):
            moment = (number + draw.random()) / points
            point = Point(work.name, place.kind, fault, round(moment, 3), "older graph" if number % 2 else "empty")
            for _ in range(_TRIES):
                place.clear()
                if number % 2:
                    place.put_back()
                size = moment * largest if fault == "disk" else moment * seconds
                began = time.perf_counter()
                point.ended = STRIKES[fault](place, work.words, size)
                took = time.perf_counter() - began
                if fault == "disk" or took >= size:
                    break
                seconds = took  # it ended before it was struck: the machine has become faster
            point.held = held(place, older if number % 2 else None, wanted)
            point.again, line = run(place.command(work.words))
            point.equal = point.again == 0 and place.fingerprint() == wanted and point.held != "WRONG"
            if not point.equal:
                print(f"NOT EQUAL: {point} {line}", flush=True)
            yield point


def unbroken(place: Place, work: Work) -> tuple[float, int, str, str]:
    """Seconds of an unbroken run on an empty store, its largest file, and what the store holds before and after."""
    place.clear()
    must(run(place.command(work.before)))
    older = place.fingerprint()
    place.keep()
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


def must(done: tuple[int, str]) -> None:
    """Stop where a run without a fault fails."""
    if done[0]:
        raise RuntimeError(f"an unbroken run failed: {done[1]}")


@contextmanager
def places(kinds: list[str], scratch: Path) -> Iterator[list[Place]]:
    """The stores, Neo4j in a private server."""
    os.environ["SHOPGRAPH_STATE"] = str(scratch / "state")
    for name in ("NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE", "SHOPGRAPH_STORE"):
        os.environ.pop(name, None)
    made = [Place("embedded", scratch / "embedded")] if "embedded" in kinds else []
    try:
        if "neo4j" in kinds:
            options = ServerOptions(bolt_port=free_port(), heap="512m", page_cache="128m")
            server = start(SilentProgress(), options)
            os.environ["NEO4J_PASSWORD"] = password_file(server_home()).read_text()  # a proxy has another address
            made.append(Place("neo4j", scratch / "neo4j", server, options))
        yield made
    finally:
        os.environ.pop("NEO4J_PASSWORD", None)
        if status():
            stop()


def a_build(scratch: Path, events: int) -> Work:
    """A build, after one of an older delivery."""
    older = write_shop(scratch / "older", events * 2 // 3)
    newer = write_shop(scratch / "newer", events)
    as_of = ("--as-of", "2025-01-01")
    return Work("a build", ("graph-build", str(older), *as_of), ("graph-build", str(newer), *as_of))


def an_offline_import(scratch: Path, events: int) -> Work:
    """A build by the offline importer, after one over Bolt; only a Neo4j server has it."""
    build = a_build(scratch, events)
    return Work("an offline import", build.before, (*build.words, "--offline"))


WORKS = {"build": a_build, "offline": an_offline_import}


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
