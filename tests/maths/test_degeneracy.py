"""What counts as a broken model, by its answers alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelloop.maths.degeneracy import diagnose

CLASSES = np.array([1, 4, 6])


@settings(deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(0, 60), st.just(3)), elements=st.floats(0.01, 1)), st.booleans())
def test_probabilities_are_healthy(raw, single):
    """Rows that sum to one and differ are not complained about, in float32 or float64."""
    answers = raw / raw.sum(axis=1, keepdims=True)
    if len(answers):
        answers[0] = (0.2, 0.3, 0.5)
        answers[-1] = (0.6, 0.3, 0.1)
    given_answers = answers.astype(np.float32) if single else answers
    before = given_answers.copy()
    if len(answers) != 1:
        assert diagnose(given_answers, CLASSES, CLASSES) is None
    np.testing.assert_array_equal(given_answers, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_is_counted(bad):
    """One NaN in two of four rows is said to be in two of four rows."""
    answers = np.full((4, 3), 1 / 3)
    answers[1, 0] = answers[3, 2] = bad
    assert "not finite for 2 of 4 rows" in diagnose(answers, CLASSES, CLASSES)


@pytest.mark.parametrize("row", [(0.5, 0.5, 0.5), (0, 0, 0), (1.4, -0.4, 0)])
def test_rows_must_be_probabilities(row):
    """Rows that do not sum to one, or are negative, are no answers."""
    answers = np.array([(0.2, 0.3, 0.5), row])
    assert "between 0 and 1 with sum 1" in diagnose(answers, CLASSES, CLASSES)


def test_the_same_answer_to_all_is_degenerate():
    """A model that says the same of rows of different classes has learned nothing; one row alone says nothing."""
    assert "same of every row" in diagnose(np.full((20, 3), 1 / 3), CLASSES, CLASSES)
    assert diagnose(np.full((1, 3), 1 / 3), CLASSES, CLASSES) is None


def test_a_class_that_was_trained_on_must_be_known():
    """A model that lost a class names it; one that knows more than was expected is fine."""
    answers = np.array([[0.5, 0.5], [0.4, 0.6]])
    assert "codes 4, 9" in diagnose(answers, np.array([1, 6]), np.array([1, 4, 6, 9]))
    assert diagnose(answers, np.array([1, 6]), np.array([6])) is None


def test_a_shape_that_does_not_fit_the_classes_is_named():
    """Three columns for two classes cannot be read."""
    assert "shape (2, 3) for 2 classes" in diagnose(np.full((2, 3), 1 / 3), np.array([1, 6]), np.array([1]))
