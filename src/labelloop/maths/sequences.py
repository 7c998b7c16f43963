"""How much the labels of a sequence would tell: one score per sequence, from probabilities per token.

Tokens lie one sequence after the other, cut by offsets as in `regions`. A higher score asks first.
"""

import numpy as np

from labelloop.maths.acquisition import entropy, least_confidence
from labelloop.maths.arrays import Floats, Ints
from labelloop.maths.regions import Pooling, pooled


def best_path(probabilities: Floats) -> Floats:
    """Log probability of each token's likeliest class: the best path of a tagger whose tokens do not see each other.

    A tagger with transitions (a CRF) brings the log probabilities along its own Viterbi path instead.

    Args:
        probabilities: (tokens, classes), rows sum to 1.

    Returns:
        (tokens,) in nats, 0 or less.

    Example:
        >>> best_path(np.array([[0.25, 0.75], [0.5, 0.5]])).round(3).tolist()
        [-0.288, -0.693]
    """
    return np.log1p(-least_confidence(probabilities))


def path_doubt(log_probabilities: Floats, offsets: Ints) -> Floats:
    """Minus the mean log probability of the best path: normalised, so that long sequences do not always win.

    Maximum normalised log-probability (MNLP, arXiv 1707.05928, section 3), with its sign turned.

    Args:
        log_probabilities: (tokens,) of the best path, in nats; see `best_path`.
        offsets: (n + 1,), see `regions.pooled`.

    Returns:
        (n,) in nats per token, 0 or more; 0 for a sequence without tokens.

    Raises:
        ValueError: offsets that do not cut the tokens.

    Example:
        >>> path_doubt(np.array([-0.5, -1.5, 0.0]), np.array([0, 2, 3])).tolist()
        [1.0, 0.0]
    """
    return pooled(0 - log_probabilities, offsets, by="mean")


def token_entropy(probabilities: Floats, offsets: Ints, *, by: Pooling = "mean") -> Floats:
    """Entropy of the tokens of each sequence, pooled (token entropy and total token entropy, Settles & Craven 2008).

    Args:
        probabilities: (tokens, classes), rows sum to 1.
        offsets: (n + 1,), see `regions.pooled`.
        by: `mean`, `max`, `sum` (prefers long sequences) or `root`.

    Returns:
        (n,) in units of log(classes); 0 for a sequence without tokens.

    Raises:
        ValueError: offsets that do not cut the tokens.

    Example:
        >>> token_entropy(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 2])).tolist()
        [0.5]
    """
    return pooled(entropy(probabilities), offsets, by=by)
