"""Paired comparisons: against scipy's own tests, and by what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from labelloop.maths import paired

numbers = some.lists(some.floats(-5, 5).map(lambda value: round(value, 3)), min_size=2, max_size=9)


@given(numbers)
def test_the_t_test_is_scipys(values):
    """Wherever scipy has an answer, it is ours."""
    differences = np.array(values)
    if differences.std() > 1e-6:
        assert paired.t_test(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=1e-9)


@given(numbers)
def test_flipping_signs_is_scipys_permutation_test(values):
    """All patterns of signs, counted by another program."""
    differences = np.array(values)
    theirs = stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    assert paired.sign_flip(differences, np.random.default_rng(0)) == pytest.approx(theirs.pvalue, abs=1e-9)


def test_many_repeats_are_flipped_by_lot_and_agree_with_t():
    """Beyond fourteen repeats patterns are drawn; for well-behaved differences both tests say the same."""
    differences = np.random.default_rng(4).normal(0.45, 1, size=30)
    p = paired.sign_flip(differences, np.random.default_rng(0))
    assert p == pytest.approx(paired.t_test(differences), abs=0.01)
    assert p > 0


def test_p_values_are_honest_where_nothing_differs():
    """Of 800 comparisons of equals about one in twenty is below 0.05, by either test."""
    rng = np.random.default_rng(7)
    samples = rng.normal(size=(800, 8))
    for test in (paired.t_test, lambda one: paired.sign_flip(one, rng)):
        assert np.mean([test(one) < 0.05 for one in samples]) == pytest.approx(0.05, abs=0.025)


def test_the_bootstrap_is_scipys_bca():
    """Another program's interval of a skewed mean, within the noise of resampling."""
    differences = np.random.default_rng(3).exponential(size=25) - 0.8
    ours = paired.bootstrap_mean(differences, np.random.default_rng(0))
    theirs = stats.bootstrap((differences,), np.mean, n_resamples=10_000, random_state=1).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_one_repeat_and_no_difference_prove_nothing():
    """No spread, no claim."""
    rng = np.random.default_rng(0)
    for differences in (np.array([0.3]), np.zeros(6)):
        found = paired.bootstrap_mean(differences, rng)
        assert found.low == found.high == found.mean
        assert paired.t_test(differences) == paired.sign_flip(differences, rng) == 1.0
    assert paired.signs(np.zeros(3)) == 1.0


@given(numbers)
def test_the_sign_test_is_scipys(values):
    """Wins against losses by the binomial."""
    differences = np.array(values)
    up, down = int((differences > 0).sum()), int((differences < 0).sum())
    if up + down:
        assert paired.signs(differences) == pytest.approx(stats.binomtest(up, up + down).pvalue)


@given(some.lists(some.floats(0, 1), min_size=1, max_size=8))
def test_holm_only_ever_raises_and_keeps_the_order(values):
    """Corrected p-values are no smaller, at most 1, ordered as before, and the smallest is multiplied by all."""
    p = np.array(values)
    corrected = paired.holm(p)
    assert (corrected >= p).all()
    assert (corrected <= 1).all()
    assert corrected.min() == pytest.approx(min(1.0, len(p) * p.min()))
    order = np.argsort(p)
    assert (np.diff(corrected[order]) >= 0).all()


@pytest.mark.parametrize("bad", [[], [np.nan], [[1.0]]])
def test_what_is_no_difference_is_refused(bad):
    """Nothing is computed from nothing."""
    with pytest.raises(ValueError, match="one finite number"):
        paired.t_test(np.array(bad))
