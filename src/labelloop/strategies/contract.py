"""What a query strategy is: the evidence it may ask for, and the two things it does with it.

`score` gives one acquisition score per row of a shard, from the evidence it asked for; a higher score means: ask
first. `pick` (optional) orders a shortlist of the best rows of all shards as one batch; most strategies leave that to
the score and to the project's `diversity`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np

from labelloop.domain.errors import InvalidProject, StrategyFailed
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
    labeled: (l, d), features of rows labeled or in flight, for strategies that keep away from them; may be left out.
    labeled_probabilities: (l, classes), what the model says of those rows.
    """

    rows: int
    probabilities: Floats | None = None
    committee: Floats | None = None
    features: Matrix | None = None
    class_counts: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    labeled: Matrix | None = None
    labeled_probabilities: Floats | None = None


@runtime_checkable
class Strategy(Protocol):
    """A query strategy, bound to its options."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def needs(self) -> frozenset[Need]:
        """What it must see."""
        ...

    def score(self, evidence: Evidence, rng: np.random.Generator) -> Floats:
        """Scores (n,), finite; higher asks first."""
        ...


@runtime_checkable
class Picker(Protocol):
    """A strategy that orders a whole shortlist itself, in place of the project's diversity."""

    def pick(self, evidence: Evidence, count: int, rng: np.random.Generator) -> Ints:
        """Positions (min(count, rows),) in the shortlist, first to ask first, no repeats."""
        ...


def wanted_probabilities(name: str, evidence: Evidence) -> Floats:
    """The probabilities (n, classes); StrategyFailed where the caller did not bring them."""
    if evidence.probabilities is None:
        raise StrategyFailed(f"The strategy {name!r} was asked without probabilities.", strategy=name)
    return evidence.probabilities


def wanted_committee(name: str, evidence: Evidence) -> Floats:
    """The committee (members, n, classes).

    Raises:
        InvalidProject: the model has one voice; says which models have more.
    """
    if evidence.committee is None:
        raise InvalidProject(
            f"The strategy {name!r} needs a committee, and the project's model has one voice. Use the model kind"
            " modal_committee, torch_mlp or torch_cnn with `members` above 1 or `passes` above 0, or a forest or"
            " voting classifier of scikit-learn; or a strategy such as margin, which needs no committee.",
            strategy=name,
        )
    return evidence.committee
