"""How much a label would tell: one acquisition score per row, from the probabilities of one model.

One sign everywhere: a higher score asks first. Work goes in blocks of rows that fit the cache, so beside the scores
nothing of the size of the input is made. A committee's scores are in `disagreement`, those of other kinds of
predictions in `multilabel`, `sequences` and `regions`; choosing rows by their scores is `selection`'s and
`diversity`'s.
"""

import numpy as np

from labelloop.maths.arrays import Floats, Mask
from labelloop.maths.blocks import WIDE, blocks, columns, room, scratch_for

TOLERANCE = 1e-3
"""How far the sum of a row may lie from 1, and an entry below 0."""


def check_probabilities(probabilities: Floats, tolerance: float = TOLERANCE) -> None:
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


def believable(probabilities: Floats, tolerance: float = TOLERANCE) -> Floats:
    """The same probabilities, with every row that is no distribution made uniform: it says nothing.

    Args:
        probabilities: (n, classes).
        tolerance: as for `check_probabilities`.

    Returns:
        (n, classes); the input itself where all is well.

    Example:
        >>> believable(np.array([[0.9, 0.1], [np.nan, 0.5]])).tolist()
        [[0.9, 0.1], [0.5, 0.5]]
    """
    bad = np.concatenate(
        [np.zeros(0, dtype=bool), *(_bad_rows(block, tolerance) for _, block in blocks(probabilities))]
    )
    if not bad.any():
        return probabilities
    repaired = probabilities.copy()
    repaired[bad] = 1 / probabilities.shape[1]
    return repaired


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
    classes = probabilities.shape[1]
    scores = _empty(probabilities)
    scratch = scratch_for(probabilities, classes), scratch_for(probabilities, (classes + 1) // 2)
    for rows, block in blocks(probabilities):
        np.subtract(1, _largest(block, *scratch), out=scores[rows])
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
    scratch = scratch_for(probabilities, probabilities.shape[1]), scratch_for(probabilities, 3)
    for rows, block in blocks(probabilities):
        first, second = _two_largest(block, *scratch)
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
    scores, scratch = _empty(probabilities), scratch_for(probabilities, probabilities.shape[1])
    for rows, block in blocks(probabilities):
        entropy_of(block, out=scores[rows], scratch=scratch)
    return scores


def expected_cost(probabilities: Floats, costs: Floats) -> Floats:
    """What the cheapest answer of the model is expected to cost: its Bayes risk under a cost matrix (Elkan 2001).

    With 0 for a right answer and 1 for any wrong one it is `least_confidence`.

    Args:
        probabilities: (n, classes), rows sum to 1.
        costs: (classes, answers); [i, j] is the price of answering j where the truth is i.

    Returns:
        (n,) in the unit of the costs.

    Raises:
        ValueError: the costs do not fit the classes, or are not finite.

    Example:
        >>> expected_cost(np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([[0.0, 1.0], [10.0, 0.0]])).tolist()
        [0.9, 0.5]
    """
    costs = np.asarray(costs, dtype=probabilities.dtype)
    if costs.ndim != 2 or len(costs) != probabilities.shape[1] or not costs.size or not np.isfinite(costs).all():
        raise ValueError(f"costs of shape {costs.shape} do not fit {probabilities.shape[1]} classes, or are not finite")
    scores = _empty(probabilities)
    prices = np.ascontiguousarray(costs.T)
    for rows, block in blocks(probabilities):
        np.minimum.reduce(prices @ block.T, axis=0, out=scores[rows])
    return scores


def entropy_of(block: Floats, *, out: Floats | None = None, scratch: Floats | None = None) -> Floats:
    """Entropy of the rows of one block, as `entropy` gives it.

    Args:
        block: (rows, classes).
        out: (rows,) for the answer; made when not given.
        scratch: (at least rows × classes,), of the same dtype; made when not given.

    Example:
        >>> entropy_of(np.array([[0.25, 0.25, 0.25, 0.25]])).tolist()
        [1.0]
    """
    rows, classes = block.shape
    total = np.empty(rows, block.dtype) if out is None else out
    if classes < 2:
        total[:] = 0
        return total
    logs = np.empty_like(block) if scratch is None or not block.flags.c_contiguous else room(scratch, block.shape)
    tiny = np.finfo(block.dtype).tiny
    if block.min(initial=1) >= tiny:
        np.log(block, out=logs)
    else:  # a model may be so sure that a class has nothing
        np.log(np.maximum(block, tiny, out=logs), out=logs)
    np.multiply(block, logs, out=logs)
    np.matmul(logs, np.full(classes, -1 / np.log(classes), block.dtype), out=total)
    return np.clip(total, 0, 1, out=total)


def _empty(probabilities: Floats) -> Floats:
    return np.empty(probabilities.shape[-2], dtype=probabilities.dtype)


def _largest(block: Floats, scratch: Floats, more: Floats) -> Floats:
    """Largest of each row: of neighbours first, all along the block, so that half as many columns are turned."""
    rows, classes = block.shape
    if classes > WIDE:
        return _most(block, axis=1)
    if classes < 3 or not block.flags.c_contiguous:
        return _most(columns(block, scratch), axis=0)
    flat, pairs = block.reshape(-1), room(scratch, block.shape)
    np.maximum(flat[:-1], flat[1:], out=pairs.reshape(-1)[:-1])
    halves = room(more, ((classes + 1) // 2, rows))
    np.copyto(halves[: classes // 2], pairs[:, : classes - 1 : 2].T)
    if classes % 2:  # the last one has no neighbour of its own
        halves[-1] = pairs[:, classes - 2]
    return _most(halves, axis=0)


def _most(block: Floats, axis: int) -> Floats:
    most: Floats = block.max(axis=axis)
    return most


def _two_largest(block: Floats, scratch: Floats, more: Floats) -> tuple[Floats, Floats]:
    """Largest and second largest of each row, without sorting or partitioning a copy."""
    rows, classes = block.shape
    if classes > WIDE:
        rest, line = block.copy(), np.arange(rows)
        place = rest.argmax(axis=1)
        first = rest[line, place]
        rest[line, place] = -np.inf
        return first, rest.max(axis=1)
    by_class = columns(block, scratch)
    first, second, lower = room(more, (3, rows))
    if classes < 2:
        return by_class[0], np.zeros_like(by_class[0])
    np.maximum(by_class[0], by_class[1], out=first)
    np.minimum(by_class[0], by_class[1], out=second)
    for column in by_class[2:]:
        np.minimum(first, column, out=lower)
        np.maximum(second, lower, out=second)
        np.maximum(first, column, out=first)
    return first, second


def _check_rows(probabilities: Floats, tolerance: float, where: str) -> None:
    for rows, block in blocks(probabilities):
        _check_block(block, rows.start, tolerance, where)


def _check_block(block: Floats, start: int, tolerance: float = TOLERANCE, where: str = "") -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        sums = block @ np.ones(block.shape[1], block.dtype)
    low, off = block.min(initial=0), np.abs(np.subtract(sums, 1, out=sums), out=sums).max(initial=0)
    if off <= tolerance and low >= -tolerance:
        return
    _name_bad_row(block, start, tolerance, where)


def _name_bad_row(block: Floats, start: int, tolerance: float, where: str) -> None:
    bad = _bad_rows(block, tolerance)
    if not bad.any():  # at the edge of the tolerance two orders of summing may disagree
        return
    first = int(bad.argmax())
    total, low = block[first].sum(), block[first].min()
    row = f"row {start + first}{where} of the probabilities"
    if not np.isfinite(block[first]).all():
        raise ValueError(f"{row} has a value that is not finite")
    if low < -tolerance:
        raise ValueError(f"{row} has a negative value, {low:.6g}")
    raise ValueError(f"{row} sums to {total:.6g}, not to 1")


def _bad_rows(block: Floats, tolerance: float) -> Mask:
    with np.errstate(invalid="ignore", over="ignore"):
        sums, lows = block.sum(axis=1), block.min(axis=1, initial=0)
        bad: Mask = ~((np.abs(sums - 1) <= tolerance) & (lows >= -tolerance))
    return bad
