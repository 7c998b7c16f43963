"""How good predictions are, as one number each and without an interval (for those see `estimation`).

Sums over rows take weights, (…, n), so that a thousand resamples are one matrix product.
"""

import numpy as np
from scipy.sparse import csr_array

from labelloop.maths.arrays import Floats, Ints, Mask


def accuracy(codes: Ints, predicted: Ints, weights: Floats | Ints | None = None) -> Floats:
    """Part of the rows that are right.

    Args:
        codes: (n,) true classes.
        predicted: (n,) predicted classes.
        weights: (n,), or (b, n) for b answers at once; all 1 when not given.

    Returns:
        () or (b,).

    Example:
        >>> float(accuracy(np.array([0, 1]), np.array([0, 0])))
        0.5
    """
    weighted = np.ones(len(codes)) if weights is None else weights
    result: Floats = np.asarray((weighted @ (codes == predicted)) / np.maximum(weighted.sum(axis=-1), 1e-300))
    return result


def macro_f1(codes: Ints, predicted: Ints, weights: Floats | Ints | None = None) -> Floats:
    """Mean of the F1 of every class that occurs in truth or prediction, as scikit-learn means it by default.

    Args:
        codes: (n,) true classes.
        predicted: (n,) predicted classes.
        weights: (n,), or (b, n) for b answers at once; all 1 when not given. A class that has no weight at all in
            one answer is left out of that mean.

    Returns:
        () or (b,); 0 where there are no rows.

    Example:
        >>> float(macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1])).round(4))
        0.6667
    """
    weighted: Floats = np.ones(len(codes)) if weights is None else np.asarray(weights, dtype=np.float64)
    classes, flat = np.unique(np.concatenate([codes, predicted]), return_inverse=True)
    if not len(classes):
        return np.zeros(weighted.shape[:-1])
    truth, guess = flat[: len(codes)], flat[len(codes) :]
    right = _sum_by(weighted * (truth == guess), truth, len(classes))
    seen = _sum_by(weighted, truth, len(classes)) + _sum_by(weighted, guess, len(classes))
    scores = 2 * right / np.maximum(seen, 1e-300)
    result: Floats = np.asarray(scores.sum(axis=-1) / np.maximum((seen > 0).sum(axis=-1), 1))
    return result


def f1(codes: Ints, predicted: Ints, *, code: int) -> float:
    """F1 of one class: 2 TP / (2 TP + FP + FN); 0 where it neither occurs nor is predicted.

    Args:
        codes: (n,) true classes.
        predicted: (n,) predicted classes.
        code: the class.

    Example:
        >>> f1(np.array([1, 1, 0]), np.array([1, 0, 0]), code=1).__round__(4)
        0.6667
    """
    truth, guess = np.asarray(codes) == code, np.asarray(predicted) == code
    both = int(truth.sum()) + int(guess.sum())
    return 2 * int((truth & guess).sum()) / both if both else 0.0


def average_precision(relevant: Mask, scores: Floats) -> float:
    """Mean of the precision at each relevant row, by falling score: the area under the precision-recall steps.

    Rows of equal score count as one step, as in scikit-learn.

    Args:
        relevant: (n,) booleans.
        scores: (n,), higher means more likely relevant.

    Returns:
        In [0, 1]; 0 where nothing is relevant.

    Example:
        >>> average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7])).__round__(4)
        0.8333
    """
    total = int(np.count_nonzero(relevant))
    if not total:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(np.asarray(relevant)[order])
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    precision = found[last] / (last + 1)
    return float((np.diff(np.r_[0, found[last]]) * precision).sum() / total)


def _sum_by(weights: Floats, place: Ints, count: int) -> Floats:
    """Sums of (…, n) over the n by place: (…, count)."""
    rows = np.arange(len(place))
    member = csr_array((np.ones(len(place)), (rows, place)), shape=(len(place), count))
    result: Floats = np.asarray(weights @ member)
    return result
