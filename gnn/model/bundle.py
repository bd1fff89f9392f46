"""The model bundle: a folder with weights, id maps, settings and fitted recommenders, whole or not there."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays

from gnn.config import GnnConfig, SplitConfig
from gnn.errors import GnnError
from gnn.model.catalogue import make
from gnn.model.fusion import Fused, StandIn
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted
from gnn.protocol.tasks import NEXT
from ingest.config_dict import from_dict, to_dict
from kg.snapshot import IdMap

FORMAT = 4


@dataclass(frozen=True)
class Bundle:
    """A trained model, in the rows of the graph it was trained on.

    Attributes:
        config: the settings, with the split's cut-offs resolved.
        fingerprint: of the snapshot it was trained on.
        ids: id map per label of that snapshot.
        model: what it serves: the name of a part, or `fused`.
        history: the pairs that the parts know: train and valid.
        parts: fitted recommenders by name: what is served, and the baselines that are reported beside it.
        fusion: per task, weight per part.
        record: what training measured; JSON-able.
        stand_ins: per task, what stands for parts that can say nothing of a product.
    """

    config: GnnConfig
    fingerprint: str
    ids: dict[str, IdMap]
    model: str
    history: Interactions
    parts: dict[str, Fitted]
    fusion: dict[str, dict[str, float]]
    record: dict[str, Any]
    stand_ins: dict[str, StandIn] = field(default_factory=dict)

    def fused(self, parts: Mapping[str, Fitted], reference: NDArray[np.int64], task: str) -> Fused:
        """The recommender of `task` over `parts`; new-product's weights where validation had no such task."""
        told = task if self.fusion.get(task) else next(iter(self.fusion))
        stand_in = self.stand_ins.get(told)
        return Fused(parts, self.fusion[told], reference, masks_seen=task != NEXT, name=self.model, stand_in=stand_in)

    def save(self, folder: Path) -> None:
        """Write to `folder`, which appears whole or not at all and replaces an older one."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            self._write(scratch)
            if folder.exists():
                shutil.rmtree(folder)
            scratch.replace(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _write(self, folder: Path) -> None:
        for label, ids in self.ids.items():
            pq.write_table(pa.table({"id": ids.ids}), folder / f"ids-{label}.parquet")
        _save(self.history.to_arrays(), folder / "history.safetensors")
        for name, part in self.parts.items():
            state = part.state()
            if state:
                _save(state, folder / f"part-{name}.safetensors")
        head = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "config": to_dict(self.config),
            "labels": list(self.ids),
            "n_items": self.history.n_items,
            "model": self.model,
            "parts": {name: dict(part.facts) for name, part in self.parts.items()},
            "fusion": self.fusion,
            "stand_ins": {task: asdict(stand_in) for task, stand_in in self.stand_ins.items()},
            "record": self.record,
        }
        (folder / "bundle.json").write_text(json.dumps(head, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Read the bundle in `folder`.

        Raises:
            GnnError: there is none, it is incomplete, or of another format.
        """
        head = read_head(folder)
        try:
            return cls._read(folder, head)
        except (OSError, KeyError, ValueError, TypeError, SafetensorError) as error:
            raise GnnError("the model is damaged", str(folder), "run shopgraph train again") from error

    @classmethod
    def _read(cls, folder: Path, head: dict[str, Any]) -> Bundle:
        config = from_dict(GnnConfig, head["config"], str(folder))
        history = Interactions.from_arrays(load_arrays(folder / "history.safetensors"), int(head["n_items"]))
        parts: dict[str, Fitted] = {}
        for name, facts in head["parts"].items():
            file = folder / f"part-{name}.safetensors"
            parts[name] = make(name, config, None)
            parts[name].restore(history, load_arrays(file) if file.exists() else {}, facts)
        return cls(
            config,
            head["fingerprint"],
            {label: IdMap(_column(folder / f"ids-{label}.parquet")) for label in head["labels"]},
            head["model"],
            history,
            parts,
            head["fusion"],
            head["record"],
            {task: StandIn(**said) for task, said in head.get("stand_ins", {}).items()},
        )


def read_head(folder: Path) -> dict[str, Any]:
    """The description of the bundle in `folder`, without its arrays.

    Raises:
        GnnError: there is none, or it is of another format.
    """
    try:
        head: dict[str, Any] = json.loads((folder / "bundle.json").read_text())
    except (OSError, ValueError) as error:
        raise GnnError("there is no model", str(folder), "run shopgraph train first") from error
    if head.get("format") != FORMAT:
        what = f"the model has format {head.get('format')}, this version reads {FORMAT}"
        raise GnnError(what, str(folder), "run shopgraph train again")
    return head


def resolved(config: SplitConfig, method: str, cutoffs: Mapping[str, str]) -> SplitConfig:
    """The split settings with what `auto` and None meant, so that another graph is parted at the same instants."""
    return SplitConfig(**{**asdict(config), "method": method, **cutoffs})


def _save(arrays: Mapping[str, NDArray[np.generic]], path: Path) -> None:
    save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def _column(path: Path) -> pa.Array:
    whole = pq.read_table(path)["id"].combine_chunks()
    array = whole if isinstance(whole, pa.Array) else whole.chunk(0)
    return array.cast(pa.large_string())
