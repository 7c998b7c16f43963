"""Choosing between strategies by what their answers brought: beliefs from past rounds, and a draw by Thompson sampling.

A reward is between 0 and 1. Which strategies there are, and what a round is, is the loop's business.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from labelloop.maths.arrays import Floats, Ints


class Play(NamedTuple):
    """One past turn: the arm that was played, the answers it got, and their mean reward."""

    arm: int
    answers: int
    reward: float


def rarity(codes: Ints, class_counts: Ints) -> Floats:
    """Reward of each answer: 1 where its class has the fewest labels so far, less the more labels its class has.

    The class-rarity reward of TAILOR (arXiv 2302.07317, section 4): one over the labels of the class, here times the
    labels of the rarest class, so that it lies between 0 and 1 however many there are. Both counted with one added,
    for a class without labels.

    Args:
        codes: (n,) classes of the answers.
        class_counts: (classes,) labels before them.

    Returns:
        (n,) in (0, 1].

    Example:
        >>> rarity(np.array([0, 1]), np.array([7, 1])).tolist()
        [0.25, 1.0]
    """
    counts = np.asarray(class_counts, dtype=np.float64) + 1
    rewards: Floats = counts.min() / counts[np.asarray(codes, dtype=np.intp)]
    return rewards


def beliefs(plays: Sequence[Play], arms: int, *, fading: float = 0.9, most: int = 20) -> Floats:
    """Beta distributions of what each arm's next answer brings: successes and failures, with a uniform prior.

    Args:
        plays: oldest first.
        arms: how many there are.
        fading: what a play counts less with each play after it, because what helps changes as labels come.
        most: answers that a play counts for at most, so that one large batch does not settle the matter.

    Returns:
        (arms, 2), at least 1.

    Raises:
        ValueError: a reward is not between 0 and 1, or an arm is not there.

    Example:
        >>> beliefs([Play(arm=0, answers=10, reward=0.8)], arms=2).round(9).tolist()
        [[9.0, 3.0], [1.0, 1.0]]
    """
    table = np.ones((arms, 2))
    weight = 1.0
    for play in reversed(plays):
        if not (0 <= play.arm < arms and 0 <= play.reward <= 1):
            raise ValueError(f"{play} is no play of {arms} arms with a reward from 0 to 1")
        part = weight * min(play.answers, most)
        table[play.arm] += part * play.reward, part * (1 - play.reward)
        weight *= fading
    return table


def thompson(table: Floats, rng: np.random.Generator) -> int:
    """The arm whose draw from its belief is the highest (Thompson 1933).

    Args:
        table: (arms, 2) from `beliefs`.
        rng: draws.

    Example:
        >>> thompson(np.array([[1.0, 90.0], [90.0, 1.0]]), np.random.default_rng(0))
        1
    """
    return int(rng.beta(table[:, 0], table[:, 1]).argmax())
