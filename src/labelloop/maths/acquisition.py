"""How much a label would tell: one acquisition score per row, from probabilities or from a committee's.

One sign everywhere: a higher score asks first. Work goes in blocks of rows that fit the cache, so beside the scores
nothing of the size of the input is made. Choosing rows by their scores is `selection`'s and `diversity`'s.
"""

from collections.abc import Iterator

import numpy as np

from labelloop.maths.arrays import Floats

_CELLS = 1 << 16
"""Numbers per block: 256 kB of float32, so that a block and its scratch stay in the second-level cache."""
_WIDE = 48
"""From so many classes on, a reduction along the row beats a sweep over the columns."""


def check_probabilities(probabilities: Floats, tolerance: float = 1e-3) -> None:
    """Refuse rows that are no distributions, before they turn into scores that look like any other.

    Args:
        probabilities: (n, classes), or (members, n, classes).
        tolerance: how far a row's sum may lie from 1, and an entry below 0.

    Raises:
        ValueError: names the first bad row (and member), and what is wrong with it.

    Example:
        >>> check_probabilities(np.array([[0.5, 0.5], [0.9, 0.3]]))
        Traceback (most recent call last):
        ...
        ValueError: row 1 of the probabilities sums to 1.2, not to 1
    """
    if probabilities.ndim == 3:
        for number, member in enumerate(probabilities):
            _check_rows(member, tolerance, f" of member {number}")
    elif probabilities.ndim == 2:
        _check_rows(probabilities, tolerance, "")
    else:
        raise ValueError(f"probabilities need 2 axes (3 for a committee), got shape {probabilities.shape}")


def least_confidence(probabilities: Floats) -> Floats:
    """One minus the largest probability (Lewis & Gale 1994).

    Args:
        probabilities: (n, classes), rows sum to 1.

    Returns:
        (n,) in [0, 1 - 1/classes].

    Example:
        >>> least_confidence(np.array([[0.75, 0.25], [0.5, 0.5]])).tolist()
        [0.25, 0.5]
    """
    scores = _empty(probabilities)
    for rows, block in _blocks(probabilities):
        np.subtract(1, _two_largest(block)[0], out=scores[rows])
    return scores


def margin(probabilities: Floats) -> Floats:
    """The second largest probability minus the largest (Scheffer et al. 2001), so that the closest race asks first.

    It is kept negative rather than added to 1: near 0, where the choice is made, float32 has digits to spare.

    Args:
        probabilities: (n, classes), rows sum to 1. A single class has no rival: the second is 0.

    Returns:
        (n,) in [-1, 0].

    Example:
        >>> margin(np.array([[0.75, 0.25, 0.0], [0.5, 0.5, 0.0]])).tolist()
        [-0.5, 0.0]
    """
    scores = _empty(probabilities)
    for rows, block in _blocks(probabilities):
        first, second = _two_largest(block)
        np.subtract(second, first, out=scores[rows])
    return scores


def entropy(probabilities: Floats) -> Floats:
    """Shannon entropy in units of log(classes): 0 is certain, 1 is uniform.

    Args:
        probabilities: (n, classes), rows sum to 1; 0 log 0 = 0.

    Returns:
        (n,) in [0, 1]; 0 where there is but one class.

    Example:
        >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
        [1.0, 0.0]
    """
    scores = _empty(probabilities)
    for rows, block in _blocks(probabilities):
        scores[rows] = _entropy(block)
    return scores


def vote_entropy(committee: Floats) -> Floats:
    """Entropy of the members' hard votes, in units of log(classes) (Dagan & Engelson 1995).

    Args:
        committee: (members, n, classes), rows sum to 1. A member votes for its largest probability, the lower class
            on a tie.

    Returns:
        (n,) in [0, 1].

    Example:
        >>> agree, split = [[0.9, 0.1], [0.9, 0.1]], [[0.8, 0.2], [0.2, 0.8]]
        >>> vote_entropy(np.array([agree, split]).swapaxes(0, 1)).tolist()
        [0.0, 1.0]
    """
    scores = _empty(committee)
    for rows, block in _blocks(committee):
        votes = np.zeros_like(block[0])
        line = np.arange(len(votes))
        for member in block:
            votes[line, member.argmax(axis=1)] += 1
        votes /= len(block)
        scores[rows] = _entropy(votes)
    return scores


