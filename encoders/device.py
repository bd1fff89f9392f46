"""Where encoding and tuning compute, and whether half precision pays there."""

from __future__ import annotations

import torch

from encoders.errors import EncoderError


def device_of(name: str, setting: str) -> torch.device:
    """The device that `name` means: `cpu`, `cuda`, or `auto`, the GPU where there is one.

    Args:
        name: what is asked for.
        setting: what asks for it, to be named in the error.

    Raises:
        EncoderError: CUDA is asked for and not there.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise EncoderError("there is no CUDA device", setting, "use auto or cpu, or check `shopgraph doctor`")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def half_pays(device: torch.device) -> bool:
    """Whether matrix products are faster in bf16: on a GPU, and on a CPU with AMX."""
    return device.type == "cuda" or bool(torch.cpu.get_capabilities().get("amx_bf16", False))
