"""Diverse batches, dense and sparse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse import random as random_sparse
from skactiveml.pool import CoreSet
from sklearn.datasets import make_blobs

from labelloop.maths import diversity


def rng(seed=0):
    return np.random.default_rng(seed)


def choosers(features, count, seed):
    scores = np.random.default_rng(99).random(features.shape[0])
    return {
        "k_center": diversity.k_center(features, count, rng(seed)),
        "weighted": diversity.k_center(features, count, rng(seed), weights=scores),
        "k_means_start": diversity.k_means_start(features, count, rng(seed)),
        "cluster_margin": diversity.cluster_margin(features, scores, count, rng(seed)),
    }


@given(n=st.integers(0, 30), d=st.integers(1, 4), count=st.integers(0, 35), seed=st.integers(0, 50),
       distinct=st.integers(1, 4))  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_any_input_gives_distinct_rows(n, d, count, seed, distinct):
    """Also with duplicates, with nothing, and with more asked than there is: rows, no repeats, same by seed."""
    features = np.random.default_rng(seed).integers(distinct, size=(n, d)).astype(np.float64)
    kept = features.copy()
    again = choosers(features, count, seed)
    for name, chosen in choosers(features, count, seed).items():
        assert len(chosen) == len(set(chosen.tolist())) == min(count, n), name
        assert ((chosen >= 0) & (chosen < n)).all(), name
        np.testing.assert_array_equal(chosen, again[name])
    np.testing.assert_array_equal(features, kept)


def test_k_center_follows_scikit_activeml():
    """After the same start, the same rows in the same order as scikit-activeml's CoreSet."""
    features = rng(1).standard_normal((200, 5))
    labels = np.full(200, np.nan)
    labels[:3] = 0
    theirs = CoreSet(random_state=0).query(features, labels, candidates=np.arange(3, 200), batch_size=15)
    ours = diversity.k_center(features[3:], 15, rng(), labeled=features[:3]) + 3
    np.testing.assert_array_equal(ours, theirs)


def test_k_center_covers_within_twice_the_radius():
    """Its radius is below that of any random choice tried, and it takes one row of each far cluster first."""
    features, cluster = make_blobs(n_samples=300, centers=6, cluster_std=0.2, random_state=3)
    chosen = diversity.k_center(features, 6, rng())
    assert len(set(cluster[chosen].tolist())) == 6

    def radius(rows):
        return np.sqrt(((features[:, None] - features[rows][None]) ** 2).sum(axis=2)).min(axis=1).max()

    best = min(radius(rng(seed).choice(300, 6, replace=False)) for seed in range(200))
    assert radius(chosen) <= 2 * best


def test_weights_pull_the_choice():
    """A row without weight is not taken while others are left; the heaviest goes first."""
    features = rng(2).standard_normal((50, 3))
    weights = np.ones(50)
    weights[:10], weights[30] = 0, 5
    chosen = diversity.k_center(features, 40, rng(), weights=weights)
    assert chosen[0] == 30
    assert (chosen >= 10).all()


def test_sparse_rows_are_chosen_like_dense_ones():
    """Sparse features give the choice of the same dense ones."""
    sparse = csr_array(random_sparse(120, 40, density=0.2, random_state=5))
    for (name, chosen), dense in zip(
        choosers(sparse, 12, 4).items(), choosers(sparse.toarray(), 12, 4).values(), strict=True
    ):
        np.testing.assert_array_equal(chosen, dense, err_msg=name)
    near = diversity.k_center(sparse, 5, rng(), labeled=sparse[:10])
    np.testing.assert_array_equal(near, diversity.k_center(sparse.toarray(), 5, rng(), labeled=sparse[:10].toarray()))


def test_wide_sparse_text_like_rows_find_their_topics():
    """Rows over 5,000 terms, of 8 topics with words of their own: the first batch has all topics."""
    generator = rng(7)
    topic = generator.integers(8, size=400)
    rows = np.repeat(np.arange(400), 25)
    words = np.repeat(topic, 25) * 600 + generator.integers(60, size=rows.size)
    features = csr_array((np.ones(rows.size, dtype=np.float32), (rows, words)), shape=(400, 5_000))
    chosen = diversity.k_means_start(features, 8, rng(1))
    assert len(set(topic[chosen].tolist())) >= 7


def test_start_takes_the_middle_of_each_cluster_and_the_large_ones_first():
    """One typical row of each cluster, not an outlier; the largest cluster leads."""
    features, cluster = make_blobs(n_samples=[100, 60, 20], centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    chosen = diversity.k_means_start(features, 3, rng(3))
    assert cluster[chosen].tolist() == [0, 1, 2]
    centres = np.array([[0, 0], [9, 0], [0, 9]])
    assert (np.linalg.norm(features[chosen] - centres, axis=1) < 0.7).all()


def test_labeled_rows_are_honoured():
    """Clusters that hold a labeled row are not asked about first."""
    features, cluster = make_blobs(n_samples=90, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    known = np.array([[0.1, 0.1]])
    start = diversity.k_means_start(features, 2, rng(1), labeled=known)
    assert 0 not in cluster[start]
    scores = np.where(cluster == 0, 1.0, 0.5)
    spread = diversity.cluster_margin(features, scores, 2, rng(1), clusters=3, labeled=known)
    assert sorted(cluster[spread].tolist()) == [1, 2]


def test_cluster_margin_goes_round_from_the_smallest_cluster():
    """Each round takes the best row of every cluster, small clusters first."""
    features, cluster = make_blobs(n_samples=[50, 30, 5], centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    scores = rng(5).random(85)
    chosen = diversity.cluster_margin(features, scores, 40, rng(1), clusters=3)
    assert cluster[chosen[:6]].tolist() == [2, 1, 0, 2, 1, 0]
    for code in range(3):
        mine = scores[chosen[cluster[chosen] == code]]
        np.testing.assert_array_equal(mine, np.sort(scores[cluster == code])[::-1][: len(mine)])


@pytest.mark.parametrize("sparse", [False, True])
def test_broken_features_are_named(sparse):
    """A row with NaN is named instead of being chosen."""
    features = np.ones((5, 2))
    features[3, 1] = np.nan
    given = csr_array(features) if sparse else features
    with pytest.raises(ValueError, match="row 3 of the features"):
        diversity.k_center(given, 2, rng())
    with pytest.raises(ValueError, match="row 3 of the features"):
        diversity.k_means_start(given, 2, rng())
    with pytest.raises(ValueError, match="weights"):
        diversity.k_center(np.ones((2, 2)), 1, rng(), weights=np.array([1.0, -1.0]))
