"""The strategies that are a formula of `maths.acquisition`, by name, and random."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labelloop.maths import acquisition
from labelloop.maths.arrays import Floats
from labelloop.strategies.contract import Evidence, Need, wanted_committee, wanted_probabilities

Formula = Callable[[Floats], Floats]

OF_PROBABILITIES: Mapping[str, tuple[Formula, str]] = {
    "least_confidence": (acquisition.least_confidence, "smallest probability of the likeliest class first"),
    "margin": (acquisition.margin, "closest race between the two likeliest classes first; the robust default"),
    "entropy": (acquisition.entropy, "most spread-out probabilities first; weak with many classes"),
}
OF_COMMITTEE: Mapping[str, tuple[Formula, str]] = {
    "vote_entropy": (acquisition.vote_entropy, "a committee's most divided votes first"),
    "consensus_entropy": (acquisition.consensus_entropy, "most spread-out mean probabilities of a committee first"),
    "bald": (acquisition.bald, "rows a committee's members are sure of, each of something else, first"),
}


@dataclass(frozen=True, slots=True)
class Random:
    """Every row is as good as any other: the yardstick. Implements strategies.Strategy."""

    name: ClassVar[str] = "random"
    needs: ClassVar[frozenset[Need]] = frozenset()

    def score(self, evidence: Evidence, rng: np.random.Generator) -> Floats:
        """Uniform numbers (n,) in [0, 1)."""
        return rng.random(evidence.rows)


@dataclass(frozen=True, slots=True)
class OfProbabilities:
    """A formula over calibrated probabilities. Implements strategies.Strategy."""

    name: str
    formula: Formula
    needs: frozenset[Need] = frozenset({Need.PROBABILITIES})

    def score(self, evidence: Evidence, rng: np.random.Generator) -> Floats:  # noqa: ARG002 - the formula leaves no chance
        """Scores (n,) of the formula."""
        probabilities = wanted_probabilities(self.name, evidence)
        acquisition.check_probabilities(probabilities)
        return self.formula(probabilities)


@dataclass(frozen=True, slots=True)
class OfCommittee:
    """A formula over the probabilities of a committee's members. Implements strategies.Strategy."""

    name: str
    formula: Formula
    needs: frozenset[Need] = frozenset({Need.COMMITTEE})

    def score(self, evidence: Evidence, rng: np.random.Generator) -> Floats:  # noqa: ARG002 - the formula leaves no chance
        """Scores (n,) of the formula."""
        committee = wanted_committee(self.name, evidence)
        acquisition.check_probabilities(committee)
        return self.formula(committee)
