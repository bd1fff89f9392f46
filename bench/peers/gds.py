"""A Neo4j server of its own with the Graph Data Science plug-in, on loopback, for as long as a run lasts."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.main_job import free_port
from bench.measure import MIB
from bench.peers.environments import CACHE
from bench.peers.neutral import PeerError
from ingest.progress import SilentProgress
from kg.neo4j_store.credentials import password_file
from kg.neo4j_store.server import ServerOptions, start, stop

_POM = Path(__file__).with_name("gds.xml")


@contextmanager
def server(cache: Path = CACHE, heap: str = "2g") -> Iterator[tuple[dict[str, str], dict[str, float]]]:
    """An empty server: the environment in which a driver finds it, and figures that are complete in the end.

    Args:
        cache: where the plug-in is kept.
        heap: the server's Java heap.
    """
    plugin = jars(cache)
    home = Path(tempfile.mkdtemp(prefix="server-", dir=plugin.parent)).resolve()
    figures: dict[str, float] = {}
    try:
        (home / "plugins").symlink_to(plugin)
        running = start(SilentProgress(), ServerOptions(free_port(), heap=heap, procedures="gds.*"), home)
        password = password_file(home).read_text().strip()
        yield {"NEO4J_URL": running.url, "NEO4J_USERNAME": "neo4j", "NEO4J_PASSWORD": password}, figures
        figures["server_mib"] = round(psutil.Process(running.pid).memory_info().rss / MIB)
    finally:
        stop(home)
        shutil.rmtree(home, ignore_errors=True)


def jars(cache: Path = CACHE) -> Path:
    """Folder of the plug-in's jars; Maven copies them into the cache the first time (32 MB).

    Raises:
        PeerError: Maven is missing, or could not bring them.
    """
    folder = (cache / "gds" / "plugins").absolute()
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise PeerError("Maven is not installed, which brings the GDS plug-in", "PATH", "install Maven")
    scratch = folder.with_name("plugins.part")
    shutil.rmtree(scratch, ignore_errors=True)
    words = ["-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    done = subprocess.run(
        [maven, *words, f"-DoutputDirectory={scratch}"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode or not scratch.is_dir():
        raise PeerError(f"Maven could not bring GDS: {done.stdout[-300:]}", _POM.name, "check the Maven settings")
    scratch.replace(folder)
    return folder
