"""Which guesses of a model may stand for labels."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from labelloop.maths import guesses


@given(
    some.integers(0, 10_000),
    some.lists(some.integers(0, 60), min_size=2, max_size=6),
    some.floats(0, 20),
    some.integers(1, 2_000),
)
def test_guesses_have_the_mix_of_the_labels_and_no_more_than_is_allowed(seed, counts, per_label, most):
    """Each class gets the same part of its labels, up to rounding, and neither limit is passed."""
    rng, counts = np.random.default_rng(seed), np.array(counts)
    said = rng.dirichlet(np.linspace(0.3, 1, len(counts)), size=500)
    place, classes = guesses.trusted(said, counts, per_label=per_label, most=most)
    np.testing.assert_array_equal(classes, said[place].argmax(axis=1))
    assert (np.diff(place) > 0).all()
    got = np.bincount(classes, minlength=len(counts))
    assert got.sum() <= most + len(counts) / 2
    assert (got <= per_label * counts + 0.5).all()
    assert not got[counts == 0].any()
    if counts.any():
        part = got[counts.argmax()] / counts.max()
        assert (abs(got - part * counts) <= 0.5 + 0.5 * counts / counts.max()).all()


def test_the_surest_of_each_class_come_first():
    """Of two classes as many as their labels ask for, and of each those that the model is surest of."""
    said = np.column_stack([first := np.array([0.95, 0.6, 0.9, 0.55, 0.3, 0.2, 0.45]), 1 - first])
    place, classes = guesses.trusted(said, np.array([2, 2]), per_label=1, most=100)
    assert place.tolist() == [0, 2, 4, 5]
    assert classes.tolist() == [0, 0, 1, 1]


def test_a_class_that_is_never_guessed_allows_no_guesses():
    """Else its labels would drown: the model would hold it for one of the others more and more."""
    place, _ = guesses.trusted(np.tile([0.8, 0.15, 0.05], (50, 1)), np.array([5, 5, 5]), per_label=10, most=100)
    assert not len(place)


def test_without_labels_or_rows_there_are_none():
    """The first training of made-up items has no label, and a pool that is used up no row."""
    assert not len(guesses.trusted(np.full((9, 2), 0.5), np.array([0, 0]), per_label=10, most=100)[0])
    assert not len(guesses.trusted(np.zeros((0, 2)), np.array([3, 3]), per_label=10, most=100)[0])
