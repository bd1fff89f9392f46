"""Finds Java and brings the Neo4j server's jars through Maven, for a server without Docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path

from ingest.progress import Progress
from kg.errors import GraphError

NEO4J_VERSION = "5.26.18"
"""The version in `pom.xml`; an LTS release."""

MINIMUM_JAVA = 17
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def find_java() -> str:
    """Path of a Java that runs Neo4j: that of JAVA_HOME, else the one on the PATH.

    Raises:
        GraphError: there is none, or it is older than 17.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    remedy = f"install Java {MINIMUM_JAVA} or newer, or use the embedded store (without --store)"
    if java is None:
        raise GraphError("Java is not installed", "PATH", remedy)
    version = java_version(java)
    if version is None:
        raise GraphError("this is no working Java", java, remedy)
    if version < MINIMUM_JAVA:
        raise GraphError(f"Java {version} is too old for Neo4j {NEO4J_VERSION}", java, remedy)
    return java


def java_version(java: str) -> int | None:
    """Major version of the Java at `java`, None when it does not run."""
    try:
        asked = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(asked.stderr + asked.stdout)
    return int(found.group(1)) if asked.returncode == 0 and found else None


def cache_folder() -> Path:
    """Where downloads are kept: SHOPGRAPH_CACHE, else ~/.cache/shopgraph."""
    chosen = os.environ.get("SHOPGRAPH_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "shopgraph"


def server_jars(progress: Progress) -> Path:
    """Folder of the server's jars; Maven copies them into the cache the first time (about 116 MB).

    Raises:
        GraphError: Maven is missing, or could not bring them.
    """
    folder = cache_folder() / f"neo4j-{NEO4J_VERSION}" / "lib"
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        remedy = "install Maven, or point NEO4J_USERNAME, NEO4J_PASSWORD and --store at a server of your own"
        raise GraphError("Maven is not installed, which brings the Neo4j server", "PATH", remedy)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".maven-", dir=folder.parent))
    except OSError as error:
        remedy = "set SHOPGRAPH_CACHE to a folder that you may write to"
        raise GraphError(f"cannot write the cache: {error.strerror}", str(folder.parent), remedy) from error
    try:
        with progress.station("download neo4j", unit="jars"):
            _copy_jars(maven, scratch)
        if not folder.is_dir():  # another start may have been faster
            (scratch / "lib").replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _copy_jars(maven: str, scratch: Path) -> None:
    pom = scratch / "pom.xml"
    pom.write_text(files("kg.neo4j_store").joinpath("pom.xml").read_text("utf-8"), "utf-8")
    command = [
        maven,
        "-q",
        "-B",
        "-f",
        str(pom),
        "dependency:copy-dependencies",
        f"-DoutputDirectory={scratch / 'lib'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode or not (scratch / "lib").is_dir():
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line] or ["no reason given"]
        remedy = "check the network and the Maven settings (~/.m2/settings.xml), then start again"
        raise GraphError(f"Maven could not bring Neo4j {NEO4J_VERSION}: {lines[0][:300]}", str(pom.name), remedy)
