"""Scores with chance: what is drawn how often."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.maths import chance


def test_the_first_is_drawn_in_proportion():
    """Of rows with scores 1, 2 and 7 the last is first in seven draws of ten."""
    rng, scores = np.random.default_rng(0), np.array([1.0, 2.0, 7.0])
    first = np.bincount([chance.power(scores, rng).argmax() for _ in range(20_000)], minlength=3) / 20_000
    np.testing.assert_allclose(first, [0.1, 0.2, 0.7], atol=0.015)


def test_the_exponent_sharpens():
    """Squared, the same scores are drawn 1 : 4 : 49."""
    rng, scores = np.random.default_rng(0), np.array([1.0, 2.0, 7.0])
    first = np.bincount([chance.power(scores, rng, exponent=2).argmax() for _ in range(20_000)], minlength=3) / 20_000
    np.testing.assert_allclose(first, np.array([1, 4, 49]) / 54, atol=0.015)


@given(n=st.integers(0, 40), seed=st.integers(0, 99), exponent=st.sampled_from([0.5, 1, 1e3]))
@settings(max_examples=40, deadline=None)
def test_laws(n, seed, exponent):
    """Finite also for zeros, the same by the same seed; a large exponent keeps the order; the input stays."""
    scores = np.random.default_rng(seed).random(n).round(2).astype(np.float32)
    kept = scores.copy()
    one = chance.power(scores, np.random.default_rng(seed), exponent=exponent)
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, chance.power(scores, np.random.default_rng(seed), exponent=exponent))
    np.testing.assert_array_equal(scores, kept)
    if exponent == 1e3 and n:
        assert scores[one.argmax()] >= scores.max() - 0.02


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf])
def test_scores_without_a_power_are_refused(bad):
    """Negative, missing and endless scores are named by their position."""
    with pytest.raises(ValueError, match="score 1 is"):
        chance.power(np.array([0.5, bad]), np.random.default_rng(0))
