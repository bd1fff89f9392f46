"""ONNX and int8 beside fp32, and the choice among them: measured once a machine, kept, never inexact."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from encoders import variants
from encoders.config import EncoderConfig
from encoders.errors import EncoderError
from encoders.int8 import _largest, _linear, _smooth, quantise
from encoders.onnx_model import OnnxModel, exported
from encoders.text_encoder import TextEncoder
from encoders.variants import Measured, agreement, as_encoded, best, measure, settle, spread
from encoders.vectors import encode_products
from ingest.progress import SilentProgress
from kg.snapshot import Snapshot

WORDS = ["green", "black", "tea", "coffee", "dark", "milk", "ml", "1", "2", "3"]
TEXTS = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS[:3]] + ["tea", ""]
SILENT = SilentProgress()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user cache of its own, in which the tiny model is exported once."""
    folder = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOPGRAPH_CACHE", str(folder))
        yield folder / "encoders"


@pytest.fixture
def config(tiny_model: Path, machine: Path) -> EncoderConfig:
    return EncoderConfig(model=str(tiny_model), device="cpu", precision="fp32", batch_tokens=40, threads=2)


@pytest.fixture
def fresh(machine: Path) -> Iterator[Path]:
    """The user cache without any choice in it."""
    yield machine
    for path in machine.glob("choice-*"):
        path.unlink()


def test_onnx_gives_the_same_vectors(config: EncoderConfig) -> None:
    exact = TextEncoder(config)
    other = TextEncoder(replace(config, precision="onnx"))
    np.testing.assert_allclose(other.encode(TEXTS), exact.encode(TEXTS), atol=1e-5)
    np.testing.assert_allclose(other.queries(["tea"]), exact.encode(["tea"]), atol=1e-5)
    alone = TextEncoder(replace(config, precision="onnx", batch_tokens=1))  # batches of one text
    np.testing.assert_allclose(alone.encode(TEXTS[-3:]), exact.encode(TEXTS[-3:]), atol=1e-5)
    assert other.digest.removesuffix("-onnx") == exact.digest.removesuffix("-fp32")


def test_smoothing_alone_changes_nothing(config: EncoderConfig, tmp_path: Path) -> None:
    encoder = TextEncoder(config)
    model = onnx.load(exported(encoder.files))
    batches = encoder.unpadded(TEXTS[:50])
    layers = _linear(model)
    # two layers of query, key, value, the block's output, and the feed-forward's two
    assert sorted(weight.shape for _, weight in layers.values()) == [(16, 16)] * 8 + [(16, 32)] * 2 + [(32, 16)] * 2
    inputs = sorted({node.input[0] for node, _ in layers.values()})
    assert len(inputs) == 8  # query, key and value share theirs
    _smooth(model, layers, _largest(model, inputs, batches), 16)
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "smooth.onnx")
    ids, mask = batches[0]
    plain = OnnxModel(exported(encoder.files))(ids, mask)
    np.testing.assert_allclose(OnnxModel(tmp_path / "smooth.onnx")(ids, mask), plain, atol=1e-5)


@pytest.mark.parametrize(("wide", "layers"), [(True, 12), (False, 10)])
def test_int8_is_near(config: EncoderConfig, tmp_path: Path, wide: bool, layers: int) -> None:
    exact = TextEncoder(config)
    other = TextEncoder(replace(config, precision="int8"), tmp_path)
    quantise(exported(exact.files), exact.unpadded(TEXTS), other.int8_file, wide=wide)
    graph = onnx.load(other.int8_file).graph
    assert sum(one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 2 for one in graph.initializer) == layers
    cosine, _ = agreement(exact.encode(TEXTS), other.encode(TEXTS))
    assert 0.99 < cosine < 0.999999
    assert other.digest.endswith("-int8")
    assert other.digest[:8] != exact.digest[:8]  # other calibrations, other vectors


def test_calibrated_once_and_kept(config: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "LEAST_OVERLAP", 0.5)  # a random model's neighbours are near one another
    asked = replace(config, precision="int8")
    with pytest.raises(EncoderError, match=r"has not been calibrated .*run shopgraph encode"):
        TextEncoder(asked, tmp_path).encode(["tea"])
    assert settle(asked, TEXTS, tmp_path, SILENT) == asked
    file = TextEncoder(asked, tmp_path).int8_file
    before = file.read_bytes()
    settle(asked, TEXTS[:9], tmp_path, SILENT)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_int8_that_is_too_far_is_refused(
    config: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "LEAST_OVERLAP", 1.1)
    with pytest.raises(EncoderError, match=r"int8 is too far from fp32: mean cosine 0\.\d+, ten nearest"):
        settle(replace(config, precision="int8"), TEXTS, tmp_path, SILENT)
    assert list(tmp_path.iterdir()) == []


def test_agreement_by_hand() -> None:
    turn = np.deg2rad(np.arange(0, 360, 30))
    exact = np.stack([np.cos(turn), np.sin(turn)], 1).astype(np.float32)
    assert agreement(exact, exact) == (pytest.approx(1), 1)
    other = exact[:, ::-1] * np.float32([1, -1])  # all turned by a right angle
    assert agreement(exact, other) == (pytest.approx(0, abs=1e-6), 1)
    # eleven others, ten near: one text turned round has the farthest of all for its nearest
    moved = exact.copy()
    moved[0] = -moved[0]
    assert agreement(exact, moved)[0] == pytest.approx(10 / 12)
    assert agreement(exact, moved)[1] < 1
    assert agreement(exact[:1], exact[:1]) == (pytest.approx(1), 1)


