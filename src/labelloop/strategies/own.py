"""The strategies that are a formula of the maths, by name, and random."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from labelloop.domain.errors import InvalidProject
from labelloop.maths import acquisition, chance, disagreement
from labelloop.maths.arrays import Floats
from labelloop.projects import CostStrategy, ScoreStrategy
from labelloop.strategies.contract import Evidence, Need, Strategy, wanted_committee, wanted_probabilities

Formula = Callable[[Floats], Floats]

OF_PROBABILITIES: Mapping[str, tuple[Formula, str]] = {
    "least_confidence": (acquisition.least_confidence, "smallest probability of the likeliest class first"),
    "margin": (acquisition.margin, "closest race between the two likeliest classes first; what the default asks by"),
    "entropy": (acquisition.entropy, "most spread-out probabilities first; weak with many classes"),
}
OF_COMMITTEE: Mapping[str, tuple[Formula, str]] = {
    "vote_entropy": (disagreement.vote_entropy, "a committee's most divided votes first"),
    "variation_ratio": (disagreement.variation_ratio, "rows first whose winning class has the fewest votes"),
    "consensus_entropy": (disagreement.consensus_entropy, "most spread-out mean probabilities of a committee first"),
    "bald": (disagreement.bald, "rows a committee's members are sure of, each of something else, first"),
    "max_disagreement": (disagreement.max_disagreement, "rows first where one member is farthest from the consensus"),
}
OTHERS: Mapping[str, str] = {
    "expected_cost": "rows first whose cheapest answer is expected to cost most, by `strategy.costs`",
}


def bind(spec: ScoreStrategy | CostStrategy) -> Strategy:
    """The strategy of labelloop's own that a project file asks for."""
    if isinstance(spec, CostStrategy):
        return OfProbabilities(spec.kind, partial(_expected_cost, spec.costs))
    strategy: Strategy = Random()
    if spec.kind in OF_PROBABILITIES:
        strategy = OfProbabilities(spec.kind, OF_PROBABILITIES[spec.kind][0])
    elif spec.kind in OF_COMMITTEE:
        strategy = OfCommittee(spec.kind, OF_COMMITTEE[spec.kind][0])
    if spec.power is None or spec.kind == "random":
        return strategy
    return Powered(strategy.name, strategy.needs, strategy=strategy, exponent=spec.power)


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


@dataclass(frozen=True, slots=True)
class Powered:
    """Another strategy's scores with a measured dose of chance. Implements strategies.Strategy."""

    name: str
    needs: frozenset[Need]
    strategy: Strategy
    exponent: float

    def score(self, evidence: Evidence, rng: np.random.Generator) -> Floats:
        """Scores (n,) whose order is a draw; a margin, which lies in [-1, 0], counts from -1."""
        scores = self.strategy.score(evidence, rng)
        return chance.power(scores + 1 if self.name == "margin" else scores, rng, exponent=self.exponent)


def _expected_cost(costs: tuple[tuple[float, ...], ...], probabilities: Floats) -> Floats:
    if len(costs) != probabilities.shape[1]:
        raise InvalidProject(
            f"strategy.costs has {len(costs)} rows for {probabilities.shape[1]} classes; give one row for each class,"
            " in the order of the labels."
        )
    return acquisition.expected_cost(probabilities, np.array(costs))
