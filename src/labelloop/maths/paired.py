"""Two methods over the same repeats: how far apart they are, and whether chance alone would explain it.

All take the differences, one per repeat (a seed, or a data set), and assume that repeats are independent of each other.
"""

from math import sqrt

import numpy as np
from scipy.special import bdtr, ndtr, ndtri, stdtr

from labelloop.maths.arrays import Floats
from labelloop.maths.estimation import Interval

EXACT = 14
"""Up to so many repeats every pattern of signs is tried; beyond, DRAWS of them."""
DRAWS = 1 << 14
RESAMPLES = 10_000


def t_test(differences: Floats) -> float:
    """Two-sided p-value that the mean difference is 0, by Student's t (1908) for pairs.

    Args:
        differences: (repeats,). One repeat, or no difference at all, proves nothing: 1.

    Example:
        >>> round(t_test(np.array([1.0, 2.0, 3.0])), 4)
        0.0742
    """
    values = _checked(differences)
    if len(values) < 2 or not values.any():
        return 1.0
    error = float(values.std(ddof=1)) / sqrt(len(values))
    if error < 1e-12 * abs(float(values.mean())):
        return 0.0
    return float(2 * stdtr(len(values) - 1, -abs(float(values.mean())) / error))


def sign_flip(differences: Floats, rng: np.random.Generator) -> float:
    """Two-sided p-value that the differences are as likely as their negatives (Fisher 1935, "The Design of
    Experiments", section 21): no normal distribution is assumed.

    With n repeats it cannot fall below 2 / 2ⁿ: five seeds can never reach 0.05.

    Args:
        differences: (repeats,). Up to 14 all patterns of signs are tried, else 16,384 at random; a drawn p-value
            counts the pattern that was seen among the draws (Phipson & Smyth 2010), so that it is never 0.
        rng: draws the patterns.

    Example:
        >>> sign_flip(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.random.default_rng(0))
        0.0625
    """
    values = _checked(differences)
    values = values[values != 0]
    if not len(values):
        return 1.0
    exact = len(values) <= EXACT
    if exact:
        bits = np.arange(1 << len(values))[:, None] >> np.arange(len(values)) & 1
    else:
        bits = rng.integers(2, size=(DRAWS, len(values)))
    sums = (2 * bits - 1) @ values
    seen = abs(float(values.sum()))
    extreme = int((np.abs(sums) >= seen * (1 - 1e-12)).sum())
    return extreme / len(sums) if exact else (extreme + 1) / (len(sums) + 1)


def bootstrap_mean(differences: Floats, rng: np.random.Generator, *, confidence: float = 0.95) -> Interval:
    """Mean difference and its bootstrap interval, corrected for bias and skew (BCa; Efron 1987).

    With few repeats it is too short; read it beside the t-interval, which is not.

    Args:
        differences: (repeats,). One repeat says nothing about the spread: low = high = mean.
        rng: of the resamples.
        confidence: two-sided.

    Example:
        >>> found = bootstrap_mean(np.array([0.0, 1.0, 1.0, 2.0, 6.0]), np.random.default_rng(0))
        >>> found.mean, found.low < 1.0, found.high > 3.0
        (2.0, True, True)
    """
    values = _checked(differences)
    mean = float(values.mean())
    if len(values) < 2 or not np.ptp(values):
        return Interval(mean, mean, mean)
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    below = ((means < mean).sum() + 0.5 * (means == mean).sum()) / RESAMPLES
    bias = float(ndtri(np.clip(below, 0.5 / RESAMPLES, 1 - 0.5 / RESAMPLES)))
    left_out = (values.sum() - values) / (len(values) - 1)
    lean = left_out.mean() - left_out
    skew = float((lean**3).sum() / (6 * (lean**2).sum() ** 1.5))
    z = float(ndtri((1 + confidence) / 2))
    at = [float(ndtr(bias + (bias + side) / max(1 - skew * (bias + side), 1e-6))) for side in (-z, z)]
    low, high = (float(bound) for bound in np.quantile(means, at))
    return Interval(mean, min(low, mean), max(high, mean))


def signs(differences: Floats) -> float:
    """Two-sided p-value of the sign test: that a difference is above 0 as often as below. Zeros are left out.

    Example:
        >>> signs(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
        0.0625
    """
    values = _checked(differences)
    up, down = int((values > 0).sum()), int((values < 0).sum())
    return min(1.0, 2 * float(bdtr(min(up, down), up + down, 0.5))) if up + down else 1.0


def holm(p_values: Floats) -> Floats:
    """p-values (k,) corrected for k comparisons (Holm 1979): the chance of even one false alarm stays below the level.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(raised, 1.0)
    return corrected


def _checked(differences: Floats) -> Floats:
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"differences are one finite number per repeat, at least one; got {differences!r}")
    return values
