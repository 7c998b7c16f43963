"""Diverse batches, dense and sparse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse import random as random_sparse
from skactiveml.classifier import SklearnClassifier
from skactiveml.pool import Badge, CoreSet, TypiClust
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression

from labelloop.maths import clusters, diversity, geometry


def rng(seed=0):
    return np.random.default_rng(seed)


def choosers(features, count, seed):
    generator = np.random.default_rng(99)
    scores = generator.random(features.shape[0])
    probabilities = generator.dirichlet(np.ones(3), size=features.shape[0])
    return {
        "k_center": diversity.k_center(features, count, rng(seed)),
        "weighted": diversity.k_center(features, count, rng(seed), weights=scores),
        "k_means_start": clusters.k_means_start(features, count, rng(seed)),
        "typiclust": clusters.typiclust(features, count, rng(seed)),
        "badge": diversity.badge(probabilities, features, count, rng(seed)),
        "herding": diversity.herding(features, count, rng(seed)),
        "weighted herding": diversity.herding(features, count, rng(seed), weights=scores),
        "cluster_margin": clusters.cluster_margin(features, scores, count, rng(seed)),
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


def plain_k_center(features, count, first):
    """The rule as it is written, with all distances at every turn."""
    chosen = [first]
    for _ in range(count - 1):
        apart = ((features[:, None] - features[chosen][None]) ** 2).sum(axis=2).min(axis=1)
        chosen.append(int(apart.argmax()))
    return chosen


@given(seed=st.integers(0, 100), spread=st.sampled_from([0.01, 1.0, 30.0]))
@settings(max_examples=15, deadline=None)
def test_lazy_k_center_is_the_plain_one(seed, spread):
    """Though most rows are not looked at, the choice is that of looking at all of them, whatever their spread."""
    generator = rng(seed)
    features = np.exp(spread * generator.random((900, 1)) / 10) * generator.standard_normal((900, 3))
    chosen = few_active(lambda: diversity.k_center(features, 60, rng(seed)))
    np.testing.assert_array_equal(chosen, plain_k_center(features, 60, chosen[0]))


def few_active(work):
    """Do the work with so few active rows that a small set is treated as a large one is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diversity, "_ACTIVE", 16)
        return work()


def gradients(probabilities, features):
    """All of them, written out: (n, classes · d)."""
    residual = probabilities - np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    return (residual[:, :, None] * features[:, None, :]).reshape(len(features), -1)


