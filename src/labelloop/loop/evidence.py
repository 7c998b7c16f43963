"""What composing a round may ask about the items of a pool, by their numbers; the service and the simulation answer.

Not a verb: the narrow window between the rules that choose (compose, spread, minority) and where the arrays come from.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from labelloop.loop.pool import PoolView
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.maths.rarity import Surroundings
from labelloop.strategies import Evidence, Need

MOST_TAKEN = 20_000
"""Labeled items that a choice keeps away from, at most: all in flight, the others drawn at random."""


class Block(NamedTuple):
    """Some of the waiting items: numbers (n,) and acquisition scores (n,)."""

    numbers: Ints
    scores: Floats


class EvidenceSource(Protocol):
    """Evidence about items by number."""

    def blocks(self) -> Iterator[Block]:
        """All waiting items, a block at a time; each item once."""
        ...

    def evidence(self, numbers: Ints, needs: frozenset[Need]) -> Evidence:
        """What is asked for about these items; without a model only features can be had."""
        ...

    def reliability(self) -> tuple[float, ...] | None:
        """Of each class (classes,), what the model's word was worth on rows held out: see `balance.reliability`."""
        ...

    def surroundings(self, numbers: Ints) -> Surroundings:
        """Who of these items lies near whom, as positions; the answer of the last time where they are the same."""
        ...


def features_of(source: EvidenceSource, numbers: Ints) -> Matrix:
    """The features (n, d) of these items."""
    features = source.evidence(numbers, frozenset({Need.FEATURES})).features
    assert features is not None  # noqa: S101 - asked for
    return features


def probabilities_of(source: EvidenceSource, numbers: Ints) -> Floats:
    """The model's probabilities (n, classes) for these items; there is a model."""
    probabilities = source.evidence(numbers, frozenset({Need.PROBABILITIES})).probabilities
    assert probabilities is not None  # noqa: S101 - asked for, and a model exists
    return probabilities


def taken(view: PoolView, rng: np.random.Generator) -> Ints:
    """Numbers of the items that a choice keeps away from: in flight, or labeled; of very many labeled ones a sample."""
    labeled, room = view.labeled, max(MOST_TAKEN - len(view.in_flight), 0)
    if len(labeled) > room:
        labeled = np.sort(rng.choice(labeled, size=room, replace=False))
    return np.concatenate([view.in_flight, labeled])
