"""Scores with a measured dose of chance, so that the best rows of a batch are not all the same row.

The scores themselves come from `acquisition` or `disagreement`; spreading a batch by distance is `diversity`'s.
"""

import numpy as np

from labelloop.maths.arrays import Floats


def power(scores: Floats, rng: np.random.Generator, *, exponent: float = 1.0) -> Floats:
    """The highest k of the answer are a draw of k rows without repeats, each in proportion to score^exponent.

    The logarithm of the score plus Gumbel noise: PowerBALD and its like (arXiv 2106.12059, section 3), by the
    Gumbel-top-k trick (arXiv 1903.06059). It costs what the scores cost, where a batch by BatchBALD costs its square.

    Args:
        scores: (n,), none below 0; 0 comes last.
        rng: the chance.
        exponent: 0 is uniform, large is the order of the scores.

    Returns:
        (n,) finite; higher asks first.

    Raises:
        ValueError: a score is below 0 or not finite; names its position.

    Example:
        >>> power(np.array([0.0, 1e-9, 1.0]), np.random.default_rng(0), exponent=9.0).argsort().tolist()
        [0, 1, 2]
    """
    bad = np.flatnonzero(~((scores >= 0) & (scores < np.inf)))
    if len(bad):
        raise ValueError(f"score {bad[0]} is {scores[bad[0]]:.6g}; a power needs finite scores of 0 or more")
    tiny = np.finfo(scores.dtype).tiny
    with_chance: Floats = exponent * np.log(np.maximum(scores, tiny)) + rng.gumbel(size=len(scores))
    return with_chance
