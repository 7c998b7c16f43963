"""Acquisition scores: against formulas, against the field's libraries, and by their laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy
from skactiveml.pool import uncertainty_scores

from labelloop.maths import acquisition

ONE_VOICE = [acquisition.least_confidence, acquisition.margin, acquisition.entropy]
MANY_VOICES = [acquisition.vote_entropy, acquisition.consensus_entropy, acquisition.bald]


def draw(n, classes, seed=0, members=None):
    shape = n if members is None else (members, n)
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), size=shape)


@pytest.mark.parametrize("classes", [2, 3, 10, 48, 49, 77])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_voice_follows_the_formulas(classes, dtype):
    """The blockwise scores equal the textbook formulas, for few and for many classes."""
    p = draw(5_000, classes).astype(dtype)
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


def test_committee_follows_the_formulas():
    """Vote entropy, consensus entropy and BALD equal their definitions."""
    c = draw(3_000, 6, members=5)
    votes = np.stack([(c.argmax(axis=2) == code).mean(axis=0) for code in range(6)], axis=1)
    scale = np.log(6)
    np.testing.assert_allclose(acquisition.vote_entropy(c), scipy_entropy(votes, axis=1) / scale, atol=1e-12)
    consensus = scipy_entropy(c.mean(axis=0), axis=1) / scale
    np.testing.assert_allclose(acquisition.consensus_entropy(c), consensus, atol=1e-12)
    spread = consensus - scipy_entropy(c, axis=2).mean(axis=0) / scale
    np.testing.assert_allclose(acquisition.bald(c), spread, atol=1e-12)


def test_committee_ranks_like_modal():
    """ModAL's disagreement measures are ours times log(classes)."""
    from modAL.disagreement import consensus_entropy, vote_entropy

    from labelloop.strategies.modal import ServedCommittee

    c = draw(300, 4, members=3)
    served = ServedCommittee(c.mean(axis=0), c)
    pool = np.arange(300)[:, None]
    np.testing.assert_allclose(acquisition.vote_entropy(c) * np.log(4), vote_entropy(served, pool), atol=1e-9)
    np.testing.assert_allclose(acquisition.consensus_entropy(c) * np.log(4), consensus_entropy(served, pool), atol=1e-9)


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
    np.testing.assert_array_equal(which(p[order]), scores[order])
    np.testing.assert_array_equal(p, kept)


@given(n=st.integers(0, 20), classes=st.integers(1, 12), members=st.integers(1, 5), seed=st.integers(0, 99),
       which=st.sampled_from(MANY_VOICES))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_committee_laws(n, classes, members, seed, which):
    """Finite, between 0 and 1, row by row alone, and the input stays as it was."""
    c = draw(n, classes, seed, members) if n else np.zeros((members, 0, classes))
    kept, order = c.copy(), np.random.default_rng(seed).permutation(n)
    scores = which(c)
    assert scores.shape == (n,)
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_allclose(which(c[:, order]), scores[order], atol=1e-12)
    np.testing.assert_array_equal(c, kept)


def test_higher_asks_first_everywhere():
    """A row nobody is sure of scores above a row everybody is sure of, whatever the score."""
    sure, unsure = np.array([0.98, 0.01, 0.01]), np.array([0.34, 0.33, 0.33])
    for score in ONE_VOICE:
        low, high = score(np.stack([sure, unsure]))
        assert high > low
    agreed, divided = np.stack([sure, sure]), np.stack([sure, sure[::-1]])
    for score in MANY_VOICES:
        low, high = score(np.stack([agreed, divided], axis=1))
        assert high > low


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
