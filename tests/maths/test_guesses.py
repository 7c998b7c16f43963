"""Which guesses of a model may stand for labels."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from labelloop.maths import guesses


def trusted(said, counts, *, most_per_row=10, most=1_000):
    each = guesses.per_row(said, counts, most_per_row=most_per_row, most=most)
    return guesses.surest(said, counts, each=each, lots=np.arange(len(said)))


@given(
    some.integers(0, 10_000),
    some.lists(some.integers(0, 60), min_size=2, max_size=6),
    some.floats(0, 20),
    some.integers(1, 2_000),
)
def test_guesses_have_the_mix_of_the_labels_and_no_more_than_is_allowed(seed, counts, most_per_row, most):
    """Each class gets the same part of its labels, up to rounding, but for classes with few of them; limits hold."""
    rng, counts = np.random.default_rng(seed), np.array(counts)
    said = rng.dirichlet(np.linspace(0.3, 1, len(counts)), size=500)
    each = guesses.per_row(said, counts, most_per_row=most_per_row, most=most)
    place, classes = guesses.surest(said, counts, each=each, lots=rng.permutation(500))
    np.testing.assert_array_equal(classes, said[place].argmax(axis=1))
    assert (np.diff(place) > 0).all()
    got = np.bincount(classes, minlength=len(counts))
    assert got.sum() <= most + len(counts) / 2
    assert (got <= most_per_row * counts + 0.5).all()
    assert (got <= each * counts + 0.5).all()
    less = got < each * counts - 0.5
    assert counts[less].sum() <= guesses.SPARED * counts.sum()


def test_the_surest_of_each_class_come_first():
    """Of two classes as many as their labels ask for, and of each those that the model is surest of."""
    said = np.column_stack([first := np.array([0.95, 0.6, 0.9, 0.55, 0.3, 0.2, 0.45]), 1 - first])
    place, classes = trusted(said, np.array([2, 2]), most_per_row=1)
    assert place.tolist() == [0, 2, 4, 5]
    assert classes.tolist() == [0, 0, 1, 1]


def test_of_equally_sure_ones_the_lot_chooses():
    """A model that is wholly sure of many rows does not learn from the oldest alone."""
    said = np.tile([1.0, 0.0], (1_000, 1))
    place, _ = guesses.surest(said, np.array([50, 0]), each=2.0, lots=np.random.default_rng(0).permutation(1_000))
    assert len(place) == 100
    assert place.max() > 900


def test_a_class_that_is_never_guessed_allows_no_guesses():
    """Else its labels would drown: the model would hold it for one of the others more and more."""
    place, _ = trusted(np.tile([0.8, 0.15, 0.05], (50, 1)), np.array([5, 5, 5]))
    assert not len(place)


def test_a_stray_label_does_not_forbid_all_guesses():
    """A class with one label of a hundred, which the model does not name yet, leaves the others theirs."""
    said = np.tile([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]], (100, 1))
    place, classes = trusted(said, np.array([50, 49, 1]), most_per_row=1)
    assert np.bincount(classes, minlength=3).tolist() == [50, 49, 0]
    assert len(place) == 99


def test_without_labels_or_rows_there_are_none():
    """The first training of made-up items has no label, and a pool that is used up no row."""
    assert not len(trusted(np.full((9, 2), 0.5), np.array([0, 0]))[0])
    assert not len(trusted(np.zeros((0, 2)), np.array([3, 3]))[0])
