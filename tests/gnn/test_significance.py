"""Bootstrap, sign flips, Holm's correction, several seeds: by hand, by theory, by scipy."""

from math import comb, isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_1samp

from gnn.config import EvalConfig
from gnn.measure import bootstrap
from gnn.measure.bootstrap import Bootstrap, two_sided
from gnn.measure.seeds import compare_seeds, over_seeds
from gnn.measure.significance import holm, sign_flips


def test_bootstrap_covers_the_normal_interval_and_pairs() -> None:
    values = np.random.default_rng(1).normal(3, 2, (400, 1))
    (interval,) = Bootstrap(400, EvalConfig(bootstrap=2000)).intervals(values)
    half = 1.96 * values.std() / 20  # standard error of 400 users
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)
    (same,) = Bootstrap(400, EvalConfig()).intervals(np.full((400, 1), 0.25))
    assert (same.low, same.mean, same.high) == pytest.approx((0.25, 0.25, 0.25))


def test_bootstrap_leaves_out_users_who_do_not_count() -> None:
    values = np.array([[1.0], [np.nan], [1.0], [np.nan]])
    (interval,) = Bootstrap(4, EvalConfig()).intervals(values)
    assert (interval.mean, interval.users, interval.low) == (1.0, 2, 1.0)
    (nothing,) = Bootstrap(2, EvalConfig()).intervals(np.full((2, 1), np.nan))
    assert isnan(nothing.mean)
    assert nothing.to_dict() == {"mean": None, "low": None, "high": None, "users": 0}
    (nobody,) = Bootstrap(0, EvalConfig()).intervals(np.zeros((0, 1)))
    assert (isnan(nobody.mean), nobody.users) == (True, 0)


def test_every_column_has_the_same_users_and_memory_does_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 3))
    values[rng.random((50, 3)) < 0.2] = np.nan
    config = EvalConfig(bootstrap=120)
    whole = Bootstrap(50, config).means(values)
    assert whole.shape == (120, 3)
    alone = [Bootstrap(50, config).means(values[:, [n]])[:, 0] for n in range(3)]
    assert whole == pytest.approx(np.stack(alone, axis=1))
    monkeypatch.setattr(bootstrap, "KEPT", 0)
    monkeypatch.setattr(bootstrap, "CELLS", 500)  # ten rounds at a time
    small = Bootstrap(50, config)
    assert small.means(values) == pytest.approx(whole)
    assert small.means(values) == pytest.approx(whole)
    assert not small.kept


def test_a_gap_between_two_groups_of_users() -> None:
    values = np.concatenate([np.full(40, 0.5), np.full(60, 0.2)])
    one, other = np.where(np.arange(100) < 40, values, np.nan), np.where(np.arange(100) >= 40, values, np.nan)
    gap = Bootstrap(100, EvalConfig()).sample({"one": one, "other": other}).gap("one", "other")
    assert (gap.mean, gap.low, gap.high, gap.users) == pytest.approx((0.3, 0.3, 0.3, 100))


def test_two_sided_by_hand() -> None:
    assert two_sided(np.array([1.0, 2.0, 3.0, -1.0])) == 2 * 2 / 5
    assert two_sided(np.ones(999)) == 2 / 1000
    assert two_sided(np.zeros(10)) == 1.0
    assert isnan(two_sided(np.full(3, np.nan)))


def test_few_users_are_flipped_in_all_ways() -> None:
    # 1 + 2 + 3 = 6 is reached by 2 of the 8 assignments (all plus, all minus); 1 + 2 - 3 = 0 by all
    values = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, -3.0]])
    assert sign_flips(values, 1000).tolist() == [2 / 8, 1.0]
    # eight users of one sign and two of the other, all of one size: a two-sided sign test
    ten = np.array([[1.0]] * 8 + [[-1.0]] * 2)
    want = 2 * sum(comb(10, n) for n in (0, 1, 2)) / 2**10
    assert sign_flips(ten, 1024)[0] == pytest.approx(want)
    assert sign_flips(ten, 5000, seed=3)[0] == want


def test_sign_flips_agree_with_scipy_and_leave_users_out() -> None:
    values = np.random.default_rng(4).normal(0.25, 1, (80, 1))
    how = {"permutation_type": "samples", "n_resamples": 4000, "rng": 1, "vectorized": True}
    theirs = permutation_test((values[:, 0],), lambda x, axis: x.mean(axis), **how)
    ours = sign_flips(values, 4000, seed=2)[0]
    assert ours == pytest.approx(theirs.pvalue, abs=0.015)
    assert ours == pytest.approx(ttest_1samp(values[:, 0], 0).pvalue, abs=0.015)
    more = np.concatenate([values, np.full((20, 1), np.nan)])
    assert sign_flips(more, 4000, seed=2)[0] == pytest.approx(ours, abs=0.015)
    assert np.isnan(sign_flips(np.full((3, 1), np.nan), 100)[0])


def test_differences_of_nothing_and_of_much() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=300)
    values = np.stack([np.zeros(300), noise + 5, noise - noise.mean()], axis=1)
    none, much, centred = Bootstrap(300, EvalConfig()).differences(values)
    assert (none.p_bootstrap, none.p_randomisation) == (1.0, 1.0)
    assert (much.p_bootstrap, much.p_randomisation) == (2 / 1001, 1 / 1001)
    assert centred.p_bootstrap > 0.8
    assert centred.p_randomisation > 0.95
    assert much.low < much.mean < much.high


def test_holm_by_hand() -> None:
    # .01 * 4, .02 * 3 = .06, .03 * 2 = .06, .9
    assert holm(np.array([0.9, 0.01, 0.03, 0.02])).tolist() == pytest.approx([0.9, 0.04, 0.06, 0.06])
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]
    assert holm(np.array([0.02, np.nan]))[0] == 0.02
    assert np.isnan(holm(np.array([0.02, np.nan]))[1])
    assert holm(np.zeros(0)).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_no_correction_and_bonferroni_and_keeps_the_order(values: list[float]) -> None:
    p = np.asarray(values)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, p * len(p)) + 1e-12).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


def test_seeds_by_hand() -> None:
    values = np.array([[0.0, 0.2], [1.0, 0.8], [np.nan, np.nan], [0.2, 0.2]])
    found = over_seeds(values, EvalConfig())
    assert (found.mean, found.users, found.seeds) == (pytest.approx(0.4), 3, 2)
    assert found.deviation == pytest.approx(0.0)  # both seeds have the mean 0.4
    apart = over_seeds(np.array([[0.0, 0.4], [0.2, 0.6]]), EvalConfig())
    assert apart.deviation == pytest.approx(0.4 / np.sqrt(2))  # means 0.1 and 0.5
    assert apart.low >= 0.2
    assert isnan(over_seeds(values[:, :1], EvalConfig()).deviation)


def test_models_of_several_seeds_are_compared_user_by_user() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=(400, 1))  # what is common to a user's values cancels out
    ours, theirs = hard + 0.1 + rng.normal(0, 0.3, (400, 3)), hard + rng.normal(0, 0.3, (400, 2))
    found = compare_seeds(ours, theirs, EvalConfig())
    assert found.mean == pytest.approx(ours.mean() - theirs.mean())
    assert found.low > 0
    assert found.p_randomisation < 0.01
    spread = ours.mean(0).var(ddof=1) / 3 + theirs.mean(0).var(ddof=1) / 2
    assert found.deviation == pytest.approx(np.sqrt(spread))
    assert isnan(compare_seeds(ours[:, :1], theirs, EvalConfig()).deviation)
