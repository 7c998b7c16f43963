"""Near-duplicates: who leads, who follows, who is taken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from labelloop.maths import twins


def similarity(a, b):
    whole = (a**2).sum() + (b**2).sum()
    return 1.0 if whole == 0 else 2 * (a @ b) / whole


@given(seed=st.integers(0, 200), n=st.integers(0, 40), threshold=st.sampled_from([0.5, 0.9, 0.999, 1.0]),
       taken=st.integers(0, 3), block=st.sampled_from([1, 3, 256]))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_groups_are_what_they_say(seed, n, threshold, taken, block):
    """Followers are twins of a leader before them, leaders are no twins of each other, nor of what is taken."""
    rng = np.random.default_rng(seed)
    rows, gone = rng.integers(-1, 2, size=(n, 2)).astype(float), rng.integers(-1, 2, size=(taken, 2)).astype(float)
    rows += rng.choice([0, 0.05], size=rows.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twins, "_BLOCK", block)
        follows = twins.followers(rows, threshold, taken=gone)
    assert follows.shape == (n,)
    leaders = np.flatnonzero(follows == -1)
    for at, leader in enumerate(follows.tolist()):
        if leader >= 0:
            assert leader < at
            assert follows[leader] == -1
            assert similarity(rows[at], rows[leader]) >= threshold - 1e-5
        elif leader == -2:
            assert max(similarity(rows[at], other) for other in gone) >= threshold - 1e-5
    for one in leaders.tolist():
        assert all(similarity(rows[one], rows[other]) < threshold for other in leaders.tolist() if other < one)
        assert all(similarity(rows[one], other) < threshold for other in gone)


def test_unit_rows_are_compared_by_their_cosine():
    """For rows of length one the similarity is the cosine; sparse rows give the same groups."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((80, 3))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    follows = twins.followers(rows, 0.9)
    led = np.flatnonzero(follows >= 0)
    assert len(led)
    assert ((rows[led] * rows[follows[led]]).sum(axis=1) >= 0.9 - 1e-6).all()
    np.testing.assert_array_equal(twins.followers(csr_array(rows), 0.9), follows)


def test_same_direction_is_not_the_same_row():
    """A row ten times as long is another measurement, not a copy."""
    assert twins.followers(np.array([[1.0, 1.0], [10.0, 10.0]]), 0.9).tolist() == [-1, -1]


def test_float32_copies_are_copies():
    """At a threshold of 1 exact copies follow, although their numbers are rounded."""
    rows = np.tile(np.random.default_rng(0).random((1, 300), dtype=np.float32), (5, 1))
    assert twins.followers(rows, 1.0).tolist() == [-1, 0, 0, 0, 0]


def test_equal_digests_make_twins_of_rows_that_differ():
    """Also through a leader that follows another, and where the digest is taken; 0 says nothing."""
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.001], [-1.0, 0.0], [0.0, -1.0]])
    assert twins.followers(rows, 0.99, digests=np.array([0, 7, 8, 8, 7])).tolist() == [-1, -1, 0, 0, 1]
    gone = twins.followers(rows, 0.99, digests=np.array([0, 7, 8, 9, 7]), taken_digests=np.array([7]))
    assert gone.tolist() == [-1, -2, 0, -1, -2]


def test_a_threshold_must_be_one():
    """0 would make twins of everything."""
    with pytest.raises(ValueError, match="threshold"):
        twins.followers(np.ones((2, 2)), 0.0)


@pytest.mark.parametrize("cells", [4, 1 << 22])
def test_the_nearest_of_some_others(monkeypatch, cells):
    """The same as looking at every pair, in blocks of any size, dense and sparse; without others nobody is near."""
    monkeypatch.setattr(twins, "CELLS", cells)
    rng = np.random.default_rng(0)
    rows, others = rng.standard_normal((30, 3)), rng.standard_normal((9, 3))
    pairs = np.array([[similarity(row, other) for other in others] for row in rows])
    for form in (np.asarray, csr_array):
        places, alike = twins.nearest(form(rows), form(others), 0.6)
        np.testing.assert_allclose(alike, np.clip(pairs.max(axis=1), 0, 1), atol=1e-6)
        np.testing.assert_array_equal(places, np.where(pairs.max(axis=1) >= 0.6, pairs.argmax(axis=1), -1))
    assert twins.nearest(rows, others[:0], 0.6)[0].tolist() == [-1] * 30
    with pytest.raises(ValueError, match="above 0"):
        twins.nearest(rows, others, 0)
