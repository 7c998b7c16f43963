"""What a sample says about the whole: intervals of scores, and of differences between two models.

All assume a uniform random sample, such as the audit's; on rows that a strategy chose they mean nothing.
"""

from collections.abc import Callable
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from scipy.special import bdtr, ndtri, stdtrit

from labelloop.maths.arrays import Floats, Ints, Mask
from labelloop.maths.calibration import calibration_gaps, expected_calibration_error
from labelloop.maths.metrics import macro_f1

RESAMPLES = 1_000
_CELLS = 1 << 21
"""Numbers of one block of resamples: 16 MB."""

Metric = Callable[[Ints, Ints, Ints], Floats]
"""(true codes (n,), predicted codes (n,), weights (b, n)) → (b,): see `metrics`."""


class Interval(NamedTuple):
    """A measured number and where its true value lies with the confidence asked for."""

    mean: float
    low: float
    high: float


def wilson(successes: float, trials: float, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927; Newcombe 1998a, method 3).

    It keeps its coverage for few trials and for proportions near 0 and 1, where the textbook interval is empty.

    Args:
        successes: how many of the trials.
        trials: 0 gives [0, 1].
        confidence: two-sided.

    Example:
        >>> {name: round(value, 3) for name, value in wilson(9, 10)._asdict().items()}
        {'mean': 0.9, 'low': 0.596, 'high': 0.982}
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if not trials:
        return Interval(0.0, 0.0, 1.0)
    z, p = _z(confidence), successes / trials
    centre = p + z * z / (2 * trials)
    spread = z * sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    low, high = ((centre + side) / (1 + z * z / trials) for side in (-spread, spread))
    return Interval(p, min(max(low, 0.0), p), max(min(high, 1.0), p))


def measure(
    probabilities: Floats, codes: Ints, rng: np.random.Generator, *, confidence: float = 0.95
) -> dict[str, Any]:
    """All that the registry keeps of a model measured on a uniform sample.

    Accuracy, precision and recall are proportions: Wilson. The F1 of a class is 2J / (1 + J) of the proportion
    J = TP / (TP + FP + FN) (Hand, Christen & Kirielle 2021, "F*"), so its interval is Wilson's, mapped. Macro-F1 and
    calibration error: percentile bootstrap over the rows.

    Args:
        probabilities: (n, classes), columns in the order of the codes.
        codes: (n,) true classes.
        rng: of the bootstrap.
        confidence: of every interval, two-sided.

    Returns:
        {"accuracy": interval, "macro_f1": interval, "calibration_error": interval, "audit_items": n,
        "per_class": {code: {"precision", "recall", "f1": intervals, "support": int}}}, plain numbers only; {} where
        there are no rows. The interval of macro-F1 is no narrower than that of accuracy. A class never predicted has
        precision 0 in [0, 1], one never seen recall 0 in [0, 1].

    Example:
        >>> found = measure(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]), np.random.default_rng(0))
        >>> found["accuracy"]["mean"], found["audit_items"], found["per_class"][1]["support"]
        (1.0, 2, 1)
    """
    if probabilities.ndim != 2 or len(probabilities) != len(codes):
        raise ValueError(f"probabilities {probabilities.shape} do not fit {len(codes)} codes")
    if not len(codes):
        return {}
    predicted = probabilities.argmax(axis=1)
    accuracy = wilson(int((predicted == codes).sum()), len(codes), confidence)
    return {
        "accuracy": accuracy._asdict(),
        "macro_f1": _no_surer(
            bootstrap(macro_f1, predicted, codes, rng, confidence=confidence), than=accuracy
        )._asdict(),
        "calibration_error": _calibration_interval(probabilities, codes, rng, confidence)._asdict(),
        "audit_items": len(codes),
        "per_class": per_class(predicted, codes, classes=probabilities.shape[1], confidence=confidence),
    }


def _no_surer(found: Interval, *, than: Interval) -> Interval:
    """An interval of a score made at least as wide as another's: resamples of few rows, all right, know no spread."""
    low = min(found.low, found.mean - (than.mean - than.low))
    return Interval(found.mean, max(low, 0.0), min(max(found.high, found.mean + (than.high - than.mean)), 1.0))


