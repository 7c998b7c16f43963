"""Where rare classes hide: tight groups, far groups, and rows like the examples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.neighbors import NearestNeighbors

from labelloop.maths import rarity


def crowd(seed=0, n=400):
    return np.random.default_rng(seed).standard_normal((n, 3))


@given(seed=st.integers(0, 100), n=st.integers(0, 60), distinct=st.integers(1, 9), neighbours=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_any_input_gives_groups(seed, n, distinct, neighbours):
    """Also of copies, of few rows and of none: scores are finite, and heads are rows without repeats, none known."""
    rng = np.random.default_rng(seed)
    points = rng.integers(distinct, size=(n, 2)).astype(np.float64)
    around = rarity.surroundings(points, neighbours=neighbours)
    known = rng.random(n) < 0.2
    for groups in (rarity.tight_groups(around), rarity.far_groups(around)):
        assert groups.scores.shape == groups.sizes.shape == (n,)
        assert np.isfinite(groups.scores).all()
        assert (groups.sizes <= max(around.neighbours.shape[1], 1)).all()
        found = rarity.heads(groups, around, 10, np.random.default_rng(1), known=known)
        assert len(found) == len(set(found.tolist())) <= 10
        assert not known[found].any()


def test_neighbours_are_those_of_scikit_learn():
    """The same distances as a brute search."""
    points = crowd()
    theirs, _ = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(points).kneighbors(points)
    np.testing.assert_allclose(rarity.surroundings(points, neighbours=5).distances, theirs, atol=1e-6)


def test_a_tight_group_in_the_thick_of_a_crowd_is_found():
    """Five rows in one place among four hundred, where the density is highest: one of them is the first head."""
    points = np.concatenate([crowd(), np.full((5, 3), 0.1)])
    around = rarity.surroundings(points)
    found = rarity.heads(
        rarity.tight_groups(around), around, 20, np.random.default_rng(0), known=np.zeros(405, dtype=bool)
    )
    assert found[0] >= 400
    assert (found >= 400).sum() == 1


def test_outliers_in_company_do_not_hide_each_other():
    """Three rows far from the crowd and close to each other, and a lone one: both are among the first heads."""
    points = np.concatenate([crowd(), 30 + 0.1 * crowd(1, 3), [[-40.0, 0.0, 0.0]]])
    around = rarity.surroundings(points)
    groups, known = rarity.far_groups(around), np.zeros(404, dtype=bool)
    found = rarity.heads(groups, around, 2, np.random.default_rng(0), known=known)
    assert {bool(row in {400, 401, 402}) for row in found.tolist()} == {True, False}
    assert 403 in found
    known[400] = True
    found = rarity.heads(groups, around, 400, np.random.default_rng(0), known=known)
    assert not {400, 401, 402} & set(found.tolist())


@given(seed=st.integers(0, 50), depth=st.integers(1, 9), step=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_blocks_come_to_the_same_nearest_rows(seed, depth, step):
    """However the pool is cut, each example keeps its nearest rows."""
    pool, examples = crowd(seed, 60), crowd(seed + 1, 3)
    numbers = np.random.default_rng(seed).permutation(1_000)[:60]
    closest = rarity.Closest(examples, depth=depth)
    for at in range(0, 60, step):
        closest.look(numbers[at : at + step], pool[at : at + step])
    apart = ((pool[:, None] - examples[None]) ** 2).sum(axis=2)
    expected = np.unique(numbers[np.argsort(apart, axis=0)[:depth]])
    np.testing.assert_array_equal(closest.numbers(), expected)


@pytest.mark.parametrize("sparse", [False, True])
def test_likeness_is_relative_to_what_is_known_otherwise(sparse):
    """A row beside an example is the likest; one beside a known other is the least, however near an example is."""
    rows = np.array([[0.1, 0.0], [1.0, 0.0], [1.9, 0.0]])
    examples, others = np.array([[0.0, 0.0]]), np.array([[2.0, 0.0]])
    if sparse:
        rows, examples, others = csr_array(rows), csr_array(examples), csr_array(others)
    alike = rarity.likeness(rows, examples, others)
    np.testing.assert_allclose(alike, [-0.05, -0.5, -0.95], atol=1e-6)
    lone = rarity.likeness(rows, examples, others[:0])
    assert np.argsort(-lone).tolist() == [0, 1, 2]


def test_copies_of_an_example_are_like_it():
    """Without any distance to divide by there is an answer, too."""
    same = np.zeros((2, 2))
    assert rarity.likeness(same, same, same).tolist() == [-0.5, -0.5]
    assert rarity.likeness(same, same, same[:0]).tolist() == [0, 0]


def test_broken_rows_are_named():
    """A row with NaN is named."""
    points = np.ones((4, 2))
    points[2, 0] = np.nan
    with pytest.raises(ValueError, match="row 2 of the features"):
        rarity.surroundings(points)
