"""The data sets of the scoreboard, each built once: contract tables → graph → snapshot → text vectors."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data import amazon_beauty, complete_journey, contract_folder, lastfm_kg, tmall
from bench.data.source import ROOT, raw
from encoders.config import EncoderConfig
from ingest import complete_journey as complete_journey_source
from ingest.enrich.infer import InferSettings
from ingest.enrich.labels import LabelSettings
from ingest.errors import ShopgraphError
from ingest.progress import Progress
from ingest.settings import IngestSettings
from kg.snapshot import Snapshot
from shopgraph import stations
from shopgraph.settings import Settings
from shopgraph.workspace import Workspace, write_whole

CACHE = Path(os.environ.get("SHOPGRAPH_BENCH_CACHE", ROOT / ".cache" / "bench"))
"""What has been built and measured; a copy of the project elsewhere can be pointed at it."""

RESULTS = Path(__file__).parent / "results"
"""Cells and settings found: small, and part of the repository."""

FORMAT = 1
"""Raised when the same files give another workspace."""

ROOMS = ("ingest", "kg", "encoders")
"""Rooms whose code decides what a workspace holds."""


@dataclass(frozen=True)
class DataSet:
    """A data set of the scoreboard.

    Attributes:
        name: also the beginning of its folder's name.
        files: the raw files.
        module: the converter.
        write: writes the contract folder, its first argument; the second is the folder of all data sets. None: the
            source `builtin` is built as it is.
        builtin: name of the source where there is no converter.
        text: whether products have text to encode.
        groups: makes user_id and group of a contract folder, None without groups.
        rules: name -> makes lists (user_id, rank, product_id, score) of a contract folder without any training.
        cold: the ids of the products that a contract folder has made cold, None where it has made none.
        like: another data set whose products have the same texts: their vectors are copied where they are there.
    """

    name: str
    files: Callable[[], Iterable[Path]]
    module: ModuleType
    write: Callable[[Path, Path], Path] | None = None
    builtin: str = ""
    text: bool = False
    groups: Callable[[Path], pd.DataFrame] | None = None
    rules: Mapping[str, Callable[[Path], pd.DataFrame]] = field(default_factory=dict)
    cold: Callable[[Path], set[str]] | None = None
    like: str = ""


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready to be trained on.

    Attributes:
        folder: holds `contract/` (where there is a converter), `workspace/` and `ready.json`.
        snapshot: the graph.
        vectors: unit text vectors of the products, (n_products, width), None without text.
        vectors_digest: names their content, empty without.
        groups: user_id and group, None without groups.
        cold: the products made cold, (n_products,), None where none was.
    """

    folder: Path
    snapshot: Snapshot
    vectors: NDArray[np.float32] | None
    vectors_digest: str
    groups: pd.DataFrame | None
    cold: NDArray[np.bool_] | None

    @property
    def tables(self) -> Path:
        """Folder of the clean tables."""
        return self.folder / "workspace" / "tables"


def _raw_files(name: str) -> Callable[[], Iterable[Path]]:
    return lambda: (path for path in sorted(raw(name).iterdir()) if path.is_file())


def _journey_files() -> Iterable[Path]:
    return complete_journey_source.CompleteJourney.installed().files().values()


def _lastfm(out: Path, _cache: Path) -> Path:
    return lastfm_kg.write(raw(lastfm_kg.NAME), out)


def _tmall(out: Path, _cache: Path) -> Path:
    return tmall.write(raw(tmall.NAME), out)


def _beauty(variant: amazon_beauty.Variant) -> Callable[[Path, Path], Path]:
    return lambda out, _: amazon_beauty.write(raw(amazon_beauty.NAME), out, variant)


def _cold_journey(out: Path, cache: Path) -> Path:
    return complete_journey.write(prepare(DATA["complete-journey"], cache=cache).tables, out)


_BEAUTY = _raw_files(amazon_beauty.NAME)
DATA: dict[str, DataSet] = {
    data.name: data
    for data in (
        DataSet("lastfm-kg", _raw_files(lastfm_kg.NAME), lastfm_kg, _lastfm),
        DataSet(
            "tmall",
            _raw_files(tmall.NAME),
            tmall,
            _tmall,
            groups=tmall.groups,
            rules={"viewed-best-sellers": tmall.viewed_best_sellers},
        ),
        DataSet("beauty", _BEAUTY, amazon_beauty, _beauty("leave-one-out"), text=True, groups=amazon_beauty.groups),
        DataSet("beauty-cafe", _BEAUTY, amazon_beauty, _beauty("cafe"), text=True, like="beauty"),
        DataSet(
            "beauty-cold",
            _BEAUTY,
            amazon_beauty,
            _beauty("cold"),
            text=True,
            cold=amazon_beauty.cold_products,
            like="beauty",
        ),
        DataSet("complete-journey", _journey_files, complete_journey_source, builtin="complete-journey", text=True),
        DataSet(
            "complete-journey-cold",
            _journey_files,
            complete_journey,
            _cold_journey,
            text=True,
            cold=complete_journey.cold_products,
            like="complete-journey",
        ),
    )
}


