"""What tuning the text encoder on the graph brings: frozen against tuned, for new products, for all, and in search.

    python -m bench.finetuned [DATA …] [--method lora full] [--set KEY=VALUE …] [--whole] [--seed N] [--out FILE]

The encoder is tuned on the training part of the cold split of the data, in which a tenth of the products has no event
before test; steps are chosen on texts set aside within that part. Then test is read: by the recommender `text`, with
--whole also by the graph network, cold products ranked alone and among all; and in search by vectors alone. Brackets
are 95 % bootstrap intervals over users (queries), differences are paired. What is tuned and encoded is kept below
.cache/finetuned, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from bench.data.source import ROOT
from bench.finetuned_search import Queries, known_items, type_queries
from bench.measure import machine, write_report
from bench.quality.cells import ALONE, Cell, per_user, run_cell
from bench.quality.datasets import DATA, Prepared, prepare, standing
from bench.quality.protocols import PROTOCOLS
from encoders.cache import encode_cached
from encoders.config import EncoderConfig
from encoders.text_encoder import TextEncoder
from encoders.tuning.config import FinetuneConfig
from encoders.tuning.pairs import Material
from encoders.tuning.tune import tune_encoder
from gnn.config import EvalConfig, GnnConfig
from gnn.measure.bootstrap import Bootstrap
from gnn.model.align import make_split
from gnn.protocol.text_pairs import text_pairs, with_needs
from gnn.protocol.text_reach import reach, refuse_past
from ingest.config_dict import with_setting
from ingest.progress import Progress
from shopgraph.cli.console import PIPE_WIDTH, progress, table
from shopgraph.finetuning import distinct_texts

FOLDER = ROOT / ".cache" / "finetuned"
FROZEN = "frozen"
SEARCH = {"complete-journey": type_queries, "beauty": known_items}
Columns = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Bench:
    """One data set.

    Attributes:
        name: of the data set without `-cold`.
        data: its cold split.
        seed: of the network's training.
        shown: where work reports.
    """

    name: str
    data: Prepared
    seed: int
    shown: Progress

    @property
    def config(self) -> GnnConfig:
        """The settings of the split."""
        return Cell(PROTOCOLS[f"{self.name}-cold"], "text", self.seed, self.data, "").config

    def cell(self, model: str, vectors: NDArray[np.float32], digest: str) -> Cell:
        """The scoreboard's measurement of `model` with these text vectors."""
        data = replace(self.data, vectors=vectors, vectors_digest=digest)
        return Cell(PROTOCOLS[f"{self.name}-cold"], model, self.seed, data, "")

    def tuned(self, config: FinetuneConfig) -> tuple[EncoderConfig, dict[str, Any]]:
        """The encoder tuned on the training part, from an earlier run where it is there, and what was said of it."""
        snapshot = self.data.snapshot
        split = make_split(snapshot, self.config)
        texts, text_of = distinct_texts(snapshot)
        seen = reach(split, snapshot)
        key = hashlib.sha256(json.dumps([snapshot.fingerprint, seen, repr(config), texts]).encode()).hexdigest()[:12]
        place = FOLDER / f"{self.name}-{config.method}-{key}"
        if not (place / "said.json").exists():
            place.mkdir(parents=True, exist_ok=True)
            vectors = self.encoded(EncoderConfig(), texts)
            pairs = text_pairs(split, text_of, window_days=config.window_days, stretch=config.stretch, most=config.most)
            pairs = with_needs(pairs, snapshot, text_of, config.needs, config.seed)
            material = Material(texts, vectors, pairs, seen)
            said = tune_encoder(EncoderConfig(), material, config, place / "encoder", place / "state.pt", self.shown)
            (place / "said.json").write_text(json.dumps(said, indent=1))
        said = json.loads((place / "said.json").read_text())
        refuse_past(said, split, snapshot)
        return EncoderConfig(model=str(place / "encoder")), said

    def encoded(self, config: EncoderConfig, texts: list[str]) -> NDArray[np.float32]:
        """Vectors of distinct texts."""
        vectors, _ = encode_cached(TextEncoder(config), texts, FOLDER / "vectors", self.shown)
        return vectors

    def products(self, config: EncoderConfig) -> tuple[NDArray[np.float32], str]:
        """Vectors of the products by an encoder, zeros where there is no text, and their name."""
        texts, text_of = distinct_texts(self.data.snapshot)
        vectors = self.encoded(config, texts)[text_of]
        vectors[text_of < 0] = 0
        return vectors, TextEncoder(config).digest

    def ranked(self, model: str, config: EncoderConfig) -> dict[str, pd.DataFrame]:
        """Metrics of every user by question: new products among all, and the cold ones alone."""
        cell = self.cell(model, *self.products(config))
        stem = cell.stem(FOLDER / "cells")
        if not stem.with_name(stem.name + ".json").exists():
            record = run_cell(cell, stem, self.shown)
            stem.with_name(stem.name + ".json").write_text(json.dumps(record, indent=1, default=str))
        task = "new-product"
        return {
            f"{model}: cold products alone": per_user(stem, task, self.data.snapshot, ALONE),
            f"{model}: all products": per_user(stem, task, self.data.snapshot),
        }

    def searched(self, queries: Queries, config: EncoderConfig) -> Columns:
        """Metrics of every query."""
        words = TextEncoder(config).queries(queries.words)
        return queries.measured(words, self.encoded(config, list(queries.texts)))


