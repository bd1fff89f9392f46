"""A tuning of a tiny model: it learns, stops, goes on bit by bit, and leaves a plain model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from encoders.config import EncoderConfig
from encoders.errors import EncoderError
from encoders.model_files import find_model
from encoders.text_encoder import TextEncoder
from encoders.tuning.config import FinetuneConfig
from encoders.tuning.held_out import Question
from encoders.tuning.loop import TuningLoop
from encoders.tuning.pairs import Material, TextPairs
from encoders.tuning.provenance import FILE, read_provenance
from encoders.tuning.tune import tune_encoder
from ingest.progress import SilentProgress

DRINKS = ("tea", "coffee", "milk")
TEXTS = [" ".join(words) for words in product(("green", "black", "dark"), DRINKS, "123", (".", ",", "ml"))]
CONFIG = FinetuneConfig(
    steps=24, check=6, batch=24, held_out=0.3, lr=3e-3, max_seconds=0, device="cpu", precision="fp32", threads=1, seed=5
)
SPLIT = {"method": "time", "until": "2024-01-01T00:00:00+00:00", "known": "abc"}


@pytest.fixture(scope="module")
def calm_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with smaller random weights, which learn more evenly."""
    folder = Path(shutil.copytree(tiny_model, tmp_path_factory.mktemp("calm") / "model"))
    weights = load_file(folder / "model.safetensors")
    save_file({k: w * 0.4 if w.ndim == 2 else w for k, w in weights.items()}, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def material(tiny_model: Path) -> Material:
    """Users take one kind of drink: nothing that random weights could know."""
    rng = np.random.default_rng(0)
    kind = np.array([DRINKS.index(text.split()[1]) for text in TEXTS])
    rows = [rng.permutation(np.flatnonzero(kind == u % 3))[:12] for u in range(60)]
    indptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    same = (kind[:, None] == kind) & ~np.eye(len(TEXTS), dtype=np.bool_)
    pairs = TextPairs(len(TEXTS), indptr, np.concatenate(rows), {"together": sp.csr_matrix(same.astype(np.float32))})
    vectors = TextEncoder(base(tiny_model)).encode(TEXTS)
    return Material(TEXTS, vectors, pairs, SPLIT)


def base(folder: Path) -> EncoderConfig:
    return EncoderConfig(model=str(folder), device="cpu", precision="fp32", threads=1)


Tune = Callable[..., tuple[dict[str, Any], Path]]


@pytest.fixture
def tune(tiny_model: Path, material: Material, tmp_path: Path) -> Tune:
    def run(
        name: str = "encoder", model: Path = tiny_model, given: Material = material, **changes: Any
    ) -> tuple[dict[str, Any], Path]:
        config, folder = replace(CONFIG, **changes), tmp_path / name
        return tune_encoder(base(model), given, config, folder, tmp_path / f"{name}.pt", SilentProgress()), folder

    return run


@pytest.mark.parametrize(
    "changes", [{}, {"method": "full"}, {"layers": "attention"}, {"masked_steps": 10}, {"method": "head", "lr": 0.03}]
)
def test_texts_that_no_pair_showed_are_ranked_better(
    tune: Tune, calm_model: Path, material: Material, changes: dict[str, Any]
) -> None:
    begun = replace(material, vectors=TextEncoder(base(calm_model)).encode(TEXTS))
    said, _ = tune(model=calm_model, given=begun, steps=60, check=15, **changes)
    assert said["held_out"] == 24
    assert max(said["validation"]) > said["validation"][0] + 0.1


def test_the_model_is_plain_and_gives_the_tuned_vectors(tune: Tune, tiny_model: Path, material: Material) -> None:
    before = find_model(base(tiny_model)).digest()
    said, folder = tune(held_out=0.0)
    assert find_model(base(tiny_model)).digest() == before  # the model begun with stays
    assert not list(folder.glob("adapter*"))
    assert (folder / "1_Pooling" / "config.json").exists()
    ours = TextEncoder(base(folder)).encode(TEXTS)
    moved = (ours * material.vectors).sum(1)
    assert moved.max() < 0.999
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS[:5], return_tensors="pt", padding=True)
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1)
    plain = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1).numpy()
    np.testing.assert_allclose(ours[:5], plain, atol=1e-5)
    assert json.loads((folder / FILE).read_text())["split"] == SPLIT
    assert read_provenance(folder) == {k: v for k, v in said.items() if k != "seconds"}


def test_equal_tunings_give_equal_files(tune: Tune) -> None:
    digests = [find_model(base(tune(name, held_out=0.0)[1])).digest() for name in ("one", "two")]
    assert digests[0] == digests[1]
    assert find_model(base(tune("three", held_out=0.0, seed=6)[1])).digest() != digests[0]


class _StoppedError(RuntimeError):
    pass


