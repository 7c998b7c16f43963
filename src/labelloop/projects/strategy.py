"""The `strategy` of a project file: what is asked first."""

from typing import Annotated, Literal

from pydantic import Field

from labelloop.projects.section import Section


class ColdStart(Section):
    """What is asked before a model exists."""

    kind: Literal["random", "diversity"] = "diversity"


class BaseStrategy(Section):
    """What all strategies share."""

    cold_start: ColdStart = ColdStart()
    diversity: Literal["none", "k_center", "cluster_margin"] = "none"
    """Spread the batch over the shortlist by features."""
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
