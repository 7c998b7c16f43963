"""The minority lane's order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.maths import balance


def one_by_one(wanted, closeness, worth, counts, shares):
    """The greedy choice that the closed form stands for, row by row."""
    counts, left, order = counts.astype(float).copy(), set(range(len(wanted))), []
    while left:
        next_of = {
            code: max((row for row in left if wanted[row] == code), key=lambda row: closeness[row])
            for code in {wanted[row] for row in left}
        }
        level = {code: (counts[code] + worth[row]) / shares[code] for code, row in next_of.items()}
        code = min(level, key=lambda code: (level[code], code))
        row = next_of[code]
        counts[code] += worth[row]
        left.remove(row)
        order.append((level[code], row))
    return order


@given(seed=st.integers(0, 500), n=st.integers(1, 25), classes=st.integers(2, 4))
@settings(max_examples=60, deadline=None)
def test_order_is_the_greedy_choice(seed, n, classes):
    """Each next row comes from the class that then has the fewest labels for its target."""
    rng = np.random.default_rng(seed)
    wanted, closeness = rng.integers(classes, size=n), rng.permutation(n) / n
    counts, shares = rng.integers(6, size=classes), rng.dirichlet(np.ones(classes))
    worth = rng.uniform(0.1, 1, size=n) if seed % 2 else None
    scores = balance.balanced_order(wanted, closeness, worth, class_counts=counts, targets=shares)
    greedy = one_by_one(wanted, closeness, np.ones(n) if worth is None else worth, counts, shares)
    np.testing.assert_allclose(np.sort(-scores), [level for level, _ in greedy])
    for code in range(classes):
        rows = [row for _, row in greedy if wanted[row] == code]
        assert rows == sorted(rows, key=lambda row: -scores[row])


def test_rare_class_is_asked_first_and_then_shares():
    """The class with 2 of 42 labels is asked alone until it is level, then both in turn."""
    p = np.repeat([[1.0, 0.0], [0.0, 1.0]], [60, 60], axis=0)
    order = np.argsort(-balance.minority_scores(p, np.array([40, 2])), kind="stable")
    rare = order >= 60
    assert rare[:38].all()
    assert 9 <= rare[38:58].sum() <= 11


def test_class_predicted_nowhere_is_found_by_its_posterior():
    """A class without labels and without predictions still gets the rows where it is likeliest."""
    p = np.full((100, 3), 1 / 3)
    p[:, 2] = np.linspace(0.001, 0.2, 100)
    p[:, :2] = (1 - p[:, [2]]) * [0.6, 0.4]
    scores = balance.minority_scores(p, np.array([30, 30, 0]))
    assert np.argsort(-scores)[:5].tolist() == [99, 98, 97, 96, 95]


def test_a_class_that_is_predicted_for_few_rows_gets_likely_ones_behind_them():
    """The rows of its bucket come first, then those where it is likeliest, also if others have few labels, too."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet([60, 40, 5, 3], size=400)
    p[:3] = [0.1, 0.1, 0.6, 0.2]
    counts = np.array([80, 90, 3, 5])
    first = np.argsort(-balance.minority_scores(p, counts), kind="stable")
    others = p[3:, 2:].argmax(axis=1) == 0
    likely = 3 + np.flatnonzero(others)[np.argsort(-p[3:, 2][others])]
    for_third = first[np.isin(first, np.r_[:3, likely[:40]])]
    assert set(for_third[:3].tolist()) == {0, 1, 2}
    assert for_third[3:20].tolist() == likely[:17].tolist()
    assert np.isin(first[:50], likely[:50]).sum() > 15
    assert np.isin(first[:50], 3 + np.flatnonzero(~others)).sum() > 5


def test_a_class_that_is_often_not_what_it_seems_is_asked_more():
    """Half as sure of its predictions, it gets as many rows more, so that the labels come out level."""
    p = np.repeat([[0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.01, 0.01, 0.98]], 200, axis=0)
    counts = np.array([0, 0, 0])
    found = balance.claims(p, counts)
    even = np.argsort(-balance.claim_scores(found, counts), kind="stable")[:120] // 200
    assert np.bincount(even).tolist() == [40, 40, 40]
    sure = np.array([1.0, 1.0, 0.5])
    aware = np.argsort(-balance.claim_scores(found, counts, sure=sure), kind="stable")[:120] // 200
    assert np.bincount(aware).tolist() == [30, 30, 60]


def test_reliability_is_what_was_observed_over_what_was_said():
    """Few rows say little, none says nothing; a class that is righter than it says lies above 1."""
    p = np.repeat([[0.8, 0.2, 0.0], [0.4, 0.6, 0.0]], [1_000, 1_000], axis=0)
    codes = np.r_[np.zeros(400), np.full(600, 2), np.ones(900), np.zeros(100)].astype(int)
    found = balance.reliability(p, codes)
    np.testing.assert_allclose(found, [0.5, 1.5, 1], atol=0.01)
    few = balance.reliability(p[:2], np.array([1, 1]))
    assert 0.7 < few[0] < 0.8
    assert balance.reliability(p[:0], codes[:0]).tolist() == [1, 1, 1]


