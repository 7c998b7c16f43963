"""From the strategy in a project file to what it needs to see and how it scores.

A strategy does two things. `score` gives one acquisition score per row of a shard, from the evidence it asked for; a
higher score means: ask first. `pick` (optional) orders a shortlist of the best rows of all shards as one batch; most
strategies leave that to the score and to the project's `diversity`. Adding one: see CONTRIBUTING.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np

from labelloop.maths.arrays import Floats, Ints, Matrix


class Need(StrEnum):
    """Evidence a strategy may ask for. What it did not ask for is not computed."""

    PROBABILITIES = "probabilities"
    COMMITTEE = "committee"
    FEATURES = "features"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about n rows of the pool. Only what was asked for is there.

    probabilities: (n, classes), calibrated, columns in the order of the project's classes; a class the model does not
        know has column 0.
    committee: (members, n, classes), the probabilities of each member.
    features: (n, d), dense or sparse.
    class_counts: (classes,), labels so far by class, audit left out.
    """

    rows: int
    probabilities: Floats | None = None
    committee: Floats | None = None
    features: Matrix | None = None
    class_counts: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


class Strategy(Protocol):
    """A query strategy, bound to its options."""

    name: str
    needs: frozenset[Need]

    def score(self, evidence: Evidence, rng: np.random.Generator) -> Floats:
        """Scores (n,), finite; higher asks first."""
        ...


class Picker(Protocol):
    """A strategy that orders a whole shortlist itself, in place of the project's diversity."""

    def pick(self, evidence: Evidence, count: int, rng: np.random.Generator) -> Ints:
        """Positions (≤ count,) in the shortlist, first to ask first, no repeats."""
        ...
