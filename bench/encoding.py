"""Texts a second of every way to encode, beside sentence-transformers' own fp32 `encode` on the same texts in one run.

    python -m bench.encoding [--out FILE] [--texts N] [--rounds N] [--threads N] [--model NAME]

The different texts of Complete Journey are cut into as many parts as rounds; each way encodes every part in its turn,
in a process of its own, so that its memory is its own and a slow moment of the machine hits all of them. Ratios are of
the same part. Cosine and neighbours are those of all parts together, beside our fp32.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bench.measure import MIB, machine, write_report
from bench.quality.datasets import DATA, prepare, standing
from encoders.config import BUILTIN, EncoderConfig
from encoders.errors import EncoderError
from encoders.model_files import ModelFiles
from encoders.product_text import product_texts
from encoders.quiet import quietly
from encoders.text_encoder import TextEncoder
from encoders.variants import VARIANTS, agreement, near_enough, settle
from ingest.progress import SilentProgress
from shopgraph.cli.console import PIPE_WIDTH, table

LIBRARY = "sentence-transformers"
Encode = Callable[[list[str]], NDArray[np.float32]]


def encoder_of(side: str, config: EncoderConfig, texts: list[str], folder: Path) -> Encode:
    """What encodes, with its weights loaded."""
    if side != LIBRARY:
        ours = TextEncoder(replace(config, precision=side), folder)
        ours.encode(texts[:8])
        return ours.encode
    encode = library(TextEncoder(config).files)
    encode(texts[:8])
    return encode


def library(files: ModelFiles, device: str = "cpu", batch: int = 32, **options: Any) -> Encode:
    """sentence-transformers' own `encode` with the same weights and token limit; `options` are its constructor's."""
    with quietly(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(files.folder), device=device, **options)
    model.max_seq_length = files.max_tokens
    return partial(model.encode, batch_size=batch, normalize_embeddings=True, show_progress_bar=False)


def work(side: str, config: EncoderConfig, job: Path) -> None:
    """The process of one side: answers each line (the number of a part) with seconds, CPU seconds and peak memory."""
    texts = json.loads((job / "texts.json").read_text())
    parts = json.loads((job / "parts.json").read_text())
    encode = encoder_of(side, config, texts, job)
    print("ready", flush=True)
    for line in sys.stdin:
        part = [texts[row] for row in parts[int(line)]]
        began, used = time.perf_counter(), time.process_time()
        vectors = encode(part)
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        np.save(job / f"{side}-{int(line)}.npy", vectors)
        print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mib": _peak_mib()}), flush=True)


def _peak_mib() -> int:
    """This process's largest memory; getrusage would count that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return round(int(status.partition("VmHWM:")[2].split()[0]) * 1024 / MIB)


def measure(config: EncoderConfig, texts: list[str], rounds: int, threads: int) -> dict[str, dict[str, Any]]:
    """Every side's answers per part, and how near its vectors are to fp32's."""
    sides = [LIBRARY, *VARIANTS]
    parts = [part.tolist() for part in np.array_split(np.random.default_rng(0).permutation(len(texts)), rounds)]
    found: dict[str, dict[str, Any]] = {side: {"parts": []} for side in sides}
    with ExitStack() as stack:
        job = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (job / "texts.json").write_text(json.dumps(texts))
        (job / "parts.json").write_text(json.dumps(parts))
        workers = {}
        for side in sides:
            try:
                if side != LIBRARY:  # what is exported and calibrated here does not count as a worker's memory
                    settle(replace(config, precision=side), texts, job, SilentProgress())
            except EncoderError as error:
                found[side]["refused"] = error.what
                continue
            command = [sys.executable, "-m", "bench.encoding", "--side", side, "--job", str(job)]
            command += ["--model", config.model, "--threads", str(threads)]
            env = os.environ | {"OMP_NUM_THREADS": str(threads)}
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
            stack.callback(worker.wait)
            stack.callback(worker.stdin.close)  # type: ignore[union-attr]
            worker.stdout.readline()  # type: ignore[union-attr]
            workers[side] = worker
        for number in range(rounds):
            for side, worker in workers.items():
                print(number, file=worker.stdin, flush=True)
                found[side]["parts"].append(json.loads(worker.stdout.readline()))  # type: ignore[union-attr]
        read = {side: np.concatenate([np.load(job / f"{side}-{n}.npy") for n in range(rounds)]) for side in workers}
    for side, vectors in read.items():
        cosine, overlap = agreement(read["fp32"], vectors)
        found[side] |= {"cosine": round(cosine, 5), "overlap": round(overlap, 4)}
        if not near_enough(cosine, overlap):
            found[side]["remark"] = "too far from fp32"
    return found


def summary(found: dict[str, dict[str, Any]], sizes: list[int]) -> list[tuple[str, ...]]:
    """A row per side: medians over the parts; ratios to sentence-transformers on the same part, of time and of CPU."""
    library = found[LIBRARY]["parts"]
    rows = []
    for side, one in found.items():
        if "refused" in one:
            rows.append((side, *[""] * 8, one["refused"]))
            continue
        parts = one["parts"]
        ratios = [ours["seconds"] for ours in parts], [ours["cpu"] for ours in parts]
        rate = sum(sizes) / sum(part["seconds"] for part in parts)
        cpu = 1000 * sum(part["cpu"] for part in parts) / sum(sizes)
        faster = [base["seconds"] / ours for base, ours in zip(library, ratios[0], strict=True)]
        leaner = [base["cpu"] / ours for base, ours in zip(library, ratios[1], strict=True)]
        rows.append((
            side, f"{rate:.0f}", f"{median(faster):.2f}", f"{min(faster):.2f}-{max(faster):.2f}", f"{cpu:.2f}",
            f"{median(leaner):.2f}", f"{one['cosine']:.5f}", f"{one['overlap']:.3f}", f"{parts[-1]['peak_mib']:,}",
            one.get("remark", ""),
        ))  # fmt: skip
    return rows


HEADS = (
    "",
    "texts/s",
    "x library",
    "least-most",
    "CPU ms/text",
    "x library, CPU",
    "cosine",
    "ten nearest",
    "peak MiB",
    "",
)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench/results/encoding.json"))
    parser.add_argument("--texts", type=int, default=0, help="so many of the texts, drawn evenly (0: all)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--model", default=BUILTIN)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    config = EncoderConfig(model=args.model, device="cpu", precision="fp32", threads=args.threads)
    if args.side:
        work(args.side, config, args.job)
        return
    data = DATA["complete-journey"]
    snapshot = (standing(data) or prepare(data)).snapshot
    texts = sorted(set(product_texts(snapshot)))
    if args.texts:
        texts = [texts[row] for row in np.linspace(0, len(texts) - 1, args.texts).astype(int)]
    found = measure(config, texts, args.rounds, args.threads)
    sizes = [len(part) for part in np.array_split(np.arange(len(texts)), args.rounds)]
    rows = summary(found, sizes)
    out = Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH)
    title = f"{len(texts):,} texts of Complete Journey, {args.rounds} rounds, {args.threads} threads"
    out.print(table(title, HEADS, rows, right=HEADS[1:-1]))
    report = {"machine": machine(), "model": args.model, "texts": len(texts), "threads": args.threads, "sides": found}
    write_report(report, args.out)


if __name__ == "__main__":
    main()
