"""One cell of the scoreboard: a model with a seed on a protocol, trained and evaluated once, kept by its inputs.

A cell is `cells/PROTOCOL/MODEL-SEED-KEY.json`; beside it stand files with what the page needs of every user (`PARTS`).
The key is a hash of everything that the figures depend on.
Cells lie in the repository, so that a scoreboard is filled on several machines and days.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.quality.datasets import Prepared
from bench.quality.protocols import NEEDS, Needs, Protocol
from gnn.config import GnnConfig
from gnn.model.catalogue import CATALOGUE, NETWORK
from gnn.tuning.spaces import applied
from ingest.config_dict import to_dict
from ingest.progress import Progress, SilentProgress
from kg.snapshot import NodeTable, Snapshot
from shopgraph.workspace import write_whole

TASKS, ALONE, REFIT, REFIT_ALONE = PARTS = ("tasks", "alone", "refit", "refit_alone")
"""What a cell's record has: the questions of the protocol, the same with the cold products for candidates, and both put
to a refit: what is trained was trained again on train and valid, for the epochs that validation had settled."""
SUFFIX = {TASKS: ".parquet", ALONE: ".cold.parquet", REFIT: ".refit.parquet", REFIT_ALONE: ".refit-cold.parquet"}
"""Where the metrics of every user lie, by part."""
EVERYBODYS = frozenset({"seed", "threads", "device", "precision", "max_seconds", "full_softmax", "negatives"})
"""Settings of training that others than the network read too."""


@dataclass(frozen=True)
class Cell:
    """What is to be measured.

    Attributes:
        protocol: data and question.
        model: a name of the catalogue, or fused or auto.
        seed: of training.
        data: the protocol's data.
        code: digest of the code that the figures depend on (`code.code_digest`).
        tuned: dotted settings that a search on validation found.
    """

    protocol: Protocol
    model: str
    seed: int
    data: Prepared
    code: str
    tuned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> GnnConfig:
        """The settings, where no other recommender is reported beside the model."""
        plain = self.protocol.config
        alone = replace(plain, train=replace(plain.train, seed=self.seed), eval=replace(plain.eval, baselines=()))
        return applied(alone, self.tuned)

    @property
    def inputs(self) -> dict[str, Any]:
        """What the figures depend on; JSON-able."""
        return {
            "snapshot": self.data.snapshot.fingerprint,
            "vectors": self.data.vectors_digest,
            "config": self._settings(),
            "cold": None if self.data.cold is None else hashlib.sha256(self.data.cold.tobytes()).hexdigest()[:16],
            "model": self.model,
            "seed": self.seed,
            "code": self.code,
        }

    def _settings(self) -> dict[str, Any]:
        """The settings by their values, but those of other recommenders."""
        return own_settings(self.model, to_dict(self.config))

    def stem(self, folder: Path) -> Path:
        """The cell's files without their suffix, below the folder of all cells."""
        key = hashlib.sha256(json.dumps(self.inputs, sort_keys=True).encode()).hexdigest()[:16]
        return folder / self.protocol.name / f"{self.model}-{self.seed}-{key}"


