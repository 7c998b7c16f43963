"""Whether a model is broken in a way that no score on an audit needs to show: it must never serve."""

import numpy as np

from labelloop.maths.arrays import Floats, Ints


def diagnose(probabilities: Floats, classes: Ints, expected: Ints) -> str | None:
    """What is wrong with a model that was just fitted, in a sentence; None for a healthy one.

    Args:
        probabilities: (n, k), what it says of the rows it was fitted on.
        classes: (k,) codes of its columns.
        expected: the codes it was taught.

    Example:
        >>> diagnose(np.full((3, 2), 0.5), np.array([0, 1]), np.array([0, 1]))
        'it says the same of every row: it has learned nothing'
        >>> diagnose(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]), np.array([0, 1])) is None
        True
    """
    missing = np.setdiff1d(expected, classes)
    if len(missing):
        return f"it does not know the classes with codes {', '.join(map(str, missing.tolist()))}, which have labels"
    if probabilities.ndim != 2 or probabilities.shape[1] != len(classes):
        return f"its probabilities have shape {probabilities.shape} for {len(classes)} classes"
    broken = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if len(broken):
        return f"its probabilities are not finite for {len(broken)} of {len(probabilities)} rows"
    off = np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1) > 1e-3
    if off.any() or (probabilities < 0).any():
        return "its probabilities are not all between 0 and 1 with sum 1"
    if len(probabilities) > 1 and (np.ptp(probabilities, axis=0) <= 1e-9).all():
        return "it says the same of every row: it has learned nothing"
    return None
