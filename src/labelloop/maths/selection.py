"""Which rows to take, given a score per row or nothing but their numbers; blind to features (see `diversity`)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labelloop.maths.arrays import Floats, Ints

_GOLDEN = 0x9E3779B97F4A7C15
_FULL = 0xFFFFFFFFFFFFFFFF
_BLOCK = 1 << 18
"""Numbers that are hashed together: a hash takes 30 times the memory of what it is for."""


def top(scores: Floats, count: int, rng: np.random.Generator) -> Ints:
    """Positions of the highest scores, highest first; ties fall by the generator, never by position.

    Partial selection: time O(n + count log count), no sort of the whole.

    Args:
        scores: (n,), no NaN; minus infinity means last.
        count: how many; fewer come back when there are fewer.
        rng: breaks ties, at the cut and inside the order.

    Returns:
        (min(count, n),) positions.

    Raises:
        ValueError: a score is NaN; names its position.

    Example:
        >>> top(np.array([0.1, 0.9, 0.5]), 2, np.random.default_rng(0)).tolist()
        [1, 2]
    """
    count = min(max(count, 0), len(scores))
    maxima = _maxima(scores, 8 * count)  # of which one is NaN if a score is
    if np.isnan(maxima).any():
        raise ValueError(f"score {int(np.isnan(scores).argmax())} is not a number")
    if count == 0:
        return np.zeros(0, dtype=np.intp)
    # Whatever is below the count-th best of the parts' maxima cannot come in: two quick passes leave few to partition.
    near = np.flatnonzero(scores >= _nth(maxima, count)) if len(maxima) >= count else np.arange(len(scores))
    close = scores[near]
    cut = _nth(close, count)
    chosen = near[close > cut]
    tied = near[close == cut]
    chosen = np.concatenate([chosen, rng.choice(tied, size=count - len(chosen), replace=False, shuffle=False)])
    return chosen[np.lexsort((rng.random(count), -scores[chosen]))]


def head(groups: Ints, count: int, least: int) -> Ints:
    """Places of an order that are kept when it is cut: the first `count`, and of each group the first `least` at least.

    Args:
        groups: (n,) the group of each place, in order.
        count: how many places are taken whatever their group.
        least: how many of each group are taken, or all where it has fewer.

    Returns:
        Places, ascending.

    Example:
        >>> head(np.array([0, 0, 0, 1, 0, 1]), 2, 1).tolist()
        [0, 1, 3]
    """
    together = np.argsort(groups, kind="stable")
    begins = np.searchsorted(groups[together], groups[together])
    within = np.empty(len(groups), dtype=np.int64)
    within[together] = np.arange(len(groups)) - begins
    return np.flatnonzero((np.arange(len(groups)) < count) | (within < least))


def _maxima(scores: Floats, parts: int) -> Floats:
    """The largest score of each of about so many parts, (at most parts + 1,); all scores where they are few."""
    size = len(scores) // max(parts, 1)
    if size < 2:
        return scores
    whole = len(scores) - len(scores) % size
    rest = scores[whole:].max(initial=-np.inf)
    return np.append(scores[:whole].reshape(-1, size).max(axis=1), rest)


def _nth(scores: Floats, count: int) -> float:
    """The count-th highest."""
    found: float = np.partition(scores, len(scores) - count)[len(scores) - count]
    return found


def interleaved(orders: Sequence[Ints], weights: Sequence[float]) -> tuple[Ints, Ints]:
    """Several orders as one, each served in proportion to its weight; what stands in two comes where it comes first.

    Args:
        orders: item numbers, first to ask first, without repeats in one order.
        weights: one above 0 for each.

    Returns:
        The numbers, without repeats, and which of the orders each came from, (n,) each.

    Example:
        >>> numbers, origin = interleaved([np.array([1, 2, 3, 4]), np.array([3, 9])], [2.0, 1.0])
        >>> numbers.tolist(), origin.tolist()
        ([1, 3, 2, 9, 4], [0, 1, 0, 1, 0])
    """
    if not orders:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    numbers = np.concatenate(orders)
    origin = np.repeat(np.arange(len(orders)), [len(order) for order in orders])
    turn = np.concatenate([(np.arange(len(order)) + 0.5) / w for order, w in zip(orders, weights, strict=True)])
    served = np.lexsort((origin, turn))
    _, first = np.unique(numbers[served], return_index=True)
    kept = served[np.sort(first)]
    return numbers[kept], origin[kept]


def by_lot(numbers: Ints, most: int, *, seed: int) -> Ints:
    """At most so many of some numbers, each as likely as any other, by `uniform_hash`; in blocks, with no copy of all.

    Args:
        numbers: (n,) item numbers, ascending.
        most: how many at most.
        seed: the same seed draws the same, and nearly the same when a few more have come.

    Returns:
        (min(n, most),) numbers, ascending.

    Example:
        >>> drawn = by_lot(np.arange(1_000_000), 20_000, seed=7)
        >>> len(drawn), bool(abs(drawn.mean() / 500_000 - 1) < 0.02)
        (20000, True)
    """
    if len(numbers) <= most:
        return numbers
    # Some more than are wanted fall below this line (else all are taken), so that the lots of the others are not kept.
    line = np.uint64(min((2 * most + 100) / len(numbers), 1.0) * (2**64 - 2**12))
    lots, drawn = [], []
    for start in range(0, len(numbers), _BLOCK):
        block = numbers[start : start + _BLOCK]
        theirs = uniform_hash(seed, block)
        lots.append(theirs[theirs <= line])
        drawn.append(block[theirs <= line])
    return np.sort(np.concatenate(drawn)[np.argsort(np.concatenate(lots), kind="stable")[:most]])


def uniform_hash(seed: int, numbers: Ints) -> NDArray[np.uint64]:
    """A fixed pseudo-random number for each item number: the same on every machine, in any order, in any batch.

    An item belongs to a uniform sample if its hash is below a threshold, so that a sample needs no list, and items
    that arrive later fall into it at the same rate. The mixer is that of SplitMix64 (Steele, Lea & Flood 2014,
    "Fast splittable pseudorandom number generators").

    Args:
        seed: any integer; other seeds give unrelated hashes.
        numbers: (n,) item numbers.

    Returns:
        (n,) uniform over all 64-bit numbers.

    Example:
        >>> hashes = uniform_hash(7, np.arange(100_000))
        >>> bool(abs((hashes < 0.1 * 2**64).mean() - 0.1) < 0.005)
        True
    """
    start = np.asarray([seed & _FULL], dtype=np.uint64)
    steps = np.asarray(numbers).astype(np.uint64) + np.uint64(1)
    return _mix(_mix(start + np.uint64(_GOLDEN)) + steps * np.uint64(_GOLDEN))


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
