"""Checks of the machine and the workspace, each with the remedy for what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ingest.errors import ShopgraphError
from kg.snapshot import Snapshot, saved_fingerprint
from kg.stores import open_store
from shopgraph.settings import load_settings
from shopgraph.workspace import Workspace

GIB = 2**30
TRAIN_PACKAGES = ("torch", "torch-geometric", "transformers", "safetensors", "scipy")


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: what was looked at.
        state: ok, missing (optional and not there) or failed (a command will not work).
        found: what there is.
        remedy: what to do when it is not ok.
    """

    name: str
    state: Literal["ok", "missing", "failed"]
    found: str
    remedy: str = ""


def python() -> Check:
    """The interpreter: 3.11 or newer."""
    version = sys.version.split()[0]
    good = sys.version_info >= (3, 11)
    return Check("Python", "ok" if good else "failed", version, "" if good else "install Python 3.11 or newer")


def packages() -> Check:
    """What training needs."""
    absent = []
    for name in TRAIN_PACKAGES:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
    if absent:
        return Check("training packages", "failed", f"absent: {', '.join(absent)}", "pip install 'shopgraph[train]'")
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in TRAIN_PACKAGES[:3])
    return Check("training packages", "ok", versions)


def gpu() -> Check:
    """A CUDA device, without which everything runs on the CPU."""
    if importlib.util.find_spec("torch") is None:
        return Check("GPU", "missing", "torch is not installed", "pip install 'shopgraph[train]'")
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / GIB
        return Check("GPU", "ok", f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB")
    return Check(
        "GPU", "missing", "none; training and encoding use the CPU", "install an NVIDIA driver for torch's CUDA version"
    )


def text_encoder(workspace: Workspace) -> list[Check]:
    """The text encoder that the settings name, and whether it can read the script of the products' titles."""
    from encoders.model_files import find_model
    from encoders.scripts import known_scripts, script_note

    try:
        files = find_model(load_settings(workspace).encode, fetch=False)
        there = saved_fingerprint(workspace.snapshot) is not None
        note = script_note(Snapshot.load(workspace.snapshot), files) if there else ""
    except ShopgraphError as error:
        return [Check("text encoder", "failed", error.what, error.remedy)]
    found, _, remedy = note.partition("; ")
    checks = [Check("text encoder", "ok", f"{files.name}, {files.dim} numbers per text")]
    if note:
        checks.append(Check("titles", "missing", found, remedy))
    elif there and known_scripts(files):
        checks.append(Check("titles", "ok", f"in scripts that {files.name} knows"))
    return checks


def _first_line(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return re.sub(r"\x1b\[[0-9;]*m", "", lines[0]) if lines else None


def java() -> Check:
    """Java 17 or newer, for the local Neo4j server alone."""
    line = _first_line("java", "-version")
    found = re.search(r'version "(\d+)', line or "")
    if found and int(found[1]) >= 17:
        return Check("Java", "ok", str(line))
    return Check(
        "Java", "missing", line or "none", "install Java 17 or newer to run shopgraph neo4j start (apt: default-jre)"
    )


def maven() -> Check:
    """Maven, which fetches the local Neo4j server once."""
    line = _first_line("mvn", "-v")
    if line:
        return Check("Maven", "ok", line)
    return Check("Maven", "missing", "none", "install Maven to run shopgraph neo4j start (apt: maven)")


def workspace_folder(workspace: Workspace) -> Check:
    """Whether the workspace can be written, and the space on its disk."""
    existing = workspace.root.absolute()
    while not existing.exists():
        existing = existing.parent
    if not os.access(existing, os.W_OK):
        return Check("workspace", "failed", f"{existing} is not writable", "choose another --workspace")
    free = shutil.disk_usage(existing).free / GIB
    found = f"{workspace.root}, {free:.0f} GiB free"
    return Check("workspace", "ok", found) if free >= 2 else Check("workspace", "failed", found, "free 2 GiB")


def memory() -> Check:
    """Main memory; the Complete Journey demo needs about 8 GiB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    enough = total >= 7.5
    return Check("memory", "ok" if enough else "missing", f"{total:.0f} GiB", "" if enough else "the demo needs 8 GiB")


def store(workspace: Workspace, url: str | None) -> Check:
    """Whether the store answers, and what it can do."""
    asked = workspace.store_url(url)
    if asked == str(workspace.embedded_store) and not workspace.embedded_store.exists():
        return Check("store", "missing", f"nothing built yet at {asked}", "run shopgraph graph-build SOURCE")
    try:
        with open_store(asked) as opened:
            built = opened.built()
            roles = opened.capabilities.roles
    except ShopgraphError as error:
        return Check("store", "failed", str(error), error.remedy)
    found = f"{asked}, {'a finished graph' if built else 'no finished graph'}"
    if asked.startswith(("neo4j", "bolt")) and not roles:
        found += "; this edition has no roles: every account can write"
    if built:
        return Check("store", "ok", found)
    return Check("store", "missing", found, "run shopgraph graph-build SOURCE")


def run_all(workspace: Workspace, store_url: str | None) -> list[Check]:
    """Every check, in the order in which a person would mend things."""
    plain: tuple[Callable[[], Check], ...] = (python, packages, gpu, memory, java, maven)
    return [check() for check in plain] + [
        workspace_folder(workspace),
        store(workspace, store_url),
        *text_encoder(workspace),
    ]
