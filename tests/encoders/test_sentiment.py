"""Sentiment: taught by ratings, never by a text's own; figures worked out by hand; what cannot be taught is said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.errors import EncoderError
from encoders.sentiment.config import SentimentConfig
from encoders.sentiment.head import judge_parts, parts_of
from encoders.sentiment.quality import commonest, figures
from encoders.sentiment.rate import rate_texts
from encoders.sentiment.scale import Scale

NAN = float("nan")
CONFIG = SentimentConfig(folds=4, penalties=(1.0, 10.0))


def shop(n: int = 240, seed: int = 1) -> tuple[list[str], NDArray[np.float32], NDArray[np.float64]]:
    """Reviews whose rating one number of the vector and one word tell, the rest being noise."""
    draw = np.random.default_rng(seed)
    ratings = draw.integers(1, 6, n).astype(np.float64)
    words = {1: "broken", 2: "poor", 3: "ordinary", 4: "good", 5: "wonderful"}
    texts = [f"{words[int(r)]} thing number {i} of {draw.integers(5)}" for i, r in enumerate(ratings)]
    vectors = draw.normal(size=(n, 8)).astype(np.float32)
    vectors[:, 0] += 3 * (ratings - 3)
    return texts, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), ratings


def test_it_says_what_the_ratings_teach() -> None:
    texts, vectors, ratings = shop()
    rated = rate_texts(texts, vectors, ratings, CONFIG)
    assert -1 <= rated.sentiment.min() < -0.5
    assert 0.5 < rated.sentiment.max() <= 1
    means = [rated.sentiment[ratings == r].mean() for r in range(1, 6)]
    assert (np.diff(means) > 0).all()
    quality = rated.said["quality"]
    assert quality["both"]["auc"] > 0.97
    assert quality["both"]["accuracy"] > quality["commonest rating"]["accuracy"] + 0.3
    assert quality["both"]["mae"] < quality["commonest rating"]["mae"] / 2
    again = rate_texts(texts, vectors, ratings, CONFIG)
    assert np.array_equal(again.sentiment, rated.sentiment)
    assert again.said == rated.said


def test_no_text_is_judged_by_its_own_rating() -> None:
    """Turn one rating round: whoever else may change by it, that text's own sentiment must not."""
    texts, vectors, ratings = shop(80)
    before = rate_texts(texts, vectors, ratings, CONFIG).sentiment
    for row in (3, 17, 42):
        other = ratings.copy()
        other[row] = 6 - other[row] if other[row] != 3 else 1
        after = rate_texts(texts, vectors, other, CONFIG).sentiment
        assert after[row] == before[row]
        assert (after != before).any()


def test_noise_is_no_better_than_the_commonest_rating() -> None:
    """A head that peeked would do better than chance on ratings that nothing tells."""
    draw = np.random.default_rng(4)
    vectors = draw.normal(size=(600, 30)).astype(np.float32)
    ratings = draw.choice([1.0, 5.0], 600)
    said = rate_texts([f"thing {n}" for n in range(600)], vectors, ratings, CONFIG).said["quality"]
    assert said["both"]["auc"] == pytest.approx(0.5, abs=0.08)
    assert said["commonest rating"]["auc"] == 0.5


def test_texts_without_a_rating_are_judged_too() -> None:
    texts, vectors, ratings = shop()
    hidden = ratings.copy()
    hidden[::3] = NAN
    rated = rate_texts(texts, vectors, hidden, CONFIG)
    assert rated.said["rated"] == 160
    assert np.corrcoef(rated.sentiment[::3], ratings[::3])[0, 1] > 0.85


def test_figures_by_hand() -> None:
    scale = Scale.of(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    chances = np.array(
        [[0.6, 0.2, 0.1, 0.1, 0], [0, 0, 0.3, 0.3, 0.4], [0.1, 0.1, 0.1, 0.2, 0.5], [0.4, 0.1, 0, 0.1, 0.4]]
    )
    ratings = np.array([2.0, 5.0, 3.0, 1.0])
    found = figures(chances, ratings, scale)
    assert found["accuracy"] == 0.5  # the second, and the last one of whose two likeliest the lower counts
    # medians 1, 4, 4.5 → the first step that half of the chances reach: 5 where .1+.1+.1+.2 = .5 is reached at 4, 2
    assert found["mae"] == pytest.approx((1 + 1 + 1 + 1) / 4)
    assert found["auc"] == 1.0  # the third is at the middle; 4.1 > 1.7 and 4.1 > 3.0
    assert scale.sentiment(np.array([1.0, 2.0, 3.0, 5.0])).tolist() == [-1.0, -0.5, 0.0, 1.0]
    parts = np.array([0, 0, 1, 1])
    # the others of part 0 have 3 and 1 (the lower is the commonest), median 2; those of part 1 have 2 and 5, median 3.5
    assert commonest(ratings, parts, scale, 2) == {
        "accuracy": 0.0, "auc": 0.5, "mae": pytest.approx((0 + 3 + 0.5 + 2.5) / 4)
    }  # fmt: skip
    assert figures(chances[:1], ratings[:1], scale)["auc"] is None


def test_a_scale_of_many_values_has_ten_steps() -> None:
    scale = Scale.of(np.arange(0.0, 101.0))
    assert scale.steps.tolist() == pytest.approx([100 / 9 * n for n in range(10)])
    assert scale.nearest(np.array([0.0, 50.0, 51.0, 100.0])).tolist() == [0, 4, 5, 9]
    assert Scale.of(np.array([0.0, 1.0, 1.0])).sentiment(np.array([0.0, 0.75])).tolist() == [-1.0, 0.5]


def test_parts_go_by_the_text_and_are_even() -> None:
    texts = [f"review {n}" for n in range(4000)]
    parts = parts_of(texts, 5)
    assert np.array_equal(parts_of(texts[::-1], 5)[::-1], parts)
    assert (np.abs(np.bincount(parts) - 800) < 100).all()


def test_a_step_that_nobody_else_gave_has_no_chance() -> None:
    vectors = np.eye(4)
    steps, parts = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 0])
    features = lambda known, asked: (vectors[known], vectors[asked])  # noqa: E731
    judged = judge_parts(features, steps, parts, 3, SentimentConfig(folds=3, penalties=(1.0,)))
    assert judged.chances[0].tolist() == [0, 1, 0]  # all others outside part 0 have step 1
    np.testing.assert_allclose(judged.chances.sum(1), 1)


@pytest.mark.parametrize(
    ("ratings", "message"),
    [([5.0] * 60, "all reviews with a text have the rating 5"), ([1.0, 5.0] + [NAN] * 58, "2 different reviews have")],
)
def test_what_cannot_be_taught_is_said(ratings: Sequence[float], message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        rate_texts([f"t{n}" for n in range(60)], np.eye(60, dtype=np.float32), np.array(ratings), CONFIG)


def test_texts_without_words_still_have_vectors() -> None:
    _, vectors, ratings = shop(120)
    rated = rate_texts([f"{'!' * (n + 1)}" for n in range(120)], vectors, ratings, CONFIG)
    assert rated.said["quality"]["vectors"]["auc"] > 0.9


def test_settings_without_a_meaning_are_refused() -> None:
    with pytest.raises(EncoderError, match=r"folds = 1 .*sentiment\.folds"):
        SentimentConfig(folds=1)
    with pytest.raises(EncoderError, match=r"sentiment\.penalties"):
        SentimentConfig(penalties=())
