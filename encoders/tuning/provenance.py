"""How a tuned encoder was made: a small file in its directory that travels with the vectors it makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encoders.errors import EncoderError

FILE = "finetune.json"
FORMAT = 1


def provenance(
    base: Mapping[str, str],
    split: Mapping[str, Any],
    settings: Mapping[str, Any],
    found: Mapping[str, Any],
    earlier: Mapping[str, Any],
) -> dict[str, Any]:
    """What is written of a tuning; equal tunings write the same.

    Args:
        base: `model`, `revision` and `digest` of the model begun with.
        split: up to where events were seen (`gnn.protocol.text_reach.reach`).
        settings: of the tuning.
        found: texts, pairs, steps, validation.
        earlier: provenance of the model begun with, where it was tuned itself; else empty.
    """
    return {
        "format": FORMAT,
        "base": dict(base),
        "split": dict(split),
        "settings": dict(settings),
        **found,
        "earlier": dict(earlier),
    }


def write_provenance(folder: Path, said: Mapping[str, Any]) -> None:
    """Write the file into the model's directory."""
    (folder / FILE).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def read_provenance(folder: Path) -> dict[str, Any]:
    """What stands in a model's directory; empty: the model was not tuned here.

    Raises:
        EncoderError: the file cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if said["format"] != FORMAT or not isinstance(said["split"], dict):
            raise EncoderError(f"the tuned encoder has format {said['format']}, not {FORMAT}", str(path), _REMEDY)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError("what the encoder was tuned on cannot be read", str(path), _REMEDY) from error
    return said


_REMEDY = "run shopgraph finetune again"