def per_class(predicted: Ints, codes: Ints, *, classes: int, confidence: float = 0.95) -> dict[int, dict[str, Any]]:
    """Precision, recall and F1 of every class, with intervals; see `measure`.

    Args:
        predicted: (n,) predicted classes.
        codes: (n,) true classes.
        classes: how many there are.
        confidence: two-sided.

    Example:
        >>> per_class(np.array([0, 1]), np.array([0, 0]), classes=2)[0]["recall"]["mean"]
        0.5
    """
    right = np.bincount(codes[predicted == codes], minlength=classes)
    support, guesses = np.bincount(codes, minlength=classes), np.bincount(predicted, minlength=classes)
    return {
        code: {
            "precision": wilson(int(right[code]), int(guesses[code]), confidence)._asdict(),
            "recall": wilson(int(right[code]), int(support[code]), confidence)._asdict(),
            "f1": _f1_interval(int(right[code]), int(support[code] + guesses[code]), confidence)._asdict(),
            "support": int(support[code]),
        }
        for code in range(classes)
    }


def bootstrap(
    metric: Metric, predicted: Ints, codes: Ints, rng: np.random.Generator, *, confidence: float = 0.95
) -> Interval:
    """Percentile bootstrap of a metric over the rows (Efron & Tibshirani 1993, chapter 13).

    Rows with the same truth and prediction are one cell, and a resample is one multinomial draw over the cells: the
    same law as drawing rows, at a cost that does not grow with them.

    Args:
        metric: from `metrics`, or of that shape.
        predicted: (n,) predicted classes, n ≥ 1.
        codes: (n,) true classes.
        rng: of the resamples.
        confidence: two-sided.

    Example:
        >>> from labelloop.maths.metrics import accuracy
        >>> sure = bootstrap(accuracy, np.zeros(9, int), np.zeros(9, int), np.random.default_rng(0))
        >>> sure.low, sure.high
        (1.0, 1.0)
    """
    cells, counts = np.unique(np.stack([codes, predicted]), axis=1, return_counts=True)
    mean = float(metric(cells[0], cells[1], counts[None, :])[0])
    draws = _resampled(lambda weights: metric(cells[0], cells[1], weights), counts, rng)
    return _percentiles(mean, draws, confidence)