@given(seed=st.integers(0, 100), n=st.integers(2, 20), classes=st.integers(1, 4), d=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_factored_gradients_are_the_gradients(seed, n, classes, d):
    """Squared distances of the factored gradients are those of the written-out ones, also from other rows."""
    generator = rng(seed)
    probabilities, features = generator.dirichlet(np.ones(classes), size=n), generator.standard_normal((n, d))
    space, whole = geometry.Gradients(probabilities, features), gradients(probabilities, features)
    apart = ((whole[:, None] - whole[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(space.between(slice(0, n), np.arange(n)), apart, atol=1e-10)
    np.testing.assert_allclose(space.norms, (whole**2).sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(space.to(probabilities[:2], features[:2]), apart[:, :2].min(axis=1), atol=1e-10)


def test_badge_draws_as_scikit_activeml_does():
    """As often as scikit-activeml's probabilities say, once its quirk is met: it counts the zero gradient as chosen."""
    features = rng(4).standard_normal((40, 3))
    labels = np.full(40, np.nan)
    labels[:20] = np.arange(20) % 3
    model = SklearnClassifier(LogisticRegression(), classes=[0, 1, 2]).fit(features, labels)
    probabilities, candidates = model.predict_proba(features[20:]), features[20:]
    theirs, utilities = Badge(random_state=0).query(features, labels, model, batch_size=2, return_utilities=True)
    assert diversity.badge(probabilities, candidates, 1, rng()).tolist() == [theirs[0] - 20]
    zero = np.array([[1.0, 0.0, 0.0]]), np.zeros((1, 3))
    draws = np.array([diversity.badge(probabilities, candidates, 2, rng(seed), taken=zero) for seed in range(6_000)])
    often = np.bincount(draws[:, 0], minlength=20) / len(draws)
    np.testing.assert_allclose(often, utilities[0][20:], atol=0.02)
    second = draws[draws[:, 0] == theirs[0] - 20, 1]
    often = np.bincount(second, minlength=20) / len(second)
    np.testing.assert_allclose(often, np.nan_to_num(utilities[1][20:]), atol=0.06)


def test_badge_draws_by_squared_distance_at_every_depth():
    """Each next row comes as often as its squared distance from those before it says, gradients written out."""
    generator = rng(5)
    probabilities, features = generator.dirichlet(np.ones(3), size=15), generator.standard_normal((15, 2))
    whole, draws = gradients(probabilities, features), []
    draws = np.array([diversity.badge(probabilities, features, 5, rng(seed)) for seed in range(4_000)])
    assert (draws[:, 0] == (whole**2).sum(axis=1).argmax()).all()
    for depth in (1, 2, 4):
        expected = np.zeros(15)
        for draw in draws:
            apart = ((whole[:, None] - whole[draw[:depth]][None]) ** 2).sum(axis=2).min(axis=1)
            expected += apart / apart.sum() / len(draws)
        np.testing.assert_allclose(np.bincount(draws[:, depth], minlength=15) / len(draws), expected, atol=0.03)


def test_badge_keeps_away_from_what_is_in_flight():
    """A gradient that is out already is not asked again; its opposite is."""
    probabilities = np.array([[0.5, 0.5], [0.5, 0.5], [0.45, 0.55]])
    features = np.array([[3.0, 0.0], [3.0, 0.0], [-3.0, 0.0]])
    chosen = {
        int(diversity.badge(probabilities, features, 1, rng(seed), taken=(probabilities[:1], features[:1]))[0])
        for seed in range(20)
    }
    assert chosen == {2}


def test_typiclust_follows_scikit_activeml():
    """On clusters that every k-means finds: the same typical row of each, but for those that hold a label."""
    features, cluster = make_blobs(
        n_samples=[60, 50, 40, 30], centers=[[0, 0], [20, 0], [0, 20], [20, 20]], random_state=1
    )
    labels = np.full(180, np.nan)
    labels[0] = 0
    theirs = TypiClust(
        random_state=0, k=10, cluster_algo=KMeans, cluster_algo_dict={"n_init": 5, "random_state": 0}
    ).query(features, labels, candidates=np.arange(1, 180), batch_size=3)
    ours = clusters.typiclust(features[1:], 3, rng(2), labeled=features[:1], neighbours=10) + 1
    assert set(cluster[ours].tolist()) == {0, 1, 2, 3} - {int(cluster[0])}
    np.testing.assert_array_equal(ours, theirs)


def shortfalls(chosen, features, weights, radius):
    """By how much each choice falls short of the best gain of its turn, with all kernels and gains written out."""
    kernel = np.exp(-((features[:, None] - features[None]) ** 2).sum(axis=2) / (2 * radius**2))
    covered = np.zeros(len(features))
    for turn, row in enumerate(chosen):
        gains = weights @ np.maximum(kernel - covered[:, None], 0)
        gains[chosen[:turn]] = -1
        yield (gains.max() - gains[row]) / weights.sum()
        covered = np.maximum(covered, kernel[:, row])


@given(seed=st.integers(0, 100), radius=st.sampled_from([0.3, 1.0, 3.0]), weighted=st.booleans())
@settings(max_examples=25, deadline=None)
def test_lazy_herding_is_the_plain_one(seed, radius, weighted):
    """The greedy choice of the written-out kernel, with and without uncertainties."""
    features = rng(seed).standard_normal((150, 2))
    weights = rng(seed + 1).random(150) if weighted else np.ones(150)
    chosen = diversity.herding(features, 12, rng(seed), weights=weights, radius=radius)
    assert len(set(chosen.tolist())) == 12
    assert max(shortfalls(chosen, features, weights, radius)) < 1e-6  # kernels are float32


def cover(chosen, features, radius):
    """The mean over rows of the largest kernel value with something that is chosen."""
    apart = ((features[:, None] - features[chosen][None]) ** 2).sum(axis=2)
    return np.exp(-apart / (2 * radius**2)).max(axis=1).mean()


def test_covering_a_draw_of_the_rows_covers_nearly_all(monkeypatch):
    """Where the kernels of all rows would take too much memory, some rows stand for the others."""
    features, _ = make_blobs(n_samples=2_000, centers=40, random_state=0)
    whole = diversity.herding(features, 30, rng(1), radius=1.0)
    monkeypatch.setattr(diversity, "_KERNELS", 1)
    monkeypatch.setattr(diversity, "_COVERED", 500)
    part = diversity.herding(features, 30, rng(1), radius=1.0)
    assert len(set(part.tolist())) == 30
    assert cover(part, features, 1.0) > 0.97 * cover(whole, features, 1.0)
    assert cover(part, features, 1.0) > 1.15 * cover(rng(2).permutation(2_000)[:30], features, 1.0)


def test_herding_covers_what_labels_do_not():
    """The largest blob comes first, unless a labeled row covers it."""
    features, cluster = make_blobs(n_samples=[60, 40, 20], centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    assert cluster[diversity.herding(features, 3, rng(1), radius=2.0)].tolist() == [0, 1, 2]
    near = diversity.herding(features, 2, rng(1), radius=2.0, labeled=np.array([[0.0, 0.0]]))
    assert cluster[near].tolist() == [1, 2]


def test_typical_rows_are_dense_ones():
    """TypiClust's row of a cluster has close neighbours, where the row nearest to the centre may have none."""
    ring = np.c_[np.cos(np.linspace(0, 2 * np.pi, 40)), np.sin(np.linspace(0, 2 * np.pi, 40))]
    clump = np.array([1.05, 0.0]) + 0.01 * rng(0).standard_normal((25, 2))
    features = np.concatenate([ring, clump])
    assert clusters.typiclust(features, 1, rng(3))[0] >= 40


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
    chosen = clusters.k_means_start(features, 8, rng(1))
    assert len(set(topic[chosen].tolist())) >= 7


def test_start_takes_the_middle_of_each_cluster_and_the_large_ones_first():
    """One typical row of each cluster, not an outlier; the largest cluster leads."""
    features, cluster = make_blobs(n_samples=[100, 60, 20], centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    chosen = clusters.k_means_start(features, 3, rng(3))
    assert cluster[chosen].tolist() == [0, 1, 2]
    centres = np.array([[0, 0], [9, 0], [0, 9]])
    assert (np.linalg.norm(features[chosen] - centres, axis=1) < 0.7).all()


def test_labeled_rows_are_honoured():
    """Clusters that hold a labeled row are not asked about first."""
    features, cluster = make_blobs(n_samples=90, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    known = np.array([[0.1, 0.1]])
    start = clusters.k_means_start(features, 2, rng(1), labeled=known)
    assert 0 not in cluster[start]
    scores = np.where(cluster == 0, 1.0, 0.5)
    spread = clusters.cluster_margin(features, scores, 2, rng(1), clusters=3, labeled=known)
    assert sorted(cluster[spread].tolist()) == [1, 2]


def test_cluster_margin_goes_round_from_the_smallest_cluster():
    """Each round takes the best row of every cluster, small clusters first."""
    features, cluster = make_blobs(n_samples=[50, 30, 5], centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    scores = rng(5).random(85)
    chosen = clusters.cluster_margin(features, scores, 40, rng(1), clusters=3)
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
        clusters.k_means_start(given, 2, rng())
    with pytest.raises(ValueError, match="row 3 of the features"):
        diversity.badge(np.full((5, 2), 0.5), given, 2, rng())
    with pytest.raises(ValueError, match="row 3 of the features"):
        diversity.herding(given, 2, rng())
    with pytest.raises(ValueError, match="4 rows of probabilities for 5"):
        diversity.badge(np.full((4, 2), 0.5), given, 2, rng())
    with pytest.raises(ValueError, match="weights"):
        diversity.herding(np.ones((2, 2)), 1, rng(), weights=np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match="weights"):
        diversity.k_center(np.ones((2, 2)), 1, rng(), weights=np.array([1.0, -1.0]))


def test_herding_looks_at_scores_also_where_more_are_chosen_than_it_looks_at():
    """Of 300 rows 40 are chosen out of 80, not out of 40 drawn by lot: opposite weights choose differently."""
    points, weights = np.random.default_rng(0).standard_normal((300, 2)), np.arange(300.0)
    one, other = (
        set(diversity.herding(points, 40, np.random.default_rng(1), weights=by, candidates=10).tolist())
        for by in (weights, weights[::-1])
    )
    assert len(one & other) < 30
