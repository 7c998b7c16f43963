"""From the votes on many items to one answer each, with how sure it is. What follows from that is policy's.

Votes are ragged: arrays of equal length say which item and which value. Better aggregation takes a third, which voter,
and answers in the same shape.
"""

from typing import NamedTuple

import numpy as np

from labelloop.maths.arrays import Floats, Ints, Mask


class Agreed(NamedTuple):
    """One answer per item, (items,) each."""

    winner: Ints
    """Value code; of tied values the smallest; -1 where nobody voted."""
    share: Floats
    """Part of the votes that the winner has; 0 where nobody voted."""
    confidence: Floats
    """Probability that the winner is right, as far as the method says; for the majority its share."""
    tied: Mask
    """Whether another value has as many votes."""
    votes: Ints
    """How many votes there were."""


def majority(places: Ints, codes: Ints, *, items: int, values: int) -> Agreed:
    """The value with the most votes, for many items at once; memory grows with the votes, not with items × values.

    Args:
        places: (votes,) position of the item each vote is about, in any order.
        codes: (votes,) value codes in [0, values).
        items: number of items.
        values: number of values.

    Raises:
        ValueError: a code or position out of range; names the first.

    Example:
        >>> agreed = majority(np.array([0, 0, 0, 1, 1]), np.array([2, 1, 2, 0, 1]), items=2, values=3)
        >>> agreed.winner.tolist(), agreed.tied.tolist(), agreed.share.round(2).tolist()
        ([2, 0], [False, True], [0.67, 0.5])
    """
    _check(places, codes, items, values)
    votes = np.bincount(places, minlength=items)
    pairs, found = np.unique(np.asarray(places, dtype=np.int64) * values + codes, return_counts=True)
    owner, value = pairs // values, pairs % values
    best = np.zeros(items, dtype=np.int64)
    np.maximum.at(best, owner, found)
    leads = found == best[owner]
    leaders = np.bincount(owner[leads], minlength=items)
    winner = np.full(items, -1, dtype=np.int64)
    winner[owner[leads][::-1]] = value[leads][::-1]  # pairs rise, so the smallest of tied values is written last
    share = best / np.maximum(votes, 1)
    return Agreed(winner=winner, share=share, confidence=share, tied=leaders > 1, votes=votes)


def _check(places: Ints, codes: Ints, items: int, values: int) -> None:
    if places.shape != codes.shape or places.ndim != 1:
        raise ValueError(f"places {places.shape} and codes {codes.shape} must be two arrays of one length")
    for name, array, limit in (("item", places, items), ("code", codes, values)):
        outside = np.flatnonzero((array < 0) | (array >= limit))
        if len(outside):
            raise ValueError(f"vote {outside[0]}: {name} {array[outside[0]]} is not in [0, {limit})")
