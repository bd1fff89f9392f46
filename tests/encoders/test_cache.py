"""No text is encoded twice, whatever happened to the run or the file before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from encoders.cache import VectorCache, encode_cached
from encoders.config import EncoderConfig
from encoders.text_encoder import Rows, TextEncoder, Vectors
from ingest.progress import SilentProgress

TEXTS = ["tea", "green tea", "coffee", "", "milk 2", "dark coffee"]


class Counting(TextEncoder):
    """Remembers what it had to encode; stops as if interrupted after `stop` batches."""

    stop: int | None = None

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.asked: list[str] = []

    def stream(self, texts: Sequence[str]) -> Iterator[tuple[Rows, Vectors]]:
        for batch, (rows, vectors) in enumerate(super().stream(texts)):
            if batch == self.stop:
                raise KeyboardInterrupt
            self.asked.extend(texts[r] for r in rows)
            yield rows, vectors


@pytest.fixture
def encoder(tiny_model: Path) -> Counting:
    return Counting(EncoderConfig(model=str(tiny_model), batch_tokens=8, device="cpu", precision="fp32"))


def _encode(encoder: TextEncoder, texts: list[str], folder: Path) -> tuple[Vectors, int]:
    return encode_cached(encoder, texts, folder, SilentProgress())


def test_same_vectors_and_nothing_twice(encoder: Counting, tmp_path: Path) -> None:
    plain = encoder.encode(TEXTS)
    first, count = _encode(encoder, TEXTS, tmp_path)
    assert count == len(TEXTS)
    np.testing.assert_allclose(first, plain, atol=1e-6)
    encoder.asked.clear()
    again, count = _encode(encoder, [*reversed(TEXTS), "black milk"], tmp_path)
    assert (encoder.asked, count) == (["black milk"], 1)
    assert (again[:-1] == first[::-1]).all()


def test_an_interrupted_run_keeps_its_batches(encoder: Counting, tmp_path: Path) -> None:
    encoder.stop = 2
    with pytest.raises(KeyboardInterrupt):
        _encode(encoder, TEXTS, tmp_path)
    done = set(encoder.asked)
    assert len(done) >= 2
    encoder.stop = None
    encoder.asked.clear()
    found, count = _encode(encoder, TEXTS, tmp_path)
    assert set(encoder.asked) == set(TEXTS) - done
    assert count == len(TEXTS) - len(done)
    np.testing.assert_allclose(found, encoder.encode(TEXTS), atol=1e-6)


def test_a_torn_record_is_cut_off(encoder: Counting, tmp_path: Path) -> None:
    plain, _ = _encode(encoder, TEXTS, tmp_path)
    path = next(tmp_path.glob("texts-*.cache"))
    path.write_bytes(path.read_bytes()[:-30])
    found, count = _encode(encoder, TEXTS, tmp_path)
    assert count == 1
    np.testing.assert_allclose(found, plain, atol=1e-6)
    assert _encode(encoder, TEXTS, tmp_path)[1] == 0


def test_a_hole_is_not_used(encoder: Counting, tmp_path: Path) -> None:
    plain, _ = _encode(encoder, TEXTS, tmp_path)
    path = next(tmp_path.glob("texts-*.cache"))
    record = 16 + 16 * 4
    whole = path.read_bytes()
    path.write_bytes(whole[: 2 * record + 16] + bytes(16 * 4) + whole[3 * record :])
    found, count = _encode(encoder, TEXTS, tmp_path)
    assert count == 1
    np.testing.assert_allclose(found, plain, atol=1e-6)


def test_models_have_a_file_each(tiny_model: Path, encoder: Counting, tmp_path: Path) -> None:
    _encode(encoder, TEXTS, tmp_path)
    short = TextEncoder(EncoderConfig(model=str(tiny_model), max_tokens=3, device="cpu", precision="fp32"))
    found, count = _encode(short, TEXTS, tmp_path)
    assert count == len(TEXTS)
    assert len(list(tmp_path.glob("texts-*.cache"))) == 2
    np.testing.assert_allclose(found, short.encode(TEXTS), atol=1e-6)


def test_texts_that_are_no_unicode_have_a_key(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, "d" * 60, 2)
    cache.append(["\ud800", "a"], np.array([[1, 0], [0, 1]], np.float32))
    opened = VectorCache(tmp_path, "d" * 60, 2)
    rows = opened.find(["a", "\ud800", "b"])
    assert rows.tolist() == [1, 0, -1]
    assert opened.vectors(rows[:2]).tolist() == [[0, 1], [1, 0]]
    assert len(opened) == 2


def test_runs_that_share_a_file_lose_nothing(tmp_path: Path) -> None:
    """Each adds and looks at the same time; a record that another is writing is never taken for a torn one."""
    runs, rounds, batch = 4, 40, 5
    unit = np.eye(batch, 64, dtype=np.float32)

    def work(run: int) -> None:
        for turn in range(rounds):
            VectorCache(tmp_path, "d" * 60, 64).append([f"{run} {turn} {i}" for i in range(batch)], unit)

    with ThreadPoolExecutor(runs) as pool:
        list(pool.map(work, range(runs)))
    whole = VectorCache(tmp_path, "d" * 60, 64)
    texts = [f"{run} {turn} {i}" for run in range(runs) for turn in range(rounds) for i in range(batch)]
    rows = whole.find(texts)
    assert (rows >= 0).all()
    assert (whole.vectors(rows) == np.tile(unit, (runs * rounds, 1))).all()
    assert whole.path.stat().st_size == len(texts) * (16 + 64 * 4)
