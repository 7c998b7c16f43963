"""The order of the minority lane: rows that bring the classes with too few labels up to their share.

Probabilities should be calibrated before they come here: which row is closest depends on it.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from labelloop.maths.acquisition import margin
from labelloop.maths.arrays import Floats, Ints

_LEAST = 1e-12
"""Stands for a target share of 0."""


def deficit(class_counts: Ints, targets: Floats | None = None, *, planned: int = 0) -> Floats:
    """How many labels each class lacks for its share.

    Args:
        class_counts: (classes,) labels so far.
        targets: (classes,) shares, of any scale; equal shares when not given.
        planned: labels about to be bought, counted into the total that is shared.

    Returns:
        (classes,) missing labels, 0 where there are enough.

    Raises:
        ValueError: the targets do not fit the classes, are negative, or are all 0.

    Example:
        >>> deficit(np.array([90, 10])).tolist()
        [0.0, 40.0]
    """
    counts = np.asarray(class_counts, dtype=np.float64)
    lacking: Floats = np.maximum(_shares(len(counts), targets) * (counts.sum() + planned) - counts, 0)
    return lacking


class Claims(NamedTuple):
    """Per row, (n,) each, all that the minority lane needs of the probabilities: a pool's blocks are put together."""

    predicted: Ints
    closeness: Floats
    """Margin, second largest minus largest probability: higher is closer."""
    rarest: Ints
    """The likeliest of the classes that have the fewest labels for their target."""
    posterior: Floats
    """Its probability."""

    @classmethod
    def joined(cls, parts: Iterable["Claims"]) -> "Claims":
        """The claims of blocks, one after the other."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def claims(
    probabilities: Floats, class_counts: Ints, *, targets: Floats | None = None, at: Floats | None = None
) -> Claims:
    """What each row of a block would bring to the minority lane.

    Args:
        probabilities: (n, classes), calibrated.
        class_counts: (classes,) labels so far, audit left out.
        targets: (classes,) shares to aim at; equal shares when not given.
        at: (classes,) from `cuts`: a row is then asked for the class, among those with too few labels, whose cut it is
            nearest to, and is the closer the nearer it is.

    Raises:
        ValueError: shapes do not fit.

    Example:
        >>> claims(np.array([[0.75, 0.25]]), np.array([30, 2])).rarest.tolist()
        [1]
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != len(class_counts):
        raise ValueError(f"probabilities {probabilities.shape} do not fit {len(class_counts)} class counts")
    shares = _shares(len(class_counts), targets)
    level = np.where(shares > 0, np.asarray(class_counts) / np.maximum(shares, _LEAST), np.inf)
    rare = np.flatnonzero(level == level.min())
    likeliest = rare[probabilities[:, rare].argmax(axis=1)]
    predicted, closeness = probabilities.argmax(axis=1), margin(probabilities)
    if at is not None:
        lacking = np.flatnonzero((shares > 0) & (level < np.asarray(class_counts).sum()))
        lacking = lacking if len(lacking) else np.arange(len(shares))
        gaps = np.abs(advantages(probabilities) - at)[:, lacking]
        predicted, closeness = lacking[gaps.argmin(axis=1)], -gaps.min(axis=1)
    return Claims(
        predicted=predicted,
        closeness=closeness,
        rarest=likeliest,
        posterior=probabilities[np.arange(len(probabilities)), likeliest],
    )


def advantages(probabilities: Floats) -> Floats:
    """Of each class over its best rival: (n, classes) in [-1, 1], above 0 for the predicted class alone.

    Example:
        >>> advantages(np.array([[0.5, 0.25, 0.25]])).tolist()
        [[0.25, -0.25, -0.25]]
    """
    if probabilities.shape[1] < 2:
        return probabilities.copy()
    line, best = np.arange(len(probabilities)), probabilities.argmax(axis=1)
    first = probabilities[line, best]
    rest = probabilities.copy()
    rest[line, best] = -1
    found: Floats = probabilities - first[:, None]
    found[line, best] = first - rest.max(axis=1)
    return found


