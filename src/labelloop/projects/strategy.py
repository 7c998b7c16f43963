"""The `strategy` of a project file: what is asked first."""

from typing import Annotated, Literal

from pydantic import Field

from labelloop.projects.section import Section


class ColdStart(Section):
    """What is asked before a model exists."""

    kind: Literal["random", "diversity", "typiclust", "herding", "k_center"] = "diversity"
    """diversity: the item nearest to the centre of each cluster of the pool. typiclust: the one in the densest part of
    each. herding: items that bring most others close to one of them. k_center: items far from each other."""


class BaseStrategy(Section):
    """What all strategies share."""

    cold_start: ColdStart = ColdStart()
    diversity: Literal["none", "k_center", "cluster_margin", "k_means", "herding", "badge"] = "none"
    """Spread the batch over the shortlist. cluster_margin: the best score of each cluster in turn. k_center: far from
    each other and from labels. k_means: the middle of each cluster. herding: close to most of the others, by their
    scores. badge: far from each other by what they would teach the model."""
    shortlist: int = Field(default=10, ge=1)
    """Candidates per query that diversity chooses among."""
    batch: int | None = Field(default=None, ge=1)
    """Queries chosen together by diversity; the retrain threshold when not given."""


class ScoreStrategy(BaseStrategy):
    """A query strategy of labelloop's own, by its name in the reference."""

    kind: Literal["random", "least_confidence", "margin", "entropy", "vote_entropy", "consensus_entropy", "bald"] = (
        "margin"
    )


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


StrategySpec = Annotated[ScoreStrategy | ModalStrategy | PluginStrategy, Field(discriminator="kind")]