def test_the_order_of_choice() -> None:
    def of(**rates: float) -> list[str]:
        return best([Measured(n, r, 1, 1, "no" if n == "bf16" else "") for n, r in rates.items()])

    assert of(fp32=100, bf16=900, onnx=150, int8=200) == ["int8", "onnx", "fp32"]  # bf16 is refused
    assert of(fp32=100, onnx=109, int8=111) == ["int8", "fp32"]  # 9 % are not worth it
    assert of(fp32=100, onnx=90) == ["fp32"]
    assert best([]) == []


def test_a_spread_sample() -> None:
    assert spread(["d", "b", "a", "c", "a", "e"], 3) == ["a", "c", "e"]
    assert spread(["b", "a"], 5) == ["a", "b"]


def test_every_variant_is_measured_or_refused_with_the_reason(config: EncoderConfig, tmp_path: Path) -> None:
    found = {one.variant: one for one in measure(config, TEXTS, tmp_path)}
    assert list(found) == ["fp32", "bf16", "onnx", "int8"]
    for name in ("fp32", "onnx"):
        assert found[name].refused == ""
        assert found[name].texts_per_second > 0
        assert found[name].cosine == pytest.approx(1, abs=1e-5)
    assert found["int8"].refused == "" or found["int8"].refused.startswith("int8 is too far from fp32")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Puts rates in the place of the measurement; gives the list of its calls."""

    def put(**rates: float) -> list[int]:
        calls: list[int] = []

        def found(_config: EncoderConfig, texts: list[str], _folder: Path) -> list[Measured]:
            calls.append(len(texts))
            return [Measured(name, rate, 1, 1) for name, rate in rates.items()]

        monkeypatch.setattr(variants, "measure", found)
        return calls

    return put


def test_measured_once_on_a_machine(
    config: EncoderConfig,
    fresh: Path,
    tmp_path: Path,
    measured: Callable[..., list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auto = replace(config, precision="auto", measure_from=len(TEXTS))
    calls = measured(fp32=100, onnx=200)
    assert settle(auto, TEXTS[1:], tmp_path, SILENT).precision == TextEncoder(auto).variant  # too few texts
    assert calls == []
    assert settle(auto, TEXTS, tmp_path, SILENT).precision == "onnx"
    assert settle(auto, TEXTS[:1], tmp_path, SILENT).precision == "onnx"  # kept, for few texts too
    assert calls == [len(TEXTS)]
    monkeypatch.setattr(variants, "_machine", lambda: {"cpu": "another"})
    measured(fp32=100, onnx=50)
    assert settle(auto, TEXTS, tmp_path, SILENT).precision == "fp32"
    next(fresh.glob("choice-*")).write_text("{")
    assert settle(auto, TEXTS, tmp_path, SILENT).precision == "fp32"  # a torn record is measured again
    assert json.loads(next(fresh.glob("choice-*")).read_text())["machine"] == {"cpu": "another"}


def test_the_next_best_where_int8_is_too_far_for_these_texts(
    config: EncoderConfig,
    fresh: Path,
    tmp_path: Path,
    measured: Callable[..., list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured(fp32=100, onnx=200, int8=400)
    monkeypatch.setattr(variants, "LEAST_OVERLAP", 1.1)
    auto = replace(config, precision="auto", measure_from=1)
    assert settle(auto, TEXTS, tmp_path, SILENT).precision == "onnx"


def test_a_graph_goes_on_with_the_variant_that_it_has(
    config: EncoderConfig,
    fresh: Path,
    tmp_path: Path,
    make_shop: Callable[..., Snapshot],
    measured: Callable[..., list[int]],
) -> None:
    first = encode_products(make_shop({"title": TEXTS}), config, tmp_path)
    calls = measured(fp32=100, onnx=200)
    auto = replace(config, precision="auto", measure_from=1)
    assert encode_products(make_shop({"title": TEXTS}), auto, tmp_path).reused
    changed = encode_products(make_shop({"title": [*TEXTS, "dark dark milk"]}), auto, tmp_path)
    assert (changed.head.digest, changed.head.encoded) == (first.head.digest, 1)
    assert calls == []
    new = encode_products(make_shop({"title": TEXTS}), auto, tmp_path / "new")
    assert new.head.digest.endswith("-onnx")
    assert encode_products(make_shop({"title": TEXTS}), auto, tmp_path / "new").reused


def test_packages_that_are_missing(config: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else there(name))
    with pytest.raises(EncoderError, match=r"onnxruntime not installed .*pip install 'shopgraph\[train\]'"):
        settle(replace(config, precision="onnx"), TEXTS, tmp_path, SILENT)
    found = {one.variant: one.refused for one in measure(config, TEXTS[:20], tmp_path)}
    assert found["onnx"] == found["int8"] == "onnxruntime not installed"
    assert found["fp32"] == ""


def test_a_broken_model_is_an_error_of_the_model(config: EncoderConfig, tmp_path: Path) -> None:
    broken = tmp_path / "model"
    shutil.copytree(config.model, broken)
    (broken / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(EncoderError, match="weights cannot be read"):
        settle(EncoderConfig(model=str(broken), device="cpu", measure_from=1), TEXTS, tmp_path, SILENT)


def test_a_setting_left_open_is_what_the_vectors_were_made_by() -> None:
    assert as_encoded(EncoderConfig(), "1970-int8").precision == "int8"
    assert as_encoded(EncoderConfig(), "1970-fp16").precision == "auto"
    assert as_encoded(EncoderConfig(precision="bf16"), "1970-int8").precision == "bf16"
