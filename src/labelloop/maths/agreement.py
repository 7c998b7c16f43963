"""How far annotators agree beyond chance, over all items with two votes or more; nominal values.

All take ragged votes: (votes,) positions of items and (votes,) value codes. NaN says that nothing can be said: no
item has two votes, or, where chance needs variety, only one value occurs.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, triu

from labelloop.maths.arrays import Floats, Ints


def percent_agreement(places: Ints, codes: Ints) -> float:
    """Part of the pairs of votes on one item that agree, averaged over items.

    Args:
        places: (votes,) item of each vote.
        codes: (votes,) value codes.

    Example:
        >>> percent_agreement(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1]))
        0.5
    """
    return _nan_without(_counted(places, codes).agreed)


def krippendorff_alpha(places: Ints, codes: Ints) -> float:
    """Krippendorff's alpha: 1 - observed / expected disagreement (Krippendorff 2011, "Computing alpha", nominal).

    Args:
        places: (votes,) item of each vote.
        codes: (votes,) value codes.

    Returns:
        At most 1; 0 is chance.

    Example:
        >>> krippendorff_alpha(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 0, 1])).__round__(3)
        0.444
    """
    counted = _counted(places, codes)
    n = counted.pairable.sum()
    expected = n * n - (counted.pairable**2).sum()
    if not expected:
        return float("nan")
    # Each item weighs by its votes here, not one vote for each item as in percent agreement.
    observed = ((1 - counted.agreed) * counted.votes).sum() / n
    return float(1 - observed * n * (n - 1) / expected)


def gwet_ac1(places: Ints, codes: Ints, *, values: int) -> float:
    """Gwet's AC1, which stays sensible where nearly all items have one value (Gwet 2008).

    Args:
        places: (votes,) item of each vote.
        codes: (votes,) value codes.
        values: number of values there are, at least 2, whether they occur or not.

    Returns:
        At most 1; 0 is chance.

    Example:
        >>> gwet_ac1(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 0, 0, 1]), values=2).__round__(3)
        0.538
    """
    counted = _counted(places, codes)
    chance = float((counted.shares * (1 - counted.shares)).sum() / (values - 1))
    return (_nan_without(counted.agreed) - chance) / (1 - chance)


def fleiss_kappa(places: Ints, codes: Ints) -> float:
    """Fleiss' kappa (Fleiss 1971); items may have different numbers of votes.

    Args:
        places: (votes,) item of each vote.
        codes: (votes,) value codes.

    Returns:
        At most 1; 0 is chance.

    Example:
        >>> fleiss_kappa(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 0, 1])).__round__(3)
        0.333
    """
    counted = _counted(places, codes)
    chance = float(((counted.pairable / max(counted.pairable.sum(), 1)) ** 2).sum())
    return (_nan_without(counted.agreed) - chance) / (1 - chance) if chance < 1 else float("nan")


class Confused(NamedTuple):
    """Two values that stand against each other on the same items, and how many pairs of votes do: (k,) each."""

    first: Ints
    second: Ints
    pairs: Ints


def confused(places: Ints, codes: Ints, *, most: int) -> Confused:
    """The values that are taken for one another most, most pairs of votes first, then by their codes.

    Args:
        places: (votes,) item of each vote.
        codes: (votes,) value codes.
        most: so many of them at most.

    Example:
        >>> found = confused(np.array([0, 0, 0, 1, 1]), np.array([2, 1, 1, 1, 0]), most=5)
        >>> list(zip(found.first.tolist(), found.second.tolist(), found.pairs.tolist()))
        [(1, 2, 2), (0, 1, 1)]
    """
    item, at = np.unique(places, return_inverse=True)
    value, which = np.unique(codes, return_inverse=True)
    votes = csr_array((np.ones(len(codes), dtype=np.int64), (at, which)), shape=(len(item), len(value)))
    # Pairs of values on one item are products of their votes: few cells, however many values there are.
    against = triu(votes.T @ votes, k=1).tocoo()
    order = np.lexsort((against.col, against.row, -against.data))[:most]
    return Confused(value[against.row[order]], value[against.col[order]], against.data[order])


class _Counted(NamedTuple):
    votes: Ints
    """Votes of each item that has two or more."""
    agreed: Floats
    """Part of its pairs that agree."""
    pairable: Floats | Ints
    """Votes for each value that occurs, over those items."""
    shares: Floats
    """Mean over all items of the part of their votes that each value has."""


def _counted(places: Ints, codes: Ints) -> _Counted:
    if places.shape != codes.shape or places.ndim != 1:
        raise ValueError(f"places {places.shape} and codes {codes.shape} must be two arrays of one length")
    item, at = np.unique(places, return_inverse=True)
    value, which = np.unique(codes, return_inverse=True)
    cells, found = np.unique(at * max(len(value), 1) + which, return_counts=True)
    owner, kind = np.divmod(cells, max(len(value), 1))
    votes = np.bincount(owner, weights=found, minlength=len(item))
    alike = np.bincount(owner, weights=found * (found - 1), minlength=len(item))
    paired = votes > 1
    return _Counted(
        votes=votes[paired],
        agreed=alike[paired] / (votes[paired] * (votes[paired] - 1)),
        pairable=np.bincount(kind, weights=found * paired[owner].astype(np.float64), minlength=len(value)),
        shares=np.bincount(kind, weights=found / votes[owner], minlength=len(value)) / max(len(item), 1),
    )


def _nan_without(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