@pytest.mark.parametrize("base_modules", [False, True])
def test_a_head_is_a_layer_behind_the_model(
    tune: Tune, tiny_model: Path, tmp_path: Path, material: Material, base_modules: bool
) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    if base_modules:
        kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
        listed = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds]
        (model / "modules.json").write_text(json.dumps(listed))
    said, folder = tune(model=model, method="head", held_out=0.0, lr=1e-2)
    assert said["base"]["model"] == str(model)
    assert (folder / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    (layer,) = find_model(base(folder)).modules.dense
    weights = load_file(layer.folder / "model.safetensors")
    expected = material.vectors @ weights["linear.weight"].numpy().T + weights["linear.bias"].numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = TextEncoder(base(folder)).encode(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found * material.vectors).sum(1).max() < 0.9999


def test_a_blend_is_kept_where_validation_prefers_it(tune: Tune, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([0.1, 0.5, 0.3, 0.2, 0.4, 0.7, 0.6])  # as it came, four looks, two blends
    monkeypatch.setattr(Question, "ndcg", lambda *_: next(looks))
    said, blended = tune("blended", blend=(0.25, 0.75))
    assert said["blends"] == {"0.25": 0.7, "0.75": 0.6}
    assert said["steps"] == 6
    looks = iter([0.1, 0.5, 0.3, 0.2, 0.4])
    _, best = tune("best", blend=())
    # LoRA begins with matrices B of zeros: a quarter of B, and of A's way, is less than a quarter of the change
    begun = load_file(find_model(EncoderConfig(model=said["base"]["model"])).folder / "model.safetensors")
    ways = [load_file(folder / "model.safetensors") for folder in (blended, best)]
    name = "encoder.layer.0.attention.self.query.weight"
    moved = [float((way[name] - begun[name]).norm()) for way in ways]
    assert 0 < moved[0] < 0.5 * moved[1]


@pytest.mark.parametrize(
    ("changes", "looks"), [({}, 3), ({"method": "head"}, 2), ({"masked_steps": 12}, 1), ({"masked_steps": 12}, 3)]
)
def test_a_stopped_tuning_goes_on_to_the_same_bits(
    tune: Tune, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], looks: int
) -> None:
    whole, folder = tune("whole", **changes)
    saves = 0
    save = TuningLoop.save

    def killed(self: TuningLoop, path: Path) -> None:
        nonlocal saves
        save(self, path)
        saves += 1
        if saves == looks:
            raise _StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(TuningLoop, "save", killed)
        with pytest.raises(_StoppedError):
            tune("parts", **changes)
    torch.manual_seed(99)  # another process has other chance
    parts, other = tune("parts", **changes)
    assert {k: v for k, v in parts.items() if k != "seconds"} == {k: v for k, v in whole.items() if k != "seconds"}
    assert find_model(base(other)).digest() == find_model(base(folder)).digest()


def test_tuning_that_only_harms_leaves_the_model_as_it_was(tune: Tune, tiny_model: Path, material: Material) -> None:
    said, folder = tune(lr=10.0, patience=1)
    assert (said["steps"], said["steps_run"]) == (0, 6)  # one look, no better: over
    np.testing.assert_allclose(TextEncoder(base(folder)).encode(TEXTS), material.vectors, atol=1e-5)


def test_time_that_is_over_ends_it(tune: Tune) -> None:
    said, _ = tune(max_seconds=1e-9)
    assert said["steps_run"] == 6


def test_without_validation_the_last_weights_count(tune: Tune) -> None:
    said, _ = tune(held_out=0.0)
    assert (said["held_out"], said["steps"]) == (0, 24)


def test_chance_and_threads_of_the_process_stay_as_they_were(tune: Tune) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    threads = torch.get_num_threads()
    tune(steps=2, check=2)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_a_tuned_model_remembers_the_tuning_that_it_began_with(tune: Tune) -> None:
    _, first = tune("first", steps=2, check=2)
    said, _ = tune("second", model=first, steps=2, check=2)
    assert said["earlier"]["split"] == SPLIT
    assert said["base"]["model"] == str(first)


def test_prefixes_that_a_name_told_stay(tiny_model: Path, tmp_path: Path, material: Material) -> None:
    named = Path(shutil.copytree(tiny_model, tmp_path / "e5-small"))
    assert find_model(base(named)).passage_prefix == "passage: "
    vectors = TextEncoder(base(named)).encode(TEXTS)
    config = replace(CONFIG, steps=1, check=1)
    tune_encoder(
        base(named), replace(material, vectors=vectors), config, tmp_path / "out", tmp_path / "s.pt", SilentProgress()
    )
    files = find_model(base(tmp_path / "out"))
    assert (files.query_prefix, files.passage_prefix) == ("query: ", "passage: ")


def test_a_step_without_anchors_changes_nothing(tune: Tune, material: Material) -> None:
    none = TextPairs(len(TEXTS), np.array([0]), np.zeros(0, np.int64), material.pairs.partners)
    said, folder = tune(given=replace(material, pairs=none), partners=0, held_out=0.0, steps=2, check=1)
    assert said["losses"] == [0.0, 0.0]
    np.testing.assert_allclose(TextEncoder(base(folder)).encode(TEXTS), material.vectors, atol=1e-5)


def test_nothing_to_learn_from(tune: Tune, material: Material) -> None:
    empty = TextPairs(len(TEXTS), np.array([0, 1]), np.array([3]), {})
    with pytest.raises(EncoderError, match="no pairs of different texts"):
        tune(given=replace(material, pairs=empty))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"method": "qlora"}, "finetune.method"),
        ({"layers": "some"}, "finetune.layers"),
        ({"rank": 0}, "finetune.rank"),
        ({"batch": 1}, "finetune.batch"),
        ({"held_out": 1.0}, "finetune.held_out"),
        ({"temperature": 0.0}, "finetune.temperature"),
        ({"logq": -1.0}, "finetune.logq"),
        ({"blend": (1.0,)}, "finetune.blend"),
        ({"method": "head", "masked_steps": 1}, "finetune.masked_steps"),
    ],
)
def test_settings_without_a_meaning(settings: dict[str, Any], names: str) -> None:
    with pytest.raises(EncoderError, match=names):
        FinetuneConfig(**settings)


def test_torn_provenance(tune: Tune) -> None:
    _, folder = tune(steps=1, check=1)
    (folder / FILE).write_text("{")
    with pytest.raises(EncoderError, match="run shopgraph finetune again"):
        read_provenance(folder)
