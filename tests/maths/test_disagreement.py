"""Scores of a committee: against formulas, against the field's libraries, and by their laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy

from labelloop.maths import disagreement

UNIT = [
    disagreement.vote_entropy,
    disagreement.variation_ratio,
    disagreement.consensus_entropy,
    disagreement.bald,
    disagreement.max_disagreement,
]


def draw(n, classes, members, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), size=(members, n))


def votes_of(committee):
    classes = committee.shape[2]
    return np.stack([(committee.argmax(axis=2) == code).mean(axis=0) for code in range(classes)], axis=1)


def test_scores_follow_the_formulas():
    """Each score equals its definition."""
    c = draw(3_000, 6, members=5)
    votes, mean, scale = votes_of(c), c.mean(axis=0), np.log(6)
    np.testing.assert_allclose(disagreement.vote_entropy(c), scipy_entropy(votes, axis=1) / scale, atol=1e-12)
    np.testing.assert_allclose(disagreement.variation_ratio(c), 1 - votes.max(axis=1), atol=1e-12)
    consensus = scipy_entropy(mean, axis=1) / scale
    np.testing.assert_allclose(disagreement.consensus_entropy(c), consensus, atol=1e-12)
    spread = consensus - scipy_entropy(c, axis=2).mean(axis=0) / scale
    np.testing.assert_allclose(disagreement.bald(c), spread, atol=1e-12)
    farthest = scipy_entropy(c, np.broadcast_to(mean, c.shape), axis=2).max(axis=0) / np.log(5)
    np.testing.assert_allclose(disagreement.max_disagreement(c), farthest, atol=1e-12)


def test_scores_are_those_of_modal():
    """ModAL's disagreement measures are ours times log(classes), the largest divergence times log(members)."""
    from modAL.disagreement import KL_max_disagreement, consensus_entropy, vote_entropy

    from labelloop.strategies.modal import ServedCommittee

    c = draw(300, 4, members=3)
    served, pool = ServedCommittee(c.mean(axis=0), c), np.arange(300)[:, None]
    for ours, theirs, unit in (
        (disagreement.vote_entropy, vote_entropy, np.log(4)),
        (disagreement.consensus_entropy, consensus_entropy, np.log(4)),
        (disagreement.max_disagreement, KL_max_disagreement, np.log(3)),
    ):
        np.testing.assert_allclose(ours(c) * unit, theirs(served, pool), atol=1e-9)


def test_scores_are_those_of_scikit_activeml():
    """Its variation ratio is ours; its mean divergence from the consensus is our BALD times log(classes)."""
    from skactiveml.pool import average_kl_divergence, variation_ratios

    c = np.random.default_rng(0).dirichlet(np.full(4, 2.0), size=(5, 300))
    np.testing.assert_allclose(disagreement.variation_ratio(c), variation_ratios(c.argmax(axis=2).T), atol=1e-12)
    np.testing.assert_allclose(disagreement.bald(c) * np.log(4), average_kl_divergence(c.copy()), atol=1e-5)


@given(n=st.integers(0, 20), classes=st.integers(1, 12), members=st.integers(1, 5), seed=st.integers(0, 99),
       which=st.sampled_from(UNIT))  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=40, deadline=None)
def test_laws(dtype, n, classes, members, seed, which):  # noqa: PLR0917 - Hypothesis fills them by name
    """Between 0 and 1, row by row alone, the members in any order, and the input stays as it was."""
    c = (draw(n, classes, members, seed) if n else np.zeros((members, 0, classes))).astype(dtype)
    kept, rng = c.copy(), np.random.default_rng(seed)
    order = rng.permutation(n)
    scores = which(c)
    assert scores.shape == (n,)
    assert scores.dtype == dtype
    assert ((scores >= 0) & (scores <= 1)).all()
    close = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(which(c[:, order]), scores[order], atol=close)
    np.testing.assert_allclose(which(c[rng.permutation(members)]), scores, atol=close)
    np.testing.assert_array_equal(c, kept)


@pytest.mark.parametrize("which", UNIT)
def test_a_committee_of_one_mind_scores_below_a_divided_one(which):
    """Whatever the score, agreement is low and division is high."""
    sure = np.array([0.98, 0.01, 0.01])
    agreed, divided = np.stack([sure, sure]), np.stack([sure, sure[::-1]])
    low, high = which(np.stack([agreed, divided], axis=1))
    assert high > low


def test_a_tie_is_a_vote_for_the_lower_class():
    """Every member has exactly one vote, also between equal classes."""
    c = np.full((2, 1, 3), 1 / 3)
    c[1] = [[0, 0, 1]]
    assert disagreement.vote_entropy(c)[0] == pytest.approx(np.log(2) / np.log(3))
    assert disagreement.variation_ratio(c)[0] == 0.5


def test_many_rows_are_scored_as_few_are():
    """Blocks leave no seams."""
    c = draw(30_000, 4, members=3).astype(np.float32)
    for which in UNIT:
        whole = which(c)
        np.testing.assert_allclose(which(c[:, 20_000:20_050]), whole[20_000:20_050], atol=1e-6)


def brute_epig(committee, targets):
    members, n, _ = committee.shape
    scores = np.zeros(n)
    for row in range(n):
        gains = []
        for at in range(targets.shape[1]):
            joint = committee[:, row].T @ targets[:, at] / members
            apart = np.outer(joint.sum(axis=1), joint.sum(axis=0))
            seen = joint > 0
            gains.append((joint[seen] * np.log(joint[seen] / apart[seen])).sum())
        scores[row] = np.mean(gains)
    return scores


@given(n=st.integers(0, 6), targets=st.integers(1, 4), classes=st.integers(2, 4), members=st.integers(1, 4),
       seed=st.integers(0, 99))  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_epig_is_the_mutual_information(n, targets, classes, members, seed):
    """Against the definition, written out row by row and target by target."""
    c = draw(n + targets, classes, members, seed)
    pool, wanted = c[:, :n], c[:, n:]
    np.testing.assert_allclose(disagreement.epig(pool, wanted) * np.log(classes), brute_epig(pool, wanted), atol=1e-9)


def test_epig_ignores_what_tells_nothing_about_the_targets():
    """Two rows the committee is equally divided about: only the one whose answer decides the targets scores."""
    sides = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    other = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    committee = np.stack([sides, other], axis=1)
    np.testing.assert_allclose(disagreement.bald(committee), [1, 1])
    np.testing.assert_allclose(disagreement.epig(committee, sides[:, None]), [1, 0], atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 0, 4), (2, 5, 4), (3, 5, 3), (3, 4)])
def test_epig_refuses_targets_that_do_not_fit(shape):
    """No targets, other members, other classes, no committee."""
    with pytest.raises(ValueError, match="targets of shape"):
        disagreement.epig(draw(5, 4, 3), np.zeros(shape))


@given(members=st.integers(1, 6), n=st.integers(0, 30), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_deviation_moves_with_the_unit_and_not_with_the_level(members, n, seed):
    """Another zero changes nothing, another unit scales; scikit-learn's forest and numpy say the same."""
    values = np.random.default_rng(seed).normal(size=(members, n))
    deviation = disagreement.committee_deviation(values)
    np.testing.assert_allclose(deviation, values.std(axis=0), atol=1e-12)
    np.testing.assert_allclose(disagreement.committee_deviation(values * 10 + 7), deviation * 10, atol=1e-9)
