"""Learning curves as numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.maths.curves import area, labels_to

CURVE = np.array([10, 20, 40]), np.array([0.2, 0.6, 0.8])


@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=8), budget=st.floats(1, 200))
@settings(max_examples=60, deadline=None)
def test_area_is_between_the_lowest_and_highest_score(scores, budget):
    """It is a mean height, whatever the budget."""
    labels = np.arange(1, len(scores) + 1) * 10
    found = area(labels, np.array(scores), budget=budget)
    assert min(scores) - 1e-9 <= found <= max(scores) + 1e-9


def test_area_stops_at_the_budget_and_holds_the_last_score():
    """A budget inside cuts the curve, one beyond extends it flat."""
    labels, scores = CURVE
    assert area(labels, scores) == pytest.approx((10 * 0.4 + 20 * 0.7) / 30)
    assert area(labels, scores, budget=30) == pytest.approx((10 * 0.4 + 10 * 0.65) / 20)
    assert area(labels, scores, budget=60) == pytest.approx((10 * 0.4 + 20 * 0.7 + 20 * 0.8) / 50)
    assert area(labels, scores, budget=5) == 0.2


def test_labels_to_is_the_first_crossing():
    """A straight line between points, the first point where it is there at once, None where it is never."""
    labels, scores = CURVE
    assert labels_to(labels, scores, 0.4) == pytest.approx(15)
    assert labels_to(labels, scores, 0.1) == 10
    assert labels_to(labels, scores, 0.8) == 40
    assert labels_to(labels, scores, 0.81) is None
    assert labels_to(np.array([1, 2, 3, 4]), np.array([0.0, 1.0, 0.0, 1.0]), 0.5) == 1.5


def test_curves_that_are_none_are_refused():
    """Labels must rise and each has one score."""
    with pytest.raises(ValueError, match="must rise"):
        area(np.array([2, 1]), np.array([0.0, 0.0]))
    with pytest.raises(ValueError, match="at least one"):
        labels_to(np.array([]), np.array([]), 0.5)
