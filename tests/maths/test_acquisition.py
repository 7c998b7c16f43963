"""Acquisition scores: against formulas, against the field's libraries, and by their laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy
from skactiveml.pool import uncertainty_scores

from labelloop.maths import acquisition

ONE_VOICE = [acquisition.least_confidence, acquisition.margin, acquisition.entropy]


def draw(n, classes, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), size=n)


@pytest.mark.parametrize("classes", [2, 3, 10, 11, 48, 49, 77])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_voice_follows_the_formulas(classes, dtype):
    """The blockwise scores equal the textbook formulas, for few and for many classes."""
    p = draw(50_000, classes).astype(dtype)
    ordered = np.sort(p, axis=1)
    np.testing.assert_array_equal(acquisition.least_confidence(p), 1 - ordered[:, -1])
    np.testing.assert_array_equal(acquisition.margin(p), ordered[:, -2] - ordered[:, -1])
    np.testing.assert_allclose(acquisition.entropy(p), scipy_entropy(p, axis=1) / np.log(classes), atol=2e-6)
    assert acquisition.margin(p).dtype == acquisition.entropy(p).dtype == dtype


@pytest.mark.parametrize("ours, theirs, scale", [
    (acquisition.least_confidence, "least_confident", 1),
    (acquisition.margin, "margin_sampling", 1),
    (acquisition.entropy, "entropy", np.log(7)),
])  # fmt: skip
def test_one_voice_ranks_like_scikit_activeml(ours, theirs, scale):
    """scikit-activeml's utilities are ours up to a constant."""
    p = draw(500, 7)
    utilities = uncertainty_scores(p, method=theirs)
    np.testing.assert_allclose(np.diff(ours(p) * scale), np.diff(utilities), atol=1e-9)


@given(n=st.integers(0, 40), classes=st.integers(1, 60), seed=st.integers(0, 99), which=st.sampled_from(ONE_VOICE))
@settings(max_examples=60, deadline=None)
def test_one_voice_laws(n, classes, seed, which):
    """Finite, in range, row by row alone, and the input stays as it was."""
    p = draw(n, classes, seed) if n else np.zeros((0, classes))
    kept, order = p.copy(), np.random.default_rng(seed).permutation(n)
    scores = which(p)
    assert scores.shape == (n,)
    assert np.isfinite(scores).all()
    assert ((scores >= -1) & (scores <= 1)).all()
    np.testing.assert_allclose(which(p[order]), scores[order], atol=1e-12)
    np.testing.assert_array_equal(p, kept)


def test_higher_asks_first_everywhere():
    """A row nobody is sure of scores above a row everybody is sure of, whatever the score."""
    sure, unsure = np.array([0.98, 0.01, 0.01]), np.array([0.34, 0.33, 0.33])
    for score in ONE_VOICE:
        low, high = score(np.stack([sure, unsure]))
        assert high > low


@pytest.mark.parametrize("classes", [1, 2, 3, 9, 10, 60])
def test_the_layout_of_memory_changes_nothing(classes):
    """Stored by rows, by columns or with gaps: the same scores, up to the last digits of a sum."""
    p = draw(3_000, classes, seed=classes).astype(np.float32)
    for score in ONE_VOICE:
        for other in (np.asfortranarray(p), np.repeat(p, 2, axis=0)[::2], np.repeat(p, 2, axis=1)[:, ::2]):
            np.testing.assert_allclose(score(other), score(p), atol=3e-7)


def test_zeros_are_no_trouble_to_entropy():
    """A class that is ruled out adds nothing, also beside a block without zeros; float32 smallest numbers neither."""
    p = np.array([[1, 0, 0], [0.5, 0.5, 0], [1 - 1e-40, 1e-40, 0]], dtype=np.float32)
    np.testing.assert_allclose(acquisition.entropy(p), [0, np.log(2) / np.log(3), 0], atol=1e-6)


@given(n=st.integers(0, 30), classes=st.integers(2, 9), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_expected_cost_laws(n, classes, seed):
    """With equal prices it is least confidence; it scales with the prices; no answer is cheaper than the cheapest."""
    p = draw(n, classes, seed) if n else np.zeros((0, classes))
    equal = 1 - np.eye(classes)
    np.testing.assert_allclose(acquisition.expected_cost(p, equal), acquisition.least_confidence(p), atol=1e-12)
    costs = np.random.default_rng(seed).random((classes, classes))
    risk = acquisition.expected_cost(p, costs)
    np.testing.assert_allclose(acquisition.expected_cost(p, 3 * costs), 3 * risk, atol=1e-12)
    assert (risk[:, None] <= p @ costs + 1e-12).all()


def test_expected_cost_is_that_of_scikit_activeml():
    """Its cost-sensitive least confidence is the same number."""
    p, costs = draw(500, 5), np.random.default_rng(1).random((5, 5)) * (1 - np.eye(5))
    np.testing.assert_allclose(acquisition.expected_cost(p, costs), uncertainty_scores(p, cost_matrix=costs))


@pytest.mark.parametrize("costs", [np.ones((2, 2)), np.ones(3), np.full((3, 3), np.nan)])
def test_costs_that_do_not_fit_are_refused(costs):
    """Another number of classes, no matrix, no numbers."""
    with pytest.raises(ValueError, match="costs of shape"):
        acquisition.expected_cost(draw(4, 3), costs)


def test_margin_keeps_digits_near_zero_in_float32():
    """Two races closer than float32 can tell apart at 1 are still told apart."""
    p = np.array([[0.1 + 1e-8, 0.1, 0.8], [0.5, 0.5, 0]], dtype=np.float32)
    p[:, 2] = 0
    assert acquisition.margin(p)[0] < acquisition.margin(p)[1] == 0


def test_works_on_read_only_maps_and_slices():
    """Memory-mapped and strided input gives the same scores."""
    p = draw(1_000, 5)
    locked = p.copy()
    locked.flags.writeable = False
    wide = np.concatenate([p, p], axis=1)[:, :5]
    for score in ONE_VOICE:
        np.testing.assert_array_equal(score(locked), score(p))
        np.testing.assert_array_equal(score(wide), score(p))


@pytest.mark.parametrize("value, said", [
    (np.nan, "row 70000 .* not finite"), (np.inf, "row 70000 .* not finite"), (-0.5, "row 70000 .* negative"),
    (0.9, "row 70000 .* sums to"),
])  # fmt: skip
def test_bad_rows_are_named(value, said):
    """The first row that is no distribution is named, also far behind the first block."""
    p = np.full((80_000, 4), 0.25, dtype=np.float32)
    p[[70_000, 75_000], 1] = value
    with pytest.raises(ValueError, match=said):
        acquisition.check_probabilities(p)
    with pytest.raises(ValueError, match="of member 1"):
        acquisition.check_probabilities(np.stack([np.full_like(p, 0.25), p]))


def test_good_rows_pass():
    """Distributions, rounded ones and none at all are fine; a vector is not."""
    acquisition.check_probabilities(draw(100, 300).astype(np.float32))
    acquisition.check_probabilities(np.round(draw(100, 5), 4))
    acquisition.check_probabilities(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="2 axes"):
        acquisition.check_probabilities(np.array([0.5, 0.5]))
