"""Layouts on a plane: principal axes against scikit-learn's, and strangers among their neighbours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.sparse import csr_array
from sklearn.decomposition import PCA

from labelloop.maths import projection


def rows(seed, count, width):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, width)) * np.linspace(3, 0.5, width) + 2).astype(np.float32)


@pytest.mark.parametrize("width", [5, 1_500])
@pytest.mark.parametrize("sparse", [False, True])
def test_principal_axes_are_scikit_learns(width, sparse):
    """Narrow and wide, dense and sparse: the same axes up to their sign, and the same variance."""
    dense = rows(1, 80, width)
    if sparse:
        dense[np.random.default_rng(0).random(dense.shape) < 0.8] = 0
    ours = projection.principal_axes(csr_array(dense) if sparse else dense, 2, np.random.default_rng(0))
    theirs = PCA(2, svd_solver="full").fit(dense.astype(np.float64))
    assert np.abs(np.einsum("kd,kd->k", ours.directions, theirs.components_)) == pytest.approx([1, 1], abs=1e-3)
    assert ours.explained == pytest.approx(theirs.explained_variance_ratio_, abs=1e-4)
    places = ours.place(csr_array(dense) if sparse else dense)
    assert np.abs(places) == pytest.approx(np.abs(theirs.transform(dense.astype(np.float64))), abs=0.05)


@settings(deadline=None)
@given(some.integers(1, 6), some.integers(1, 5), some.integers(0, 99))
def test_any_number_of_rows_and_columns_has_a_plane(count, width, seed):
    """A single row, a single column, equal rows: finite coordinates, zeros where there is no variance."""
    features = rows(seed, count, width)
    features[: count // 2] = features[0]
    axes = projection.principal_axes(features, 2, np.random.default_rng(0))
    assert axes.place(features).shape == (count, 2)
    assert np.isfinite(axes.place(features)).all()
    assert 0 <= axes.explained.sum() <= 1 + 1e-6


def test_few_rows_of_many_columns_have_axes_too():
    """Fewer rows than axes asked for, in a space too wide for its covariance."""
    axes = projection.principal_axes(rows(0, 2, 2_000), 2, np.random.default_rng(0))
    assert axes.explained[0] == pytest.approx(1, abs=1e-3)
    assert np.isfinite(axes.place(rows(0, 2, 2_000))).all()


def test_the_same_rows_give_the_same_axes():
    """No sign and no digit depends on luck."""
    features = rows(3, 60, 1_400)
    one, other = (projection.principal_axes(features, 2, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(one.directions, other.directions)


def test_a_stranger_stands_where_its_likes_stand():
    """One that equals a known row stands on it; others stay within the hull of their neighbours."""
    known, places = rows(5, 300, 8), np.random.default_rng(1).normal(size=(300, 2))
    assert projection.among_neighbours(known, places, known[:50]) == pytest.approx(places[:50], abs=1e-2)
    found = projection.among_neighbours(known, places, rows(6, 40, 8))
    assert (found >= places.min(axis=0)).all()
    assert (found <= places.max(axis=0)).all()


def test_nothing_has_no_plane():
    """No rows, no axes."""
    with pytest.raises(ValueError, match="no rows"):
        projection.principal_axes(np.zeros((0, 3)), 2, np.random.default_rng(0))
