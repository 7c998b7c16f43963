"""The `strategy` of a project file: what is asked first.

A section that is given means what it says: its kind alone, and the keys beside it. Without one `RECOMMENDED` holds.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from labelloop.projects.section import Section

ARM_KINDS = ("margin", "entropy", "least_confidence", "random")
ARM_SPREADS = ("k_center", "cluster_margin", "k_means", "herding", "badge")


class ColdStart(Section):
    """What is asked before a model exists."""

    kind: Literal["random", "diversity", "typiclust", "herding", "k_center", "mixed"] = "diversity"
    """Chooses the first batch. diversity: the item nearest to the centre of each cluster of the pool. typiclust: the
    one in the densest part of each. herding: items that bring most others close to one of them. k_center: items far
    from each other. mixed: by herding and by clusters in turn, for pools whose rare classes lie aside. When the first
    batch was all of one class, what is farthest from all labels comes next, unless the kind is random."""


class BaseStrategy(Section):
    """What all strategies share."""

    cold_start: ColdStart = ColdStart()
    diversity: Literal["none", "k_center", "cluster_margin", "k_means", "herding", "badge"] = "none"
    """Spread the batch over the shortlist. cluster_margin: the best score of each cluster in turn. k_center: far from
    each other and from labels. k_means: the middle of each cluster. herding: close to most of the others, by their
    scores. badge: far from each other by what they would teach the model."""
    shortlist: int = Field(default=10, ge=1)
    """Candidates per query that diversity chooses among."""
    within: float = Field(default=0.0, ge=0, le=1)
    """Candidates that score less than this part of the best score are left out, down to two per query: where few items
    are in doubt, diversity does not wander off to sure ones. Margins count from -1."""
    widen: int = Field(default=1, ge=1)
    """Diversity chooses among so many times as many candidates, and whatever they score, where these bring no less of
    the classes that the labels are short of. A quarter of what waits and 20,000 at most; three classes or more."""
    diversity_until: int | None = Field(default=None, ge=1)
    """Labels per class, on average, from which on the score alone decides: what spread helps to learn at first, a model
    that knows the classes need not be told."""
    near_duplicates: float | None = Field(default=None, gt=0, le=1)
    """Items this similar to each other, such as 0.98, are asked once: the best of each group keeps its place, the
    others go behind, as does a twin of what is labeled or out. 1: copies only. Texts that differ in case, spaces and
    punctuation count as copies. Similarity is the cosine of features of length one, as of texts."""
    batch: int | None = Field(default=None, ge=1)
    """Queries chosen together by diversity; the retrain threshold when not given."""

    def asked_by(self, name: str) -> dict[str, Any]:
        """The section of another way of asking, such as `margin` or `entropy+herding`: all else of batches stays."""
        kind, _, diversity = name.partition("+")
        shared = self.model_dump(mode="json", include=set(BaseStrategy.model_fields))
        return shared | {"kind": kind, "diversity": diversity or "none"}


class ScoreStrategy(BaseStrategy):
    """A query strategy of labelloop's own, by its name in the reference."""

    kind: Literal[
        "random",
        "least_confidence",
        "margin",
        "entropy",
        "vote_entropy",
        "variation_ratio",
        "consensus_entropy",
        "bald",
        "max_disagreement",
    ] = "margin"
    power: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Draw items in proportion to their score raised to this, instead of taking the highest: batches that repeat
    themselves less, at no cost. With `bald` and 1 it is PowerBALD. Margins count from -1."""


RECOMMENDED = ScoreStrategy(
    kind="margin", diversity="herding", shortlist=50, within=0.5, widen=4, cold_start=ColdStart(kind="mixed")
)
"""What asks where a project names no strategy: measured in `docs/explanation/labels.md`."""


class CostStrategy(BaseStrategy):
    """Asks where the cheapest answer of the model is expected to cost most: for errors that are not equally bad."""

    kind: Literal["expected_cost"] = "expected_cost"
    costs: tuple[tuple[float, ...], ...]
    """A row for each true class and a column for each answer, in the order of the labels: what that answer costs."""

    @field_validator("costs")
    @classmethod
    def _square(cls, costs: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        if len(costs) < 2 or any(len(row) != len(costs) for row in costs):
            msg = "give as many columns as rows, one for each class"
            raise ValueError(msg)
        if not all(math.isfinite(cost) for row in costs for cost in row):
            msg = "costs must be finite numbers"
            raise ValueError(msg)
        return costs


Arm = Annotated[str, StringConstraints(pattern=rf"^(?:{'|'.join(ARM_KINDS)})(?:\+(?:{'|'.join(ARM_SPREADS)}))?$")]
"""A way of asking that `auto` may choose: a kind, or a kind and a diversity joined by `+`."""


class AutoStrategy(BaseStrategy):
    """Chooses between ways of asking, round by round, by how rare the classes were that each of them found so far.

    Thompson sampling on the answers of its own rounds; what was chosen, and on which beliefs, stands in each round's
    stats. Before a model the cold start asks, as with any strategy. `diversity` is left to the ways of asking.
    """

    kind: Literal["auto"] = "auto"
    arms: tuple[Arm, ...] = ("margin+herding", "margin", "margin+cluster_margin", "random")
    """What is chosen between: kinds of strategy that need no committee, alone or with a diversity, such as
    `margin+badge`."""

    @field_validator("arms")
    @classmethod
    def _several(cls, arms: tuple[str, ...]) -> tuple[str, ...]:
        if len(arms) < 2 or len(set(arms)) < len(arms):
            msg = "give at least two arms, none twice"
            raise ValueError(msg)
        return arms


class ModalStrategy(BaseStrategy):
    """Any function with modAL's signature `(learner, pool, n_instances) -> indices`, by import path below `modAL`."""

    kind: Literal["modal"] = "modal"
    function: str = "modAL.uncertainty.margin_sampling"
    """Import path of the function."""
    candidates: int = Field(default=20_000, ge=1)
    """The function sees at most so many items: those of smallest margin."""


class PluginStrategy(BaseStrategy):
    """A strategy from the entry-point group `labelloop.strategies`."""

    kind: Literal["plugin"] = "plugin"
    name: str
    """Name of the entry point."""


StrategySpec = Annotated[
    ScoreStrategy | CostStrategy | AutoStrategy | ModalStrategy | PluginStrategy, Field(discriminator="kind")
]
