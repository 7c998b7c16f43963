"""When asking on changes little: agreement of successive models on rows nobody labeled."""

from collections.abc import Sequence

import numpy as np

from labelloop.maths.arrays import Ints


def kappa(first: Ints, second: Ints) -> float:
    """Cohen's kappa of two models' predictions: agreement beyond chance (Cohen 1960).

    Bloodgood & Vijay-Shanker (arXiv 1409.5165) stop when it stays at 0.99 on a stop set; arXiv 1504.06329 bounds the
    difference in F that is left.

    Args:
        first: (n,) predicted classes.
        second: (n,) predicted classes of the other model, same rows.

    Returns:
        At most 1; 1 where both always say the same one class, or there are no rows.

    Example:
        >>> kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
        0.5
    """
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} predictions of one model and {second.shape} of the other")
    if not len(first):
        return 1.0
    classes, flat = np.unique(np.concatenate([first, second]), return_inverse=True)
    one = np.bincount(flat[: len(first)], minlength=len(classes)) / len(first)
    other = np.bincount(flat[len(first) :], minlength=len(classes)) / len(first)
    chance, seen = float(one @ other), float((first == second).mean())
    return 1.0 if len(classes) == 1 else (seen - chance) / (1 - chance)


def stabilised(kappas: Sequence[float], *, threshold: float = 0.99, window: int = 3) -> bool:
    """Whether the mean of the last `window` kappas reaches the threshold.

    Args:
        kappas: of successive pairs of models, oldest first.
        threshold: 0.99 is the published choice.
        window: fewer kappas than that are never enough.

    Example:
        >>> stabilised([0.7, 0.99, 0.995, 0.99])
        True
    """
    return len(kappas) >= window and sum(kappas[-window:]) / window >= threshold
