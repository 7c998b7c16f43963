"""Learning curves: score over labels spent, told as one number."""

import numpy as np

from labelloop.maths.arrays import Floats, Ints


def area(labels: Ints | Floats, scores: Floats, *, budget: float | None = None) -> float:
    """Mean height of the curve from its first point to the budget (trapezoids, divided by their width).

    Args:
        labels: (k,) rising, k ≥ 1.
        scores: (k,) the score at each.
        budget: where to stop: inside, the curve is cut by a straight line; beyond, its last score holds on. The last
            point when not given.

    Returns:
        In the unit of the scores.

    Example:
        >>> area(np.array([10, 20, 30]), np.array([0.0, 1.0, 1.0]))
        0.75
    """
    x, y = _curve(labels, scores)
    end = x[-1] if budget is None else float(budget)
    if end <= x[0]:
        return float(y[0])
    inside = x < end
    x, y = np.r_[x[inside], end], np.r_[y[inside], np.interp(end, x, y)]
    return float(np.trapezoid(y, x) / (end - x[0]))


def labels_to(labels: Ints | Floats, scores: Floats, target: float) -> float | None:
    """Labels at which the curve first reaches the target, by a straight line between its points; None if never.

    Args:
        labels: (k,) rising, k ≥ 1.
        scores: (k,) the score at each.
        target: in the unit of the scores.

    Example:
        >>> labels_to(np.array([10, 20]), np.array([0.5, 0.9]), 0.7)
        15.0
    """
    x, y = _curve(labels, scores)
    reached = np.flatnonzero(y >= target)
    if not len(reached):
        return None
    at = int(reached[0])
    if at == 0:
        return float(x[0])
    part = (target - y[at - 1]) / (y[at] - y[at - 1])
    return float(x[at - 1] + part * (x[at] - x[at - 1]))


def _curve(labels: Ints | Floats, scores: Floats) -> tuple[Floats, Floats]:
    x, y = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise ValueError(f"a curve needs as many scores as labels, at least one; got {x.shape} and {y.shape}")
    if (np.diff(x) <= 0).any():
        raise ValueError("the labels of a curve must rise")
    return x, y