def paired_bootstrap(  # noqa: PLR0917 - two models, the truth, and chance
    metric: Metric,
    predicted_a: Ints,
    predicted_b: Ints,
    codes: Ints,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> Interval:
    """Interval of metric(a) - metric(b) on the same rows: percentile bootstrap over the rows, both models at once.

    Args:
        metric: from `metrics`, or of that shape.
        predicted_a: (n,) predicted classes of one model, n ≥ 1.
        predicted_b: (n,) of the other.
        codes: (n,) true classes.
        rng: of the resamples.
        confidence: two-sided; for a one-sided question at confidence c ask for 2c - 1.

    Example:
        >>> codes = np.array([0, 1] * 20)
        >>> found = paired_bootstrap(macro_f1, codes, 1 - codes, codes, np.random.default_rng(0), confidence=0.9)
        >>> found.mean, found.low
        (1.0, 1.0)
    """
    cells, counts = np.unique(np.stack([codes, predicted_a, predicted_b]), axis=1, return_counts=True)

    def difference(weights: Ints) -> Floats:
        return metric(cells[0], cells[1], weights) - metric(cells[0], cells[2], weights)

    return _percentiles(float(difference(counts[None, :])[0]), _resampled(difference, counts, rng), confidence)


def paired_difference(right_a: Mask, right_b: Mask, confidence: float = 0.95) -> Interval:
    """Interval of accuracy(a) - accuracy(b) on the same rows (Newcombe 1998c, method 10: Wilson, paired).

    Args:
        right_a: (n,) whether the one model is right.
        right_b: (n,) whether the other is.
        confidence: two-sided; for a one-sided question at confidence c ask for 2c - 1.

    Returns:
        Within [-1, 1]; all of it where there are no rows.

    Example:
        >>> a, b = np.repeat([True, False], [36, 14]), np.repeat([True, False], [24, 26])
        >>> {name: round(value, 3) for name, value in paired_difference(a, b)._asdict().items()}
        {'mean': 0.24, 'low': 0.112, 'high': 0.354}
    """
    n = len(right_a)
    if len(right_b) != n:
        raise ValueError(f"{n} rows of one model and {len(right_b)} of the other")
    if not n:
        return Interval(0.0, -1.0, 1.0)
    first, second = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    a, b = wilson(int(first.sum()), n, confidence), wilson(int(second.sum()), n, confidence)
    linked = _correlation(first, second)
    mean = a.mean - b.mean
    below = _hypotenuse(a.mean - a.low, b.high - b.mean, linked)
    above = _hypotenuse(a.high - a.mean, b.mean - b.low, linked)
    return Interval(mean, max(mean - below, -1.0), min(mean + above, 1.0))


def sign_test(right_a: Mask, right_b: Mask) -> float:
    """Exact one-sided p-value that a is no worse than b (McNemar's test as a sign test on the rows where they differ).

    Args:
        right_a: (n,) whether the one model is right.
        right_b: (n,) whether the other is.

    Returns:
        The probability, were both equally good, of a doing as badly against b as here, or worse; small speaks
        against a.

    Example:
        >>> sign_test(np.zeros(5, bool), np.ones(5, bool))
        0.03125
    """
    wins = int((np.asarray(right_a) & ~np.asarray(right_b)).sum())
    trials = wins + int((~np.asarray(right_a) & np.asarray(right_b)).sum())
    return float(bdtr(wins, trials, 0.5))


def mean_interval(values: Floats, confidence: float = 0.95) -> Interval:
    """Mean over independent runs and its t-interval.

    Args:
        values: (runs,), at least one. A single run says nothing about the spread: low = high = mean.
        confidence: two-sided.

    Example:
        >>> {name: round(value, 2) for name, value in mean_interval(np.array([1.0, 2.0, 3.0]))._asdict().items()}
        {'mean': 2.0, 'low': -0.48, 'high': 4.48}
    """
    if not len(values):
        raise ValueError("no values to average")
    mean = float(np.mean(values))
    if len(values) == 1:
        return Interval(mean, mean, mean)
    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, got {confidence}")
    return float(ndtri((1 + confidence) / 2))


def _f1_interval(right: int, marked: int, confidence: float) -> Interval:
    """`marked` is support plus predictions: 2 TP + FP + FN."""
    jaccard = wilson(right, marked - right, confidence)
    return Interval(_f1_of(jaccard.mean), _f1_of(jaccard.low), _f1_of(jaccard.high))


def _f1_of(jaccard: float) -> float:
    return 2 * jaccard / (1 + jaccard)


def _calibration_interval(probabilities: Floats, codes: Ints, rng: np.random.Generator, confidence: float) -> Interval:
    gaps, place = calibration_gaps(probabilities, codes)
    by_bin = np.zeros((len(codes), int(place.max()) + 1))
    by_bin[np.arange(len(codes)), place] = gaps

    def error(weights: Ints) -> Floats:
        found: Floats = np.abs(weights @ by_bin).sum(axis=1) / len(codes)
        return found

    draws = _resampled(error, np.ones(len(codes), dtype=np.int64), rng)
    return _percentiles(expected_calibration_error(probabilities, codes), draws, confidence)


def _resampled(statistic: Callable[[Ints], Floats], counts: Ints, rng: np.random.Generator) -> Floats:
    total, shares = int(counts.sum()), counts / counts.sum()
    block = max(_CELLS // len(counts), 1)
    parts = [
        statistic(rng.multinomial(total, shares, size=min(block, RESAMPLES - start)))
        for start in range(0, RESAMPLES, block)
    ]
    return np.concatenate(parts)


def _percentiles(mean: float, draws: Floats, confidence: float) -> Interval:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def _correlation(first: Mask, second: Mask) -> float:
    """Phi of two answers per row, with Newcombe's continuity correction where it is positive."""
    n = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_a, only_b = int((first & ~second).sum()), int((~first & second).sum())
    scale = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if not scale:
        return 0.0
    excess = both * neither - only_a * only_b
    return (max(excess - n / 2, 0.0) if excess > 0 else excess) / sqrt(scale)


def _hypotenuse(one: float, other: float, linked: float) -> float:
    return sqrt(max(one * one - 2 * linked * one * other + other * other, 0.0))