def test_impossible_class_is_not_invented():
    """Rows whose posterior of the rarest class is 0 are not asked on its account."""
    p = np.array([[0.6, 0.4, 0.0], [0.9, 0.1, 0.0]])
    wanted = balance.claims(p, np.array([5, 5, 0]))
    assert wanted.posterior.tolist() == [0, 0]
    assert np.argsort(-balance.claim_scores(wanted, np.array([5, 5, 0])))[0] == 0


def test_blocks_come_to_the_same():
    """Claims taken block by block give the scores of the whole."""
    rng = np.random.default_rng(0)
    p, counts = rng.dirichlet(np.ones(5), size=1_000), np.array([90, 40, 10, 3, 0])
    parts = [balance.claims(p[at : at + 128], counts) for at in range(0, 1_000, 128)]
    joined = balance.claim_scores(balance.Claims.joined(parts), counts)
    np.testing.assert_array_equal(joined, balance.minority_scores(p, counts))
    assert np.isfinite(joined).all()


def test_target_zero_comes_last():
    """A class nobody wants more of is asked only when nothing else is left."""
    p = np.array([[0.9, 0.1], [0.1, 0.9]])
    scores = balance.minority_scores(p, np.array([0, 50]), targets=np.array([0.0, 1.0]))
    assert scores[1] > scores[0]
    assert np.isfinite(scores).all()


def plain_cut(ahead, own):
    """Fewest mistakes of any threshold, by trying all."""
    able = [-2.0, *((np.sort(ahead)[1:] + np.sort(ahead)[:-1]) / 2).tolist(), 2.0]
    return min(int((ahead[own] < at).sum() + (ahead[~own] > at).sum()) for at in able)


@given(seed=st.integers(0, 300), n=st.integers(1, 30), classes=st.integers(2, 4))
@settings(max_examples=60, deadline=None)
def test_cuts_make_fewest_mistakes(seed, n, classes):
    """No other threshold on the advantage over the rivals tells a class's labels from the others better."""
    rng = np.random.default_rng(seed)
    p, codes = rng.dirichlet(np.ones(classes), size=n), rng.integers(classes, size=n)
    at, ahead = balance.cuts(p, codes), balance.advantages(p)
    for code in range(classes):
        own = codes == code
        if own.any() and not own.all():
            wrong = (ahead[own, code] < at[code]).sum() + (ahead[~own, code] > at[code]).sum()
            assert wrong == plain_cut(ahead[:, code], own)
        else:
            assert at[code] == 0


def test_advantage_is_over_the_best_rival():
    """Above 0 for the predicted class alone, and its size is the margin."""
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=50)
    ahead, ordered = balance.advantages(p), np.sort(p, axis=1)
    assert ((ahead > 0).sum(axis=1) == 1).all()
    np.testing.assert_allclose(ahead.max(axis=1), ordered[:, -1] - ordered[:, -2])


def test_a_moved_cut_moves_what_is_asked():
    """A rare class gets 0.3 at most, and its labels lie above 0.2: rows around 0.2 are asked, on both sides."""
    rare = np.linspace(0.001, 0.3, 300)
    p = np.stack([1 - rare, rare], axis=1)
    labeled = np.array([[0.9, 0.1], [0.85, 0.15], [0.75, 0.25], [0.7, 0.3]])
    at = balance.cuts(labeled, np.array([0, 0, 1, 1]))
    scores = balance.claim_scores(balance.claims(p, np.array([50, 2]), at=at), np.array([50, 2]))
    first = rare[np.argsort(-scores, kind="stable")[:20]]
    assert first.min() > 0.18
    assert first.max() < 0.22
    assert (first < 0.2).any()
    assert (first > 0.2).any()


def test_deficit():
    """Targets of any scale, planned labels, and nothing to make up when all is level."""
    assert balance.deficit(np.array([5, 5])).tolist() == [0, 0]
    assert balance.deficit(np.array([8, 0]), np.array([3.0, 1.0]), planned=2).tolist() == [0, 2.5]
    with pytest.raises(ValueError, match="targets need"):
        balance.deficit(np.array([1, 2]), np.array([1.0, -1.0]))


def test_empty_pool_and_wrong_shape():
    """No rows give no scores; counts of another schema are refused."""
    assert balance.minority_scores(np.zeros((0, 3)), np.zeros(3, dtype=int)).shape == (0,)
    with pytest.raises(ValueError, match="do not fit 2 class counts"):
        balance.minority_scores(np.full((1, 3), 1 / 3), np.array([1, 2]))
