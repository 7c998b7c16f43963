"""The order of the minority lane: rows that bring the classes with too few labels up to their share.

Probabilities should be calibrated before they come here: which row is closest depends on it.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from labelloop.maths.acquisition import margin
from labelloop.maths.arrays import Floats, Ints

_LEAST = 1e-12
"""Stands for a target share of 0, and for a row that is expected to bring nothing."""
_BEHIND = 3.0
"""Farther than any row of a bucket is from its border: rows that come for want of better stand behind them."""


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
    lacking: Floats = np.maximum(shares(len(counts), targets) * (counts.sum() + planned) - counts, 0)
    return lacking


class Claims(NamedTuple):
    """Per row, (n,) each, all that the minority lane needs of the probabilities: a pool's blocks are put together."""

    wanted: Ints
    """The class whose border the row is near: the predicted one, or by `cuts`."""
    closeness: Floats
    """How near, by the margin (second largest minus largest probability) or by the cut: higher is closer."""
    chance: Floats
    """The probability of the wanted class."""
    lacking: Ints
    """The likeliest class of those that have too few labels for their target, and fewer than the wanted one."""
    posterior: Floats
    """Its probability; 0 where there is none."""

    @classmethod
    def joined(cls, parts: Iterable["Claims"]) -> "Claims":
        """The claims of blocks, one after the other."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def rows(self, rows: Ints) -> "Claims":
        """The claims of some of the rows."""
        return Claims(
            self.wanted[rows], self.closeness[rows], self.chance[rows], self.lacking[rows], self.posterior[rows]
        )


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
        >>> claims(np.array([[0.75, 0.25]]), np.array([30, 2])).lacking.tolist()
        [1]
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != len(class_counts):
        raise ValueError(f"probabilities {probabilities.shape} do not fit {len(class_counts)} class counts")
    lacking = np.flatnonzero(deficit(class_counts, targets) > 0)
    line = np.arange(len(probabilities))
    wanted, closeness = probabilities.argmax(axis=1), margin(probabilities)
    if at is not None:
        near = lacking if len(lacking) else np.arange(len(class_counts))
        gaps = np.abs(advantages(probabilities) - at)[:, near]
        wanted, closeness = near[gaps.argmin(axis=1)], -gaps.min(axis=1)
    other, posterior = wanted, np.zeros(len(line), dtype=probabilities.dtype)
    if len(lacking):
        level = np.asarray(class_counts) / np.maximum(shares(len(class_counts), targets), _LEAST)
        theirs = np.where(level[lacking] < level[wanted][:, None], probabilities[:, lacking], 0)
        best = theirs.argmax(axis=1)
        other, posterior = lacking[best], theirs[line, best]
    return Claims(
        wanted=wanted, closeness=closeness, chance=probabilities[line, wanted], lacking=other, posterior=posterior
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


def reliability(probabilities: Floats, codes: Ints, *, prior: float = 5.0) -> Floats:
    """The observed confusion, as far as the lane needs it: of the rows predicted as a class, how many were of it, over
    how many should have been by their probability.

    Args:
        probabilities: (l, classes), of rows the model was not fitted on.
        codes: (l,) their classes.
        prior: so many rows that were as expected are added to each class: a few say little.

    Returns:
        (classes,) above 0: 1 where predictions are right as often as they say.

    Example:
        >>> reliability(np.array([[0.9, 0.1]] * 100), np.array([0] * 45 + [1] * 55)).round(2).tolist()
        [0.53, 1.0]
    """
    classes, predicted = probabilities.shape[1], probabilities.argmax(axis=1)
    sure = probabilities[np.arange(len(predicted)), predicted]
    expected = np.bincount(predicted, weights=sure, minlength=classes)
    observed = np.bincount(predicted, weights=predicted == np.asarray(codes), minlength=classes)
    found: Floats = (observed + prior) / (expected + prior)
    return found


def claim_scores(
    found: Claims, class_counts: Ints, *, targets: Floats | None = None, sure: Floats | None = None, least: int = 50
) -> Floats:
    """Balanced margin: always the smallest margin among the rows of the class with the fewest labels.

    Rows are put into buckets by their predicted class (the idea of class-balanced margin in DIRECT, arXiv 2312.09196).
    A class with too few labels that is predicted for few rows, or none, gets behind these the rows where its posterior
    is highest. A row counts for its class as far as it is expected to be of it. Rows of the whole pool must be scored
    together: see `balanced_order`.

    Args:
        found: from `claims`, with the same counts and targets.
        class_counts: (classes,) labels so far, audit left out.
        targets: (classes,) shares to aim at; equal shares when not given. A class with target 0 comes last.
        sure: (classes,) from `reliability`; as often right as they say when not given.
        least: rows that a class with too few labels gets, if so many may be of it.

    Returns:
        (n,) finite: higher asks first.

    Example:
        >>> rows = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.45, 0.55]])
        >>> counts = np.array([30, 2])
        >>> np.argsort(-claim_scores(claims(rows, counts), counts)).tolist()
        [3, 2, 1, 0]
    """
    wanted, closeness, worth = settled(found, len(class_counts), sure=sure, least=least)
    return balanced_order(wanted, closeness, worth, class_counts=class_counts, targets=targets)


def settled(found: Claims, classes: int, *, sure: Floats | None = None, least: int = 50) -> tuple[Ints, Floats, Floats]:
    """The class that each row of a pool is asked for, how close it is, and how likely it is to be of it.

    Args:
        found: from `claims`, of the whole pool.
        classes: how many there are.
        sure: (classes,) from `reliability`.
        least: as in `claim_scores`.

    Returns:
        Class codes (n,); closeness (n,): higher asks first; chances (n,) in [0, 1].

    Example:
        >>> rows = np.array([[0.9, 0.1], [0.6, 0.4]])
        >>> settled(claims(rows, np.array([5, 0])), 2, least=1)[0].tolist()
        [0, 1]
    """
    wanted, closeness, chance = found.wanted.copy(), found.closeness.astype(np.float64), found.chance.astype(np.float64)
    missing = np.maximum(least - np.bincount(wanted, minlength=classes), 0)
    hidden = np.flatnonzero((missing[found.lacking] > 0) & (found.posterior > 0))
    hidden = hidden[np.lexsort((-found.posterior[hidden], found.lacking[hidden]))]
    hidden = hidden[_place_in_run(found.lacking[hidden]) < missing[found.lacking[hidden]]]
    wanted[hidden], chance[hidden] = found.lacking[hidden], found.posterior[hidden]
    closeness[hidden] = chance[hidden] - _BEHIND
    if sure is not None:
        chance = np.minimum(chance * sure[wanted], 1)
    return wanted, closeness, chance


def minority_scores(probabilities: Floats, class_counts: Ints, *, targets: Floats | None = None) -> Floats:
    """`claim_scores` of rows that are all at hand; for a pool in blocks join their `claims` first.

    Args:
        probabilities: (n, classes), calibrated.
        class_counts: (classes,) labels so far, audit left out.
        targets: (classes,) shares to aim at; equal shares when not given.

    Returns:
        (n,) finite: higher asks first.

    Example:
        >>> minority_scores(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([5, 1])).tolist()
        [-3.5, -3.0]
    """
    return claim_scores(claims(probabilities, class_counts, targets=targets), class_counts, targets=targets)


def balanced_order(
    wanted: Ints, closeness: Floats, worth: Floats | None = None, *, class_counts: Ints, targets: Floats | None = None
) -> Floats:
    """Scores that take the closest row of whichever class has the fewest labels for its target, one row at a time.

    The first k rows of a bucket would bring its class to `class_counts` plus their worth, so ordering all rows by that
    number over the class's target share is what a greedy choice, one row at a time, would come to.

    Args:
        wanted: (n,) the class each row is asked for.
        closeness: (n,) order inside a class; higher asks first.
        worth: (n,) labels of the class that each row is expected to bring; 1 when not given.
        class_counts: (classes,) labels so far.
        targets: (classes,) shares; equal shares when not given.

    Returns:
        (n,) scores, finite: minus the labels per target share that the row's class would have with it.

    Example:
        >>> balanced_order(np.array([0, 1, 1]), np.array([0.0, 0.1, 0.2]), class_counts=np.array([1, 0])).tolist()
        [-4.0, -4.0, -2.0]
    """
    part = shares(len(class_counts), targets)
    order = np.lexsort((-closeness, wanted))
    ordered = wanted[order]
    gained = np.ones(len(order)) if worth is None else np.maximum(worth[order], _LEAST)
    level = np.empty(len(order))
    level[order] = _sum_in_run(ordered, gained)
    scores: Floats = -(np.asarray(class_counts)[wanted] + level) / np.maximum(part[wanted], _LEAST)
    return scores


def shares(classes: int, targets: Floats | None = None) -> Floats:
    """The share (classes,) of the labels that each class should have: the targets scaled to sum to one.

    Raises:
        ValueError: the targets do not fit the classes, are negative, or are all 0.

    Example:
        >>> shares(2).tolist(), shares(2, np.array([3, 1])).tolist()
        ([0.5, 0.5], [0.75, 0.25])
    """
    if targets is None:
        return np.full(classes, 1 / max(classes, 1))
    weights: Floats = np.asarray(targets, dtype=np.float64)
    if weights.shape != (classes,) or not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ValueError(f"targets need one share of 0 or more for each of {classes} classes, got {weights.tolist()}")
    scaled: Floats = weights / weights.sum()
    return scaled


def _place_in_run(ordered: Ints) -> Ints:
    """0, 1, 2, … inside each run of equal values."""
    line = np.arange(len(ordered))
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else line
    return line - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))


def _sum_in_run(ordered: Ints, values: Floats) -> Floats:
    """The sum of the values so far in each run of equal numbers, to the last bit whatever the other runs hold."""
    total = np.empty(len(values), dtype=np.float64)
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True]) + 1 if len(ordered) else ordered
    start = 0
    for end in ends.tolist():
        np.cumsum(values[start:end], dtype=np.float64, out=total[start:end])
        start = end
    return total
