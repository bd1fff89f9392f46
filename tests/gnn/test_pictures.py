"""A shop in which only pictures tell new products apart: a network that sees them ranks these right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.model.training import train
from gnn.models_config import TextConfig
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Given
from gnn.recommenders.text import Text
from gnn.serving.recommend import Recommendations
from ingest.config_dict import from_dict
from ingest.progress import SilentProgress
from kg.snapshot import Snapshot

Vectors = NDArray[np.float32]
WARM, COLD, USERS = 40, 20, 48
Graph = Callable[..., Snapshot]


@pytest.fixture(scope="module")
def shop(graph: Graph) -> Snapshot:
    """Even users take even products, odd ones odd; the last products are in the graph and nobody has had them."""
    draw = np.random.default_rng(5)
    rows = []
    for user in range(USERS):
        for day, item in enumerate(draw.choice(np.arange(user % 2, WARM, 2), 10, replace=False)):
            rows.append((f"u{user:02d}", f"p{item:02d}", float(day)))
    rows += [("v", f"p{item:02d}", 30.0) for item in range(WARM, WARM + COLD)]  # long after the test period begins
    return graph(rows)


@pytest.fixture(scope="module")
def pictures() -> Vectors:
    """One text for all; a picture for each: the taste, blurred; and whether there is one."""
    draw = np.random.default_rng(6)
    image = draw.normal(size=(WARM + COLD, 12)).astype(np.float32)
    image[:, 0] += np.where(np.arange(WARM + COLD) % 2, 4, -4)
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    text = np.tile(np.eye(1, 8, dtype=np.float32), (WARM + COLD, 1))
    return np.hstack([text, image, np.ones((WARM + COLD, 1), np.float32)])


def settings(user: str) -> GnnConfig:
    said = {
        "split": {"method": "time", "valid_from": "1970-01-09", "test_from": "1970-01-20", "min_buyers": 0},
        "model": {"user": user},
        "train": {"threads": 1, "epochs": 12, "patience": 12, "model": "network"},
        "eval": {"baselines": []},
    }
    return from_dict(GnnConfig, said, "test")


def right(shop: Snapshot, vectors: Vectors, config: GnnConfig, folder: Path) -> float:
    """Share of (user, new product of the own taste, new product of the other) that are in the right order."""
    train(shop, vectors, config, folder / "eval", SilentProgress())
    served = Recommendations.load(folder / "eval", shop, vectors)
    users = np.arange(USERS)
    network = served.bundle.parts["network"]
    scores = network.scores(users, np.arange(WARM, WARM + COLD))
    even, odd = scores[:, ::2], scores[:, 1::2]
    above = (even[:, :, None] > odd[:, None, :]) + 0.5 * (even[:, :, None] == odd[:, None, :])
    return float(np.where((users % 2)[:, None, None], 1 - above, above).mean())


@pytest.mark.parametrize("user", ["set", "sequence"])
def test_pictures_tell_new_products_apart_where_text_does_not(
    shop: Snapshot, pictures: Vectors, user: str, tmp_path: Path
) -> None:
    config = settings(user)
    assert right(shop, pictures, config, tmp_path / "seeing") > 0.95
    assert right(shop, pictures[:, :8].copy(), config, tmp_path / "blind") == pytest.approx(0.5, abs=0.01)


def test_the_text_model_reads_the_text_alone(
    shop: Snapshot, pictures: Vectors, interactions: Callable[..., Interactions]
) -> None:
    draw = np.random.default_rng(8)
    text = draw.normal(size=(WARM + COLD, 8)).astype(np.float32)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    both = np.hstack([text, pictures[:, 8:]])
    history = interactions({0: [1, 2], 1: [3]}, 2, WARM + COLD)
    plain, told = Text(TextConfig(), Given(shop, text)), Text(TextConfig(width=8), Given(shop, both))
    for model in (plain, told):
        model.fit(history)
    assert np.array_equal(plain.scores(np.arange(2)), told.scores(np.arange(2)))
    other = Text(TextConfig(width=7), Given(shop, both))
    with pytest.raises(GnnError, match=r"first 7 numbers .* not those of the text"):
        other.fit(history)


def test_a_model_that_saw_pictures_refuses_a_graph_without(shop: Snapshot, pictures: Vectors, tmp_path: Path) -> None:
    config = settings("set")
    quick = replace(config, train=replace(config.train, epochs=1))
    train(shop, pictures, quick, tmp_path / "eval", SilentProgress())
    other = Snapshot({**shop.nodes}, shop.edges)
    other.__dict__["fingerprint"] = "another"
    with pytest.raises(GnnError, match=r"product vectors of width 21, found 8"):
        Recommendations.load(tmp_path / "eval", other, pictures[:, :8].copy())