def compared(columns: Mapping[str, Columns]) -> dict[str, Any]:
    """Means per encoder, and the paired differences to the frozen one, with their intervals; JSON-able."""
    names = list(columns[FROZEN])
    boot = Bootstrap(len(columns[FROZEN][names[0]]), EvalConfig())
    out: dict[str, Any] = {}
    for encoder, values in columns.items():
        mean = boot.intervals(np.stack([values[n] for n in names], axis=1))
        out[encoder] = {n: {"mean": i.to_dict()} for n, i in zip(names, mean, strict=True)}
        if encoder != FROZEN:
            gain = boot.differences(np.stack([values[n] - columns[FROZEN][n] for n in names], axis=1))
            for n, i in zip(names, gain, strict=True):
                out[encoder][n]["gain"] = i.to_dict()
    return out


def measured(bench: Bench, encoders: Mapping[str, EncoderConfig], models: list[str]) -> dict[str, Any]:
    """Every question's comparison."""
    found: dict[str, dict[str, Columns]] = {}
    for model in models:
        for encoder, config in encoders.items():
            for question, frame in bench.ranked(model, config).items():
                values = {str(n): frame[n].to_numpy(np.float64) for n in frame.columns}
                found.setdefault(question, {})[encoder] = values
    queries = SEARCH[bench.name](bench.data.snapshot)
    for encoder, config in encoders.items():
        found.setdefault(f"search: {queries.kind}", {})[encoder] = bench.searched(queries, config)
    return {question: compared(columns) for question, columns in found.items()}


def show(name: str, report: Mapping[str, Any]) -> None:
    """A line per question, metric and encoder."""
    rows = []
    for question, encoders in report.items():
        for metric in encoders[FROZEN]:
            for encoder, figures in encoders.items():
                said = figures[metric]
                gain = _interval(said["gain"], "+") if "gain" in said else ""
                rows.append((question, metric, encoder, said["mean"]["users"], _interval(said["mean"], ""), gain))
    columns = ("question", "metric", "encoder", "users", "mean", "minus frozen")
    Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH).print(table(name, columns, rows, right=columns[3:]))


def _interval(said: Mapping[str, float], sign: str) -> str:
    return f"{said['mean']:{sign}.4f} [{said['low']:{sign}.4f}, {said['high']:{sign}.4f}]"


def main() -> None:
    """Tune, measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", nargs="*", default=list(SEARCH), help=f"of {', '.join(SEARCH)}")
    parser.add_argument("--method", nargs="+", choices=("lora", "full"), default=["lora"])
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of [finetune]")
    parser.add_argument("--whole", action="store_true", help="train the graph network too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench/results/finetuned.json"))
    asked = parser.parse_args()
    config = FinetuneConfig()
    for key, _, value in (text.partition("=") for text in asked.set):
        config = with_setting(config, key, value, "--set")
    report: dict[str, Any] = {"machine": machine(), "seed": asked.seed, "data": {}}
    for name in asked.data:
        data = DATA[f"{name}-cold"]
        bench = Bench(name, standing(data) or prepare(data, progress()), asked.seed, progress())
        encoders = {FROZEN: EncoderConfig()}
        tunings = {}
        for method in asked.method:
            encoders[method], tunings[method] = bench.tuned(replace(config, method=method))
        found = measured(bench, encoders, ["text", *(["network"] if asked.whole else [])])
        report["data"][name] = {"tuning": tunings, "questions": found}
        show(name, found)
        write_report(report, asked.out)


if __name__ == "__main__":
    main()
