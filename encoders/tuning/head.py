"""A linear layer over the vectors of a model that stays as it is: the tuning that costs seconds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from encoders.model_files import ModelFiles
from encoders.tuning.pairs import Rows

_OWN = "sentence_transformers.models"
_BLOCK = 16_384


class Head:
    """The layer while it is tuned, over the vectors of known texts; it begins as the identity.

    Args:
        files: the model that made the vectors.
        vectors: unit vectors of the texts, float32, shape (n_texts, dim).
    """

    refresh = 5

    def __init__(self, files: ModelFiles, vectors: NDArray[np.float32]) -> None:
        self.files, self.device = files, torch.device("cpu")
        self.given = torch.from_numpy(np.array(vectors, np.float32))
        self.layer = nn.Linear(files.dim, files.dim)
        nn.init.eye_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""
        return dict(self.layer.named_parameters())

    def state(self) -> dict[str, Tensor]:
        """A copy of the trained weights."""
        return {name: p.detach().clone() for name, p in self.weights.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take weights that `state` gave."""
        self.layer.load_state_dict(state)

    def vectors(self, rows: Rows) -> Tensor:
        """Unit vectors of the texts `rows`, with their gradient; float32, shape (len(rows), dim)."""
        return nn.functional.normalize(self.layer(self.given[torch.from_numpy(rows)]), dim=1)

    def encoded(self, rows: Rows) -> NDArray[np.float32]:
        """Unit vectors without gradient, shape (len(rows), dim)."""
        found = np.empty((len(rows), self.files.dim), np.float32)
        with torch.inference_mode():
            for at in range(0, len(rows), _BLOCK):
                found[at : at + _BLOCK] = self.vectors(rows[at : at + _BLOCK]).numpy()
        return found

    def save(self, folder: Path) -> None:
        """Write the model that made the vectors with the layer behind it, as sentence-transformers lays it out."""
        base = self.files.folder
        shutil.copytree(base, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("onnx", "openvino", ".*"))
        modules = self._modules()
        place = folder / str(len(modules))
        modules += [(place.name, f"{_OWN}.Dense"), (str(len(modules) + 1), f"{_OWN}.Normalize")]
        place.mkdir()
        size = {"in_features": self.files.dim, "out_features": self.files.dim, "bias": True}
        said = size | {"activation_function": "torch.nn.modules.linear.Identity"}
        (place / "config.json").write_text(json.dumps(said, indent=1))
        save_file({f"linear.{n}": p.contiguous() for n, p in self.state().items()}, place / "model.safetensors")
        listed = [{"idx": n, "name": str(n), "path": path, "type": kind} for n, (path, kind) in enumerate(modules)]
        (folder / "modules.json").write_text(json.dumps(listed, indent=1))

    def _modules(self) -> list[tuple[str, str]]:
        """Folder and class of the model's modules, which end in vectors of length one."""
        path = self.files.folder / "modules.json"
        if path.exists():
            read: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
            found = [(str(m.get("path", "")), str(m["type"])) for m in read]
        else:
            found = [("", f"{_OWN}.Transformer"), ("1_Pooling", f"{_OWN}.Pooling")]
        if not found[-1][1].endswith(".Normalize"):
            found.append((f"{len(found)}_Normalize", f"{_OWN}.Normalize"))
        return found
