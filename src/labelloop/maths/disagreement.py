"""How much a committee's members disagree about a row: one acquisition score per row, higher asks first.

All take (members, n, classes) and work in blocks of rows, as `acquisition` does for one model; `committee_deviation`
takes (members, n) predictions of a number.
"""

import numpy as np

from labelloop.maths.acquisition import entropy_of
from labelloop.maths.arrays import Floats
from labelloop.maths.blocks import BYTES, blocks, columns


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
    for rows, block in blocks(committee):
        shares = _votes(block) / np.asarray(len(block), block.dtype)
        entropy_of(shares.T, out=scores[rows])
    return scores


def variation_ratio(committee: Floats) -> Floats:
    """The share of members that do not vote for the class with most votes (Freeman 1965; Beluch et al. 2018).

    Args:
        committee: (members, n, classes), rows sum to 1; votes as for `vote_entropy`.

    Returns:
        (n,) in [0, 1 - 1/members].

    Example:
        >>> all_but_one = np.array([[[0.9, 0.1]], [[0.8, 0.2]], [[0.7, 0.3]], [[0.2, 0.8]]])
        >>> variation_ratio(all_but_one).tolist()
        [0.25]
    """
    scores = _empty(committee)
    for rows, block in blocks(committee):
        np.subtract(1, _votes(block).max(axis=0) / np.asarray(len(block), block.dtype), out=scores[rows])
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
    for rows, block in blocks(committee):
        entropy_of(block.mean(axis=0), out=scores[rows])
    return scores


def bald(committee: Floats) -> Floats:
    """Mutual information of label and member: entropy of the mean minus mean of the entropies (arXiv 1112.5745, eq. 2).

    It is high where the members are sure and disagree, and 0 where all are equally unsure. It equals the mean
    Kullback-Leibler divergence of the members from their consensus (McCallum & Nigam 1998): two names, one score.

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
    for rows, block in blocks(committee):
        spread = entropy_of(block.mean(axis=0))
        for member in block:
            spread -= entropy_of(member) / len(block)
        np.maximum(spread, 0, out=scores[rows])
    return scores


def max_disagreement(committee: Floats) -> Floats:
    """The largest Kullback-Leibler divergence of a member from the consensus, in units of log(members).

    Where `bald` takes the mean over members, here a single one that sees something else is enough.

    Args:
        committee: (members, n, classes), rows sum to 1.

    Returns:
        (n,) in [0, 1]; 0 where there is but one member.

    Example:
        >>> agree, split = [[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0], [0.0, 1.0]]
        >>> max_disagreement(np.array([agree, split]).swapaxes(0, 1)).tolist()
        [0.0, 1.0]
    """
    scores = _empty(committee)
    if len(committee) < 2:
        scores[:] = 0
        return scores
    tiny = np.finfo(committee.dtype).tiny
    for rows, block in blocks(committee):
        consensus = np.log(np.maximum(block.mean(axis=0), tiny))
        most = np.zeros(block.shape[1], block.dtype)
        for member in block:
            surprise = np.log(np.maximum(member, tiny))
            surprise -= consensus
            surprise *= member
            np.maximum(most, surprise @ np.ones(block.shape[2], block.dtype), out=most)
        most /= np.log(len(block))
        np.minimum(most, 1, out=scores[rows])
    return scores


def epig(committee: Floats, targets: Floats) -> Floats:
    """What a row's label is expected to tell about the labels of other rows: EPIG (arXiv 2304.08151, eq. 6).

    The mutual information of the label here and the label at a target, over the committee, mean over targets. BALD asks
    what would change the model; this asks what would change its answers where they are wanted, so that a row unlike
    all others is worth little.

    Time and scratch grow with rows × targets × classes²: take some dozens of targets.

    Args:
        committee: (members, n, classes), rows sum to 1.
        targets: (members, t, classes) of rows drawn from where the model will be used, t ≥ 1.

    Returns:
        (n,) in [0, 1], in units of log(classes).

    Raises:
        ValueError: no targets, or other members or classes.

    Example:
        >>> divided, agreed = [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]
        >>> epig(np.array([divided, agreed]).swapaxes(0, 1), np.array([divided]).swapaxes(0, 1)).tolist()
        [1.0, 0.0]
    """
    members, n, classes = committee.shape
    wanted = targets.shape[1] if targets.ndim == 3 else 0
    if not wanted or targets.shape != (members, wanted, classes):
        raise ValueError(f"targets of shape {targets.shape} do not fit a committee of shape {committee.shape}")
    scores = _empty(committee)
    if classes < 2:
        scores[:] = 0
        return scores
    beyond = targets.reshape(members, wanted * classes)
    of_targets = float(entropy_of(targets.mean(axis=0)).mean())
    step = max(BYTES // (wanted * classes * classes * committee.itemsize), 1)
    unit = np.log(classes) / np.log(classes * classes)  # `entropy_of` measures a joint of classes² cells by their log
    for start in range(0, n, step):
        block = committee[:, start : start + step]
        joint = block.reshape(members, -1).T @ beyond
        joint /= members
        pairs = joint.reshape(-1, classes, wanted, classes).swapaxes(1, 2).reshape(-1, classes * classes)
        both = entropy_of(pairs).reshape(-1, wanted).mean(axis=1) / unit
        gain = entropy_of(block.mean(axis=0)) + of_targets - both
        np.clip(gain, 0, 1, out=scores[start : start + step])
    return scores


def committee_deviation(predictions: Floats) -> Floats:
    """The standard deviation of the members' predictions of a number (RayChaudhuri & Hamey 1995).

    Args:
        predictions: (members, n), in any unit.

    Returns:
        (n,) in that unit, over the members as a whole and not as a sample; 0 where there is but one.

    Example:
        >>> committee_deviation(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
        [1.0, 0.0]
    """
    scores = np.empty(predictions.shape[1], predictions.dtype)
    for rows, block in blocks(predictions[:, :, None]):
        block[:, :, 0].std(axis=0, out=scores[rows])
    return scores


def _empty(committee: Floats) -> Floats:
    return np.empty(committee.shape[1], committee.dtype)


def _votes(block: Floats) -> Floats:
    """Votes (classes, rows) of the members of a block, without a loop over rows."""
    votes = np.zeros(block.shape[:0:-1], block.dtype)
    for member in block:
        by_class = columns(member)
        top = by_class.max(axis=0)
        free = np.ones(len(top), dtype=bool)  # rows whose vote of this member is still to be found
        for code, column in enumerate(by_class):
            here = (column == top) & free
            free ^= here
            votes[code] += here
    return votes