def prepare(data: DataSet, progress: Progress | None = None, cache: Path | None = None) -> Prepared:
    """The data set's workspace, built where it is not there whole.

    Each step is left out where its result stands already, so that an interrupted build goes on.

    Args:
        data: which one.
        progress: where work reports.
        cache: folder of all data sets.
    """
    cache = CACHE if cache is None else cache
    folder = place(data, cache)
    contract, workspace = folder / "contract", Workspace(folder / "workspace")
    ready, code = folder / "ready.json", source_digest(*(ROOT / room for room in ROOMS))
    if not ready.exists() or json.loads(ready.read_text())["code"] != code:
        if data.write is not None and not contract.exists():
            data.write(contract, cache)
        facts = _build(data, str(contract) if data.write else data.builtin, workspace, progress or _silent(), cache)
        for name, make in data.rules.items():
            lists = folder / "rules" / f"{name}-seed0.parquet"
            lists.parent.mkdir(exist_ok=True)
            make(contract).to_parquet(lists, index=False)
        write_whole(ready, json.dumps(facts | {"code": code}, indent=1))
    return _loaded(data, folder)


def standing(data: DataSet, cache: Path | None = None) -> Prepared | None:
    """The data set's workspace if it stands whole; nothing is built."""
    try:
        folder = place(data, CACHE if cache is None else cache)
    except ShopgraphError:
        return None
    return _loaded(data, folder) if (folder / "ready.json").exists() else None


def _loaded(data: DataSet, folder: Path) -> Prepared:
    contract, workspace = folder / "contract", Workspace(folder / "workspace")
    snapshot = Snapshot.load(workspace.snapshot)
    vectors = stations.saved_vectors(workspace, snapshot)
    cold = None
    if data.cold:
        cold = np.isin(np.asarray(snapshot.nodes["Product"].ids.ids.to_pylist()), sorted(data.cold(contract)))
    return Prepared(
        folder,
        snapshot,
        None if vectors is None else vectors.matrix,
        "" if vectors is None else "".join(vectors.head.identity),
        data.groups(contract) if data.groups else None,
        cold,
    )


def place(data: DataSet, cache: Path) -> Path:
    """The data set's folder: its name and a hash of raw files and converter."""
    digest = hashlib.sha256(f"{FORMAT} {data.name}".encode())
    for path in data.files():
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for module in (data.module, contract_folder) if data.write else ():
        digest.update(inspect.getsource(module).encode())
    return cache / f"{data.name}-{digest.hexdigest()[:12]}"


def source_digest(*folders: Path) -> str:
    """A hash of all Python files below `folders`."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder.parent).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _build(data: DataSet, source: str, workspace: Workspace, progress: Progress, cache: Path) -> dict[str, Any]:
    """Run the stations; facts for people."""
    # what is inferred or derived would change the figures that stand on the page
    plain = IngestSettings(infer=InferSettings(brand=False, category=False), labels=LabelSettings(on=False))
    # nor may they hang on what a machine's measurement of the encoder chose
    settings = replace(Settings(), ingest=plain, encode=EncoderConfig(precision="fp32"))
    with workspace.writing():
        built = stations.build(workspace, source, None, settings, progress)
        facts = {"fingerprint": built.fingerprint, "counts": built.counts, "seconds": built.seconds}
        if data.text:
            _copy_text_cache(data, workspace, cache)
            snapshot = stations.current_snapshot(workspace, None, progress)
            head = stations.encode(workspace, snapshot, settings, progress).head
            facts["texts"] = {"distinct": head.texts, "encoded": head.encoded, "seconds": head.seconds}
    return facts


def _copy_text_cache(data: DataSet, workspace: Workspace, cache: Path) -> None:
    """Take the vectors by content of an earlier build of the same texts."""
    if (workspace.embeddings / "products.json").exists():
        return
    workspace.embeddings.mkdir(parents=True, exist_ok=True)
    for path in cache.glob(f"{data.like or data.name}-*/workspace/embeddings/texts-*.cache"):
        kept = workspace.embeddings / path.name
        if not kept.exists() or kept.stat().st_size < path.stat().st_size:
            shutil.copy(path, kept)


def _silent() -> Progress:
    from ingest.progress import SilentProgress

    return SilentProgress()
