"""Feeds a device: the next step is planned on the host while this one computes, and no copy is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def sent(value: T, device: torch.device) -> T:
    """`value` with every tensor in it on `device`: a tensor, or dataclasses and tuples of them.

    Copies to a GPU come from pinned memory and run behind what it has been given before; the host goes on at once.
    """
    return _sent(value, device)  # type: ignore[no-any-return]


def _sent(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else value.to(device)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _sent(getattr(value, f.name), device) for f in fields(value)})
    if isinstance(value, tuple):
        return tuple(_sent(part, device) for part in value)
    return value


def ahead(steps: Iterable[T], device: torch.device) -> Iterator[T]:
    """`steps` on `device`, in their order; for a GPU the next one is made in a thread while the last is worked on.

    On the CPU there is nothing to hide behind: a step is made when it is asked for.
    """
    if device.type != "cuda":
        for step in steps:
            yield sent(step, device)
        return
    source = iter(steps)
    with ThreadPoolExecutor(1, "plan") as pool:
        waiting = pool.submit(_next, source, device)
        while (made := waiting.result()) is not None:
            waiting = pool.submit(_next, source, device)
            yield made


def _next(source: Iterator[T], device: torch.device) -> T | None:
    step = next(source, None)
    return None if step is None else sent(step, device)


def fused_on(device: torch.device) -> bool | None:
    """Whether torch's optimisers change all weights in one kernel; None: as torch chooses."""
    return True if device.type == "cuda" else None