def consensus_entropy(committee: Floats) -> Floats:
    """Entropy of the members' mean probabilities, in units of log(classes) (soft vote entropy, Settles 2012).

    Args:
        committee: (members, n, classes), rows sum to 1.

    Returns:
        (n,) in [0, 1].

    Example:
        >>> consensus_entropy(np.array([[[1.0, 0.0]], [[0.0, 1.0]]])).tolist()
        [1.0]
    """
    scores = _empty(committee)
    for rows, block in _blocks(committee):
        scores[rows] = _entropy(block.mean(axis=0))
    return scores


def bald(committee: Floats) -> Floats:
    """Mutual information of label and member: entropy of the mean minus mean of the entropies (arXiv 1112.5745, eq. 2).

    It is high where the members are sure and disagree, and 0 where all are equally unsure.

    Args:
        committee: (members, n, classes), rows sum to 1.

    Returns:
        (n,) in [0, 1], in units of log(classes).

    Example:
        >>> sure, unsure = [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]
        >>> bald(np.array([sure, unsure]).swapaxes(0, 1)).tolist()
        [1.0, 0.0]
    """
    scores = _empty(committee)
    for rows, block in _blocks(committee):
        spread = _entropy(block.mean(axis=0))
        for member in block:
            spread -= _entropy(member) / len(block)
        np.maximum(spread, 0, out=scores[rows])
    return scores


def _empty(probabilities: Floats) -> Floats:
    return np.empty(probabilities.shape[-2], dtype=probabilities.dtype)


def _blocks(probabilities: Floats) -> Iterator[tuple[slice, Floats]]:
    """Cut along the rows: the axis before the last."""
    n = probabilities.shape[-2]
    step = max(_CELLS * n // max(probabilities.size, 1), 1)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        yield rows, probabilities[..., rows, :]


def _two_largest(block: Floats) -> tuple[Floats, Floats]:
    """Largest and second largest of each row, without sorting or partitioning a copy."""
    if block.shape[1] > _WIDE:
        rest = block.copy()
        line = np.arange(len(block))
        place = rest.argmax(axis=1)
        first = rest[line, place]
        rest[line, place] = -np.inf
        return first, rest.max(axis=1)
    columns = np.ascontiguousarray(block.T)
    first, second, lower = columns[0].copy(), np.zeros_like(columns[0]), np.empty_like(columns[0])
    for column in columns[1:]:
        np.minimum(first, column, out=lower)
        np.maximum(second, lower, out=second)
        np.maximum(first, column, out=first)
    return first, second


def _entropy(block: Floats) -> Floats:
    classes = block.shape[1]
    if classes < 2:
        return np.zeros(len(block), dtype=block.dtype)
    logs = np.maximum(block, np.finfo(block.dtype).tiny)
    np.log(logs, out=logs)
    total: Floats = np.einsum("ij,ij->i", block, logs)
    total /= -np.log(classes)
    np.maximum(total, 0, out=total)
    return np.minimum(total, 1, out=total)


def _check_rows(probabilities: Floats, tolerance: float, where: str) -> None:
    for rows, block in _blocks(probabilities):
        columns = np.ascontiguousarray(block.T)
        sums, lows = columns.sum(axis=0), columns.min(axis=0, initial=0)
        bad = ~((np.abs(sums - 1) <= tolerance) & (lows >= -tolerance))
        if bad.any():
            first = int(bad.argmax())
            row = f"row {rows.start + first}{where} of the probabilities"
            if not np.isfinite(block[first]).all():
                raise ValueError(f"{row} has a value that is not finite")
            if lows[first] < -tolerance:
                raise ValueError(f"{row} has a negative value, {lows[first]:.6g}")
            raise ValueError(f"{row} sums to {sums[first]:.6g}, not to 1")
