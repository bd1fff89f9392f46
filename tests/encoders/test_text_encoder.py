"""The encoder gives what the papers' formulas and sentence-transformers give, for any batches and order."""

from __future__ import annotations

import math
import socket
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from encoders.config import EncoderConfig
from encoders.embedder import load_embedder
from encoders.errors import EncoderError
from encoders.text_encoder import TextEncoder, _batches

TEXTS = [
    "Topping Mixes Whip Topping 5.2 oz. GROCERY, DRY MIX DESSERTS. National",
    "",
    "tea",
    "Meat: Beef Bulk. DELI, DELI MEATS. National",
    "Grüner Tee, 250 g — Sencha (био) 緑茶",
    "word " * 300,
]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def bert_in_numpy(folder: Path, text: str, limit: int) -> NDArray[np.float64]:
    """BERT (Devlin et al., 2019) of one unpadded text in float64, mean of the tokens, length one."""
    w = {k: v.astype(np.float64) for k, v in load_file(folder / "model.safetensors").items()}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    ids = tokenizer.encode(text).ids

    def linear(x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = x - x.mean(1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-12) * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    erf = np.vectorize(math.erf)
    for layer in range(6):
        at = f"encoder.layer.{layer}"
        q, k, v = (
            linear(x, f"{at}.attention.self.{p}").reshape(len(ids), 12, 32).swapaxes(0, 1)
            for p in ("query", "key", "value")
        )
        scores = np.exp(q @ k.swapaxes(1, 2) / math.sqrt(32))
        mixed = (scores / scores.sum(2, keepdims=True) @ v).swapaxes(0, 1).reshape(len(ids), 384)
        x = norm(x + linear(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        inner = linear(x, f"{at}.intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
        x = norm(x + linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    mean = x.mean(0)
    return np.asarray(mean / np.linalg.norm(mean))


@pytest.fixture(scope="module")
def builtin() -> TextEncoder:
    return TextEncoder(EncoderConfig(device="cpu", precision="fp32"))


def test_built_in_model_equals_bert_written_in_numpy(builtin: TextEncoder) -> None:
    expected = np.stack([bert_in_numpy(builtin.files.folder, text, 128) for text in TEXTS])
    np.testing.assert_allclose(builtin.encode(TEXTS), expected, atol=1e-5)


def test_built_in_model_equals_sentence_transformers(builtin: TextEncoder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports' warnings are not ours
        library = pytest.importorskip("sentence_transformers")
        model = library.SentenceTransformer(str(builtin.files.folder), device="cpu")
        model.max_seq_length = 128
        expected = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(builtin.encode(TEXTS), expected, atol=1e-5)


def test_meaning_shows(builtin: TextEncoder) -> None:
    tea, green, bolts = builtin.encode(["black tea", "green tea leaves", "steel bolts M8"])
    assert tea @ green > tea @ bolts + 0.2


def test_shape_type_and_length(tiny_model: Path) -> None:
    found = TextEncoder(EncoderConfig(model=str(tiny_model))).encode(["tea", "tea", "coffee . 2"])
    assert found.shape == (3, 16)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found[0] == found[1]).all()


def test_no_texts(tiny_model: Path) -> None:
    assert TextEncoder(EncoderConfig(model=str(tiny_model))).encode([]).shape == (0, 16)


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.text("teacofdrk .,123", max_size=40), min_size=1, max_size=30),
    budget=st.integers(1, 200),
    threads=st.integers(1, 3),
)
def test_batches_and_threads_change_nothing(
    tiny_encoders: dict[tuple[int, int], TextEncoder], tiny_model: Path, texts: list[str], budget: int, threads: int
) -> None:
    alone = tiny_encoders.setdefault((1, 1), _tiny(tiny_model, 1, 1))
    other = tiny_encoders.setdefault((budget, threads), _tiny(tiny_model, budget, threads))
    one_by_one = np.concatenate([alone.encode([text]) for text in texts])
    np.testing.assert_allclose(other.encode(texts), one_by_one, atol=1e-5)


@pytest.fixture(scope="module")
def tiny_encoders() -> dict[tuple[int, int], TextEncoder]:
    return {}


def _tiny(folder: Path, budget: int, threads: int) -> TextEncoder:
    config = EncoderConfig(model=str(folder), batch_tokens=budget, threads=threads, device="cpu", precision="fp32")
    return TextEncoder(config)


def test_stream_yields_every_text_once_longest_first(tiny_model: Path) -> None:
    encoder = _tiny(tiny_model, 20, 2)
    texts = ["tea", "tea tea tea tea", "tea tea", "green black tea coffee dark milk"]
    rows = [rows.tolist() for rows, _ in encoder.stream(texts)]
    # with [CLS] and [SEP] 3, 6, 4 and 8 tokens: two of eight fit into 20, then two of four
    assert rows == [[3, 1], [2, 0]]


def test_texts_are_cut_at_the_limit(tiny_model: Path) -> None:
    encoder = TextEncoder(EncoderConfig(model=str(tiny_model), max_tokens=5))
    long, cut = encoder.encode(["green black tea coffee dark", "green black tea"])  # three words and two marks are 5
    np.testing.assert_allclose(long, cut, atol=1e-6)


def test_a_models_own_limit_holds(tiny_model: Path) -> None:
    encoder = TextEncoder(EncoderConfig(model=str(tiny_model), max_tokens=500))
    assert encoder.files.max_tokens == 24
    assert encoder.encode(["tea " * 100]).shape == (1, 16)


@pytest.mark.parametrize("device", DEVICES)
def test_bf16_is_near(tiny_model: Path, device: str) -> None:
    texts = ["green tea", "black coffee . 2 ml", "milk"]
    near = TextEncoder(EncoderConfig(model=str(tiny_model), device=device, precision="bf16"))
    exact = TextEncoder(EncoderConfig(model=str(tiny_model), device="cpu", precision="fp32"))
    assert near.device.type == device
    assert ((near.encode(texts) * exact.encode(texts)).sum(1) > 0.99).all()
    assert near.digest != exact.digest


def test_quiet_offline_and_leaves_torch_as_it_was(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    threads = torch.get_num_threads()
    TextEncoder(EncoderConfig(model=str(tiny_model))).encode(["tea"])
    TextEncoder(EncoderConfig()).encode(["tea"])
    assert capfd.readouterr() == ("", "")
    assert torch.get_num_threads() == threads


def test_a_stream_left_early_stops(tiny_model: Path) -> None:
    threads = torch.get_num_threads()
    stream = _tiny(tiny_model, 4, 2).stream(["tea"] * 500)
    next(stream)
    stream.close()
    assert torch.get_num_threads() == threads


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_no_gpu(tiny_model: Path) -> None:
    with pytest.raises(EncoderError, match=r"no CUDA device .*encode.device"):
        TextEncoder(EncoderConfig(model=str(tiny_model), device="cuda"))


def test_batches_of_one_length_pad_nothing() -> None:
    lengths = np.array([3, 5, 3, 5, 5, 3, 1])
    assert [b.tolist() for b in _batches(lengths, 9)] == [[1], [3], [4], [0, 2, 5], [6]]
    assert [b.tolist() for b in _batches(lengths, 12)] == [[1, 3], [4, 0], [2, 5, 6]]
    assert [b.tolist() for b in _batches(lengths, 12, alike=True)] == [[1, 3], [4], [0, 2, 5], [6]]
    assert [b.tolist() for b in _batches(lengths, 2, alike=True)] == [[n] for n in (1, 3, 4, 0, 2, 5, 6)]


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken", "max", "weightedmean"])
def test_no_mask_says_that_nothing_is_padding(tiny_model: Path, pooling: str) -> None:
    model = load_embedder(TextEncoder(EncoderConfig(model=str(tiny_model), device="cpu")).files, torch.float32)
    model.pooling = pooling
    ids = torch.tensor([[2, 5, 6, 3], [2, 7, 8, 3]])
    with torch.inference_mode():
        torch.testing.assert_close(model(ids), model(ids, torch.ones_like(ids)))
