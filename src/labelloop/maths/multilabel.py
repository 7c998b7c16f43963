"""How much an answer would tell where every item may have several labels: scores from one probability per label.

A higher score asks first. For one label of many exclusive ones see `acquisition`.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from labelloop.maths.arrays import Floats
from labelloop.maths.blocks import blocks

Pooling = Literal["mean", "max", "min"]

_POOLS: Mapping[str, Callable[[Floats, int], Floats]] = {"mean": np.mean, "max": np.max, "min": np.min}


def check_marginals(probabilities: Floats, tolerance: float = 1e-3) -> None:
    """Refuse what are no probabilities of labels; rows need no sum.

    Args:
        probabilities: (n, labels).
        tolerance: how far an entry may lie outside [0, 1].

    Raises:
        ValueError: names the first bad row and its worst entry.

    Example:
        >>> check_marginals(np.array([[0.5, 0.9], [0.1, 1.5]]))
        Traceback (most recent call last):
        ...
        ValueError: row 1 of the label probabilities has 1.5, outside [0, 1]
    """
    if probabilities.ndim != 2:
        raise ValueError(f"label probabilities need 2 axes, got shape {probabilities.shape}")
    for rows, block in blocks(probabilities):
        inside = (block >= -tolerance) & (block <= 1 + tolerance)
        if not inside.all():
            row = int((~inside).any(axis=1).argmax())
            value = block[row][~inside[row]][0]
            raise ValueError(f"row {rows.start + row} of the label probabilities has {value:.6g}, outside [0, 1]")


def label_margin(probabilities: Floats) -> Floats:
    """How close each label is to being undecided: -|2p - 1|, 0 at one half.

    Args:
        probabilities: (n, labels), each in [0, 1].

    Returns:
        (n, labels) in [-1, 0].

    Example:
        >>> label_margin(np.array([[0.5, 1.0, 0.25]])).tolist()
        [[0.0, -1.0, -0.5]]
    """
    doubt = 2 * probabilities - 1
    np.abs(doubt, out=doubt)
    return np.subtract(0, doubt, out=doubt)


def label_doubt(probabilities: Floats, *, by: Pooling = "mean") -> Floats:
    """The label margins of a row as one score.

    `max` looks for one undecided label (binary minimum, Brinker 2006); `mean` for rows undecided as a whole; `min` for
    rows of which every label is undecided.

    Args:
        probabilities: (n, labels), each in [0, 1]; at least one label.
        by: how labels count together.

    Returns:
        (n,) in [-1, 0].

    Example:
        >>> label_doubt(np.array([[0.5, 1.0], [0.75, 0.75]]), by="max").tolist()
        [0.0, -0.5]
    """
    scores = np.empty(len(probabilities), probabilities.dtype)
    for rows, block in blocks(probabilities):
        margins = label_margin(block)
        scores[rows] = _POOLS[by](margins, 1)
    return scores


def max_loss(decisions: Floats) -> Floats:
    """Hinge loss of the decisions if only the row's likeliest label were right (max loss, Li, Wang & Sung 2004).

    Args:
        decisions: (n, labels), above 0 where the label is present: of an SVM, or 2p - 1.

    Returns:
        (n,), 0 or more.

    Example:
        >>> max_loss(np.array([[1.0, -1.0], [0.5, 0.25]])).tolist()
        [0.0, 1.75]
    """
    losses = np.empty(len(decisions), decisions.dtype)
    for rows, block in blocks(decisions):
        top = block.max(axis=1)
        losses[rows] = _absent(block).sum(axis=1) - _absent(top) + _absent(-top)
    return losses


def mean_max_loss(decisions: Floats) -> Floats:
    """Mean, over the labels, of the hinge loss if that label alone were right (mean max loss, Li, Wang & Sung 2004).

    Args:
        decisions: (n, labels), above 0 where the label is present; at least one label.

    Returns:
        (n,), 0 or more.

    Example:
        >>> mean_max_loss(np.array([[1.0, -1.0]])).tolist()
        [2.0]
    """
    losses = np.empty(len(decisions), decisions.dtype)
    for rows, block in blocks(decisions):
        absent = _absent(block)
        losses[rows] = absent.sum(axis=1) + (_absent(-block) - absent).mean(axis=1)
    return losses


def _absent(decisions: Floats) -> Floats:
    """Hinge loss if these labels are absent."""
    loss: Floats = np.maximum(1 + decisions, 0)
    return loss
