"""Texts a second on a GPU: ours in two precisions beside sentence-transformers in two, on the same texts in one run."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console

from bench.encoding import LIBRARY, Encode, library
from bench.measure import MIB
from bench.quality.datasets import DATA, prepare
from encoders.config import BUILTIN, EncoderConfig
from encoders.product_text import product_texts
from encoders.text_encoder import TextEncoder
from encoders.variants import agreement
from ingest.progress import SilentProgress
from shopgraph.cli.console import table

ROUNDS = 5
NEAREST_AMONG = 3000
"""Texts, evenly drawn, among which the nearest are compared."""
HEADS = ("", "texts/s", "x library fp32", "least-most", "cosine", "ten nearest", "GPU MiB")


def sides(model: str) -> dict[str, Encode]:
    """Every way, its weights loaded."""
    ours = {f"ours {p}": TextEncoder(EncoderConfig(model, device="cuda", precision=p)) for p in ("fp32", "bf16")}
    files = ours["ours fp32"].files
    precisions = {"fp32": torch.float32, "bf16": torch.bfloat16}
    theirs = {
        f"{LIBRARY} {name}": library(files, "cuda", 256, model_kwargs={"dtype": dtype})
        for name, dtype in precisions.items()
    }
    return theirs | {name: encoder.encode for name, encoder in ours.items()}


def encoding(out: Console, model: str | None) -> dict[str, Any]:
    """All different texts of Complete Journey, all ways in turn, several rounds."""
    texts = sorted(set(product_texts(prepare(DATA["complete-journey"], SilentProgress()).snapshot)))
    ways = sides(model or BUILTIN)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    vectors, memory = {}, {}
    for encode in ways.values():
        encode(texts[:2000])
    for _ in range(ROUNDS):
        for name, encode in ways.items():
            torch.cuda.reset_peak_memory_stats()
            began = time.perf_counter()
            vectors[name] = np.asarray(encode(texts), np.float32)
            seconds[name].append(time.perf_counter() - began)
            memory[name] = torch.cuda.max_memory_allocated() / MIB
    base, exact = seconds[f"{LIBRARY} fp32"], vectors[f"{LIBRARY} fp32"]
    rows, report = [], {}
    for name, spent in seconds.items():
        some = np.linspace(0, len(texts) - 1, min(len(texts), NEAREST_AMONG)).astype(int)
        cosine, overlap = agreement(exact[some], vectors[name][some])
        ratios = [b / s for b, s in zip(base, spent, strict=True)]
        rows.append((name, f"{len(texts) / median(spent):,.0f}", f"{median(ratios):.2f}",
                     f"{min(ratios):.2f}-{max(ratios):.2f}", f"{cosine:.5f}", f"{overlap:.3f}",
                     f"{memory[name]:,.0f}"))  # fmt: skip
        report[name] = {"seconds": spent, "cosine": cosine, "overlap": overlap, "gpu_mib": memory[name]}
    title = f"{len(texts):,} texts of Complete Journey on {torch.cuda.get_device_name(0)}, {ROUNDS} rounds"
    out.print(table(title, HEADS, rows, right=HEADS[1:]))
    return {"texts": len(texts), "sides": report}