def cuts(probabilities: Floats, codes: Ints) -> Floats:
    """For each class the advantage over its rivals that tells its labeled rows from all others with fewest mistakes.

    With few labels of a class a model's own cut, 0, may lie far on the wrong side; asking around the best cut on the
    labels finds the class's border (DIRECT, arXiv 2312.09196: one threshold per class, asked on both sides).

    Args:
        probabilities: (l, classes) of labeled rows.
        codes: (l,) their classes.

    Returns:
        (classes,), the middle of the best cuts; 0 for a class that has no label, or all of them.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
        >>> cuts(p, np.array([0, 0, 1, 1])).round(2).tolist()
        [0.5, -0.5]
    """
    ahead = advantages(probabilities)
    best = np.zeros(ahead.shape[1])
    for code in range(ahead.shape[1]):
        order = np.argsort(ahead[:, code], kind="stable")
        own = codes[order] == code
        if not own.any() or own.all():
            continue
        value = ahead[order, code]
        # Mistakes of the cut below row i, for i from 0 to l: own rows below it and foreign ones from it on.
        wrong = np.concatenate([[0], np.cumsum(own)]) + np.concatenate([np.cumsum(~own[::-1])[::-1], [0]])
        able = np.concatenate([[True], value[1:] > value[:-1], [True]])
        wrong = np.where(able, wrong, len(own) + 1)
        ties = np.flatnonzero(wrong == wrong.min())
        place = int(ties[len(ties) // 2])
        best[code] = (value[max(place - 1, 0)] + value[min(place, len(value) - 1)]) / 2
    return best


def claim_scores(found: Claims, class_counts: Ints, *, targets: Floats | None = None, unseen: int = 50) -> Floats:
    """Balanced margin: always the smallest margin among the rows of the class with the fewest labels.

    Rows are put into buckets by their predicted class (the idea of class-balanced margin in DIRECT, arXiv 2312.09196).
    One of the rarest classes that is predicted nowhere gets, instead, the rows where its posterior is highest. Rows of
    the whole pool must be scored together: see `balanced_order`.

    Args:
        found: from `claims`, with the same counts and targets.
        class_counts: (classes,) labels so far, audit left out.
        targets: (classes,) shares to aim at; equal shares when not given. A class with target 0 comes last.
        unseen: rows at most that a class predicted nowhere gets by its posterior.

    Returns:
        (n,) finite: higher asks first.

    Example:
        >>> rows = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.45, 0.55]])
        >>> counts = np.array([30, 2])
        >>> np.argsort(-claim_scores(claims(rows, counts), counts)).tolist()
        [3, 2, 1, 0]
    """
    wanted, closeness = settled(found, len(class_counts), unseen=unseen)
    return balanced_order(wanted, closeness, class_counts=class_counts, targets=targets)


def settled(found: Claims, classes: int, *, unseen: int = 50) -> tuple[Ints, Floats]:
    """The class that each row of a pool is asked for, and how close it is; one predicted nowhere gets likely rows.

    Args:
        found: from `claims`, of the whole pool.
        classes: how many there are.
        unseen: rows at most that a class predicted nowhere gets by its posterior.

    Returns:
        Class codes (n,), and closeness (n,): higher asks first.

    Example:
        >>> rows = np.array([[0.9, 0.1], [0.6, 0.4]])
        >>> settled(claims(rows, np.array([5, 0])), 2, unseen=1)[0].tolist()
        [0, 1]
    """
    wanted, closeness = found.predicted.copy(), found.closeness.astype(np.float64)
    seen = np.bincount(wanted, minlength=classes) > 0
    hidden = np.flatnonzero(~seen[found.rarest] & (found.posterior > 0))
    hidden = hidden[np.lexsort((-found.posterior[hidden], found.rarest[hidden]))]
    hidden = hidden[_place_in_run(found.rarest[hidden]) < unseen]
    wanted[hidden], closeness[hidden] = found.rarest[hidden], found.posterior[hidden]
    return wanted, closeness


def minority_scores(probabilities: Floats, class_counts: Ints, *, targets: Floats | None = None) -> Floats:
    """`claim_scores` of rows that are all at hand; for a pool in blocks join their `claims` first.

    Args:
        probabilities: (n, classes), calibrated.
        class_counts: (classes,) labels so far, audit left out.
        targets: (classes,) shares to aim at; equal shares when not given.

    Returns:
        (n,) finite: higher asks first.

    Example:
        >>> minority_scores(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([5, 1])).tolist()
        [-12.0, -4.0]
    """
    return claim_scores(claims(probabilities, class_counts, targets=targets), class_counts, targets=targets)


def balanced_order(wanted: Ints, closeness: Floats, *, class_counts: Ints, targets: Floats | None = None) -> Floats:
    """Scores that take the closest row of whichever class has the fewest labels for its target, one row at a time.

    The k-th row of a bucket would bring its class to `class_counts + k` labels, so ordering all rows by that number
    over the class's target share is what a greedy choice, one row at a time, would come to.

    Args:
        wanted: (n,) the class each row is asked for.
        closeness: (n,) order inside a class; higher asks first.
        class_counts: (classes,) labels so far.
        targets: (classes,) shares; equal shares when not given.

    Returns:
        (n,) scores, finite: minus the labels per target share that the row's class would have with it.

    Example:
        >>> balanced_order(np.array([0, 1, 1]), np.array([0.0, 0.1, 0.2]), class_counts=np.array([1, 0])).tolist()
        [-4.0, -4.0, -2.0]
    """
    shares = _shares(len(class_counts), targets)
    order = np.lexsort((-closeness, wanted))
    place = np.empty(len(order), dtype=np.float64)
    place[order] = _place_in_run(wanted[order])
    scores: Floats = -(np.asarray(class_counts)[wanted] + place + 1) / np.maximum(shares[wanted], _LEAST)
    return scores


def _shares(classes: int, targets: Floats | None) -> Floats:
    if targets is None:
        return np.full(classes, 1 / max(classes, 1))
    shares: Floats = np.asarray(targets, dtype=np.float64)
    if shares.shape != (classes,) or not (np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0):
        raise ValueError(f"targets need one share of 0 or more for each of {classes} classes, got {shares.tolist()}")
    scaled: Floats = shares / shares.sum()
    return scaled


def _place_in_run(ordered: Ints) -> Ints:
    """0, 1, 2, … inside each run of equal values."""
    line = np.arange(len(ordered))
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else line
    return line - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))
