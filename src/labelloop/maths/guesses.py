"""Which of a model's guesses may stand for labels when it is fitted again (self-training).

Scudder 1965, "Probability of error of some adaptive pattern-recognition machines"; the surest of each class in a fixed
mix of classes is Blum & Mitchell 1998, "Combining labeled and unlabeled data with co-training", with one view.
"""

import numpy as np

from labelloop.maths.arrays import Floats, Ints

SPARED = 0.05
"""Classes with this part of the labels together may get fewer guesses than the mix asks for."""


def per_row(probabilities: Floats, counts: Ints, *, most_per_row: float, most: int) -> float:
    """How many guesses for each labeled row of a class leave the mix of classes as the labeled rows have it.

    Guesses in the mix of the pool would undo what asking for rare classes brought: the model would hold every doubtful
    row for one of a frequent class. So the class that is guessed most seldom, compared with its labels, limits all; but
    classes with a twentieth of the labels together do not, or one stray label would forbid all guesses.

    Args:
        probabilities: (n, classes) of rows without a label.
        counts: (classes,) labeled rows of each class.
        most_per_row: guesses for each labeled row at most.
        most: guesses in all at most, up to rounding.

    Example:
        >>> said = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
        >>> per_row(said, np.array([2, 1]), most_per_row=10, most=100)
        1.0
    """
    total = counts.sum()
    if not total or not len(probabilities):
        return 0.0
    known = np.flatnonzero(counts)
    guessed = np.bincount(probabilities.argmax(axis=1), minlength=len(counts))[known]
    enough = guessed / counts[known]
    order = np.argsort(enough, kind="stable")
    below = np.cumsum(counts[known][order]) > SPARED * total
    return float(min(most_per_row, most / total, enough[order][below.argmax()]))


def surest(probabilities: Floats, counts: Ints, *, each: float, lots: Ints) -> tuple[Ints, Ints]:
    """The surest guesses of each class, `each` for every labeled row of it, or all there are.

    Args:
        probabilities: (n, classes) of rows without a label.
        counts: (classes,) labeled rows of each class.
        each: of `per_row`.
        lots: (n,) the lower one comes first of two that are equally sure.

    Returns:
        Positions (m,), ascending, and their classes (m,).

    Example:
        >>> said = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
        >>> [part.tolist() for part in surest(said, np.array([2, 1]), each=1.0, lots=np.arange(4))]
        [[0, 2, 3], [0, 0, 1]]
    """
    guess, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    guessed = np.bincount(guess, minlength=len(counts))
    wanted = np.minimum(np.rint(each * counts).astype(np.int64), guessed)
    order = np.lexsort((lots, -sure, guess))
    rank = np.arange(len(order)) - (np.cumsum(guessed) - guessed)[guess[order]]
    kept = np.sort(order[rank < wanted[guess[order]]])
    return kept, guess[kept]
