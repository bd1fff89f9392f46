"""The model bundle: a folder with weights, id maps, settings and fitted recommenders, whole or not there."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors

from gnn.config import GnnConfig, SplitConfig
from gnn.errors import GnnError
from gnn.model.fusion import Fused
from gnn.model.parts import NETWORK, Penalties, unfitted
from gnn.network.scores import NetworkScores
from gnn.protocol.events import Interactions
from gnn.protocol.recommender import Fitted
from gnn.protocol.tasks import NEXT
from ingest.config_dict import from_dict, to_dict
from kg.snapshot import IdMap

FORMAT = 1


@dataclass(frozen=True)
class Bundle:
    """A trained model, in the rows of the graph it was trained on.

    Attributes:
        config: the settings, with the split's cut-offs resolved.
        fingerprint: of the snapshot it was trained on.
        ids: id map per label of the message graph, users and products first.
        relations: names of the message graph's relations.
        text_width: width of the text vectors, 0 without.
        weights: parameters of the network.
        history: the pairs that the parts were fitted on: train and valid.
        parts: network and counting recommenders by name, fitted on `history`.
        fusion: per task, weight per component.
        penalties: of EASE.
        record: what training measured; JSON-able.
    """

    config: GnnConfig
    fingerprint: str
    ids: dict[str, IdMap]
    relations: tuple[str, ...]
    text_width: int
    weights: dict[str, torch.Tensor]
    history: Interactions
    parts: dict[str, Fitted]
    fusion: dict[str, dict[str, float]]
    penalties: Penalties
    record: dict[str, Any]

    def fused(self, parts: Mapping[str, Fitted], reference: NDArray[np.int64], task: str) -> Fused:
        """The fused recommender of `task` over `parts`; new-product's weights where validation had no such task."""
        weights = self.fusion.get(task) or next(iter(self.fusion.values()))
        return Fused(parts, weights, reference, masks_seen=task != NEXT)

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
        save_tensors(
            {k: v.detach().cpu().contiguous() for k, v in self.weights.items()}, folder / "weights.safetensors"
        )
        _save(_pairs(self.history), folder / "history.safetensors")
        for name, part in self.parts.items():
            state = part.state()
            if state:
                _save(state, folder / f"part-{name}.safetensors")
        head = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "config": to_dict(self.config),
            "labels": list(self.ids),
            "relations": list(self.relations),
            "text_width": self.text_width,
            "n_items": self.history.n_items,
            "parts": list(self.parts),
            "fusion": self.fusion,
            "penalties": asdict(self.penalties),
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
        config, penalties = from_dict(GnnConfig, head["config"], str(folder)), Penalties(**head["penalties"])
        pairs = load_arrays(folder / "history.safetensors")
        history = Interactions(n_items=int(head["n_items"]), **pairs)
        available: dict[str, Fitted] = {**unfitted(config.baselines, penalties), NETWORK: NetworkScores()}
        parts: dict[str, Fitted] = {}
        for name in head["parts"]:
            file = folder / f"part-{name}.safetensors"
            available[name].restore(history, load_arrays(file) if file.exists() else {})
            parts[name] = available[name]
        return cls(
            config,
            head["fingerprint"],
            {label: IdMap(_column(folder / f"ids-{label}.parquet")) for label in head["labels"]},
            tuple(head["relations"]),
            int(head["text_width"]),
            load_tensors(folder / "weights.safetensors"),
            history,
            parts,
            head["fusion"],
            penalties,
            head["record"],
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


def _pairs(history: Interactions) -> dict[str, NDArray[np.generic]]:
    names = ("indptr", "items", "counts", "recent", "first", "last")
    return {name: getattr(history, name) for name in names}


def _save(arrays: Mapping[str, NDArray[np.generic]], path: Path) -> None:
    save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def _column(path: Path) -> pa.Array:
    whole = pq.read_table(path)["id"].combine_chunks()
    array = whole if isinstance(whole, pa.Array) else whole.chunk(0)
    return array.cast(pa.large_string())