def own_settings(model: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What of all settings, by their values, a model's figures depend on; a fusion's and `auto`'s on all of them."""
    if model not in CATALOGUE:
        return settings
    own = model.replace("-", "_")
    models = {k: v for k, v in settings["models"].items() if k == own or not isinstance(v, dict)}
    kept = {k: v for k, v in settings.items() if k not in ("fusion", "auto")} | {"models": models}
    if model != NETWORK:
        kept["train"] = {k: v for k, v in settings["train"].items() if k in EVERYBODYS}
        del kept["model"]
    return kept


def run_cell(cell: Cell, stem: Path, progress: Progress | None = None, within: Sequence[Cell] = ()) -> dict[str, Any]:
    """Train and evaluate; the only place that calls the model room.

    A training that was interrupted goes on from its checkpoint.

    Args:
        cell: what to measure.
        stem: the cell's files without suffix; the per-user tables are written here.
        progress: where work reports.
        within: cells of a fusion's parts, to be measured by the way; their tables are written too.

    Returns:
        JSON-able: `PARTS` as `gnn.evaluation` reports them, their one recommender taken out, `validation` NDCG per
        task, `seconds` of training, `split`, `facts`. And `within`: those of the parts' cells that have weight, each
        with the same of its own.

    Raises:
        ShopgraphError: the model cannot be trained on this data.
    """
    from gnn.evaluation.evaluate import evaluate
    from gnn.model.training import train

    progress = progress or SilentProgress()
    data, work = cell.data, work_folder(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    again, bundle = NEEDS.get(cell.model, Needs()).trained, work / "eval"
    trained = train(
        data.snapshot, data.vectors, cell.config, bundle, progress, model=cell.model, resume=True, refit=again
    )
    records = {cell.model: _trained(trained, cell.model, trained["seconds"])}
    weighed = {name for weights in trained["fusion"].values() for name, weight in weights.items() if weight}
    within = [one for one in within if one.model in weighed]
    records |= {one.model: _trained(trained, one.model, trained["parts"][one.model]["seconds"]) for one in within}
    bundles = {TASKS: bundle} | ({REFIT: bundle.with_name("live")} if again else {})
    for part, folder in bundles.items():
        graphs = {part: data.snapshot}
        if data.cold is not None:
            graphs[ALONE if part == TASKS else REFIT_ALONE] = cold_alone(data.snapshot, data.cold)
        for name, graph in graphs.items():
            found = evaluate(folder, graph, data.vectors, progress, per_user=with_suffix(stem, SUFFIX[name]))
            for model, record in records.items():
                record[name] = {task: _one(said, model) for task, said in found["tasks"].items()}
    for one in within:
        keep_users(cell, stem, one.model, one.stem(stem.parent.parent))
    keep_users(cell, stem, cell.model)  # replaces the large tables, so last
    shutil.rmtree(work, ignore_errors=True)
    return records[cell.model] | {"within": [(one, records[one.model]) for one in within]}


def work_folder(stem: Path) -> Path:
    """Where a cell's checkpoints and bundles lie while it is measured."""
    return stem.with_name(f".{stem.name}")


def _trained(trained: Mapping[str, Any], model: str, seconds: float) -> dict[str, Any]:
    return {
        "validation": {task: said["ndcg"].get(model) for task, said in trained["validation"].items()},
        "seconds": seconds,
        "split": trained["split"],
        "facts": {key: trained[key] for key in ("parts", "fusion", "notes", "threads")},
    }


def cold_alone(snapshot: Snapshot, cold: Any) -> Snapshot:
    """The same graph where cold products alone may be recommended.

    It keeps its fingerprint: the rows are the same, so the bundle's recommenders are used as they are.
    """
    product = snapshot.nodes["Product"]
    column = product.columns["recommendable"].fill_null(True).to_numpy() if _says(product) else np.ones(len(product))
    allowed = pa.array(np.asarray(column, dtype=np.bool_) & cold)
    columns = product.columns.drop_columns(["recommendable"]) if _says(product) else product.columns
    nodes = snapshot.nodes | {"Product": NodeTable(product.ids, columns.append_column("recommendable", allowed))}
    only = Snapshot(nodes, snapshot.edges)
    only.__dict__["fingerprint"] = snapshot.fingerprint
    return only


def _says(product: NodeTable) -> bool:
    return "recommendable" in product.columns.column_names


def _one(task: Mapping[str, Any], model: str) -> dict[str, Any]:
    """A task's report with the figures of `model` alone; none where it says nothing about the task."""
    sizes = {key: task[key] for key in ("users", "cold_users", "candidates", "relevant")}
    found = task["recommenders"].get(model)
    return sizes | ({} if found is None else {key: found[key] for key in ("metrics", "lists", "slices")})


def with_suffix(stem: Path, suffix: str) -> Path:
    """A file of the cell: `stem` may have dots of its own."""
    return stem.with_name(stem.name + suffix)


def load(stem: Path) -> dict[str, Any] | None:
    """What is kept of a cell, None where it has not been measured."""
    path = with_suffix(stem, ".json")
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def keep(cell: Cell, stem: Path, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Write what came of a cell, with when and of what; returns the record."""
    named = {"protocol": cell.protocol.name, "model": cell.model, "seed": cell.seed, "inputs": cell.inputs}
    named["settings"] = dict(cell.protocol.settings)
    now = datetime.now(UTC)
    record = named | {"date": now.date().isoformat(), "at": now.isoformat(timespec="seconds")} | dict(outcome)
    write_whole(with_suffix(stem, ".json"), json.dumps(record, indent=1, default=str))
    return record


def keep_users(cell: Cell, stem: Path, name: str, to: Path | None = None) -> None:
    """Make the evaluation's tables of users small: the page's metrics of `name` alone, users by their row.

    Of 22,363 users and 3 metrics some 30 kB are left, at `to` or where the large ones were.
    """
    rows = cell.data.snapshot.nodes["User"].ids
    for suffix in SUFFIX.values():
        path = with_suffix(stem, suffix)
        if path.exists():
            table = pd.read_parquet(path)
            table = table[table["recommender"] == name]
            small = pd.DataFrame({"task": table["task"], "user": rows.rows(table["user_id"].tolist()).astype(np.int32)})
            for metric in cell.protocol.metrics:
                small[metric] = table[metric].astype(np.float32)
            small = small.sort_values(["task", "user"])
            small.to_parquet(with_suffix(to or stem, suffix), index=False, compression="zstd", compression_level=19)


def per_user(stem: Path, task: str, snapshot: Snapshot, part: str = TASKS) -> pd.DataFrame:
    """The page's metrics of every user of `task`, by user_id; the cell is of this graph."""
    table = pd.read_parquet(with_suffix(stem, SUFFIX[part]))
    mine = table[table["task"] == task]
    ids = snapshot.nodes["User"].ids.take(mine["user"].to_numpy())
    return mine.drop(columns=["task", "user"]).astype(np.float64).set_axis(pd.Index(ids, name="user_id"))
