"""Temperature scaling, and how far stated probabilities are from what happens. Ranks of a row never change."""

import numpy as np
from scipy.special import logsumexp

from labelloop.maths.acquisition import check_probabilities
from labelloop.maths.arrays import Floats, Ints

COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures are sought between these."""


def fit_temperature(probabilities: Floats, codes: Ints, *, prior: float = 1.0) -> float:
    """The temperature T that makes p^(1/T), scaled to sum to 1, most likely (arXiv 1706.04599, section 4.2).

    With p = softmax(logits) that is softmax(logits / T). The negative log-likelihood is convex in b = 1/T. To it is
    added `prior` · (b - log b - 1), convex as well and least at T = 1: with a handful of rows, all of them right, the
    likelihood alone would ask for T = 0. The weight of the prior does not grow with the rows. Rows whose true class has
    probability 0 say nothing about T and are left out.

    Args:
        probabilities: (n, classes), of rows the model was not fitted on.
        codes: (n,) true classes.
        prior: weight of the belief in T = 1; 0 gives plain maximum likelihood.

    Returns:
        T in [COLDEST, HOTTEST]; 1.0 where there are no rows.

    Raises:
        ValueError: a row is no distribution, or shapes differ.

    Example:
        >>> fit_temperature(np.array([[0.99, 0.01]] * 100), np.array([0] * 80 + [1] * 20)) > 2
        True
    """
    if probabilities.ndim != 2 or len(probabilities) != len(codes):
        raise ValueError(f"probabilities {probabilities.shape} do not fit {len(codes)} codes")
    check_probabilities(probabilities)
    known = probabilities[np.arange(len(codes)), codes] > 0
    if not known.any():
        return 1.0
    with np.errstate(divide="ignore"):
        rows = np.log(probabilities[known], dtype=np.float64)
    hit = float(rows[np.arange(len(rows)), np.asarray(codes)[known]].sum())

    from scipy.optimize import minimize_scalar  # slow to import, and only a training needs it

    def loss(log_b: float) -> float:
        b = np.exp(log_b)
        return float(logsumexp(b * rows, axis=1).sum() - b * hit + prior * (b - log_b - 1))

    bounds = (-np.log(HOTTEST), -np.log(COLDEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(-found.x))


def apply_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities as if their logits had been divided by `temperature`: p^(1/T), scaled to sum to 1.

    Args:
        probabilities: (n, classes); a class of probability 0 keeps it.
        temperature: above 1 softens, below 1 sharpens.

    Returns:
        (n, classes) of the same dtype.

    Raises:
        ValueError: the temperature is not above 0.

    Example:
        >>> apply_temperature(np.array([[0.9, 0.1, 0.0]]), 2.0).round(2).tolist()
        [[0.75, 0.25, 0.0]]
    """
    if not temperature > 0:
        raise ValueError(f"a temperature is above 0, got {temperature}")
    if not probabilities.size:
        return probabilities.copy()
    # Scaled by the largest first: a power of small numbers would underflow to a row of zeros.
    powers: Floats = probabilities / probabilities.max(axis=1, keepdims=True)
    np.power(powers, 1 / temperature, out=powers)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def expected_calibration_error(probabilities: Floats, codes: Ints, *, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence (arXiv 1706.04599, eq. 3).

    Args:
        probabilities: (n, classes).
        codes: (n,) true classes.
        bins: number of bins.

    Returns:
        In [0, 1]; 0 where there are no rows.

    Example:
        >>> expected_calibration_error(np.array([[0.8, 0.2]] * 10), np.array([0] * 6 + [1] * 4)).__round__(3)
        0.2
    """
    if not len(codes):
        return 0.0
    gaps, place = calibration_gaps(probabilities, codes, bins=bins)
    return float(np.abs(np.bincount(place, weights=gaps, minlength=bins)).sum() / len(codes))


def calibration_gaps(probabilities: Floats, codes: Ints, *, bins: int = 15) -> tuple[Floats, Ints]:
    """What each row adds to the calibration error: (n,) right (0 or 1) minus confidence, and (n,) its bin.

    Bins are open at the left and closed at the right, as in the paper.

    Example:
        >>> gaps, place = calibration_gaps(np.array([[0.75, 0.25]]), np.array([0]), bins=4)
        >>> gaps.tolist(), place.tolist()
        ([0.25], [2])
    """
    if probabilities.ndim != 2 or len(probabilities) != len(codes):
        raise ValueError(f"probabilities {probabilities.shape} do not fit {len(codes)} codes")
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == codes
    place = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)
    return right - confidence, place
