"""Which of a model's guesses may stand for labels when it is fitted again (self-training).

Scudder 1965, "Probability of error of some adaptive pattern-recognition machines"; the surest of each class in a fixed
mix of classes is Blum & Mitchell 1998, "Combining labeled and unlabeled data with co-training", with one view.
"""

import numpy as np

from labelloop.maths.arrays import Floats, Ints


def trusted(probabilities: Floats, counts: Ints, *, per_label: float, most: int) -> tuple[Ints, Ints]:
    """The surest guesses of each class, as many as leave the mix of classes as the labels have it.

    Guesses in the mix of the pool would undo what asking for rare classes brought: the model would hold every doubtful
    row for one of a frequent class. So the class that is guessed most seldom, compared with its labels, limits all;
    where it is never guessed there are none.

    Args:
        probabilities: (n, classes) of rows without a label.
        counts: (classes,) labels of each class.
        per_label: guesses for each label at most.
        most: guesses in all at most, up to rounding.

    Returns:
        Positions (m,), ascending, and their classes (m,).

    Example:
        >>> sure = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
        >>> [part.tolist() for part in trusted(sure, np.array([2, 1]), per_label=10, most=100)]
        [[0, 2, 3], [0, 0, 1]]
    """
    guess, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    guessed, known = np.bincount(guess, minlength=len(counts)), counts > 0
    if not known.any():
        return guess[:0], guess[:0]
    part = min(per_label, most / counts.sum(), (guessed[known] / counts[known]).min())
    wanted = np.minimum(np.rint(part * counts).astype(np.int64), guessed)
    order = np.lexsort((-sure, guess))
    rank = np.arange(len(order)) - (np.cumsum(guessed) - guessed)[guess[order]]
    kept = np.sort(order[rank < wanted[guess[order]]])
    return kept, guess[kept]
