"""The `lanes`, `votes` and `lease` of a project file: who gets what, how often, for how long."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from labelloop.domain.states import Lane
from labelloop.projects.section import Section


class Lanes(Section):
    """Shares of what is handed out; they need not sum to one, only their ratio counts."""

    informative: float = Field(default=0.9, ge=0)
    """The strategy's order."""
    minority: float = Field(default=0.0, ge=0)
    """Classes that the labels are short of. The least it has: its share may grow by itself, see `minority.grow_to`."""
    audit: float = Field(default=0.1, ge=0)
    """Drawn uniformly, never trained on: the unbiased measure."""
    audit_items: int | None = Field(default=None, ge=1)
    """Items reserved for the audit, drawn uniformly. Default: the audit's share of the budget, or 1,000."""
    window: int = Field(default=5_000, ge=10, le=50_000)
    """Queries per lane that a round plans and Redis holds."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.informative + self.minority <= 0:
            msg = "give the lane informative or minority a share above 0"
            raise ValueError(msg)
        return self

    def shares(self) -> dict[Lane, float]:
        """Lane → share, scaled to sum to one; lanes without a share are left out."""
        raw = {Lane.INFORMATIVE: self.informative, Lane.MINORITY: self.minority, Lane.AUDIT: self.audit}
        total = sum(raw.values())
        return {lane: share / total for lane, share in raw.items() if share > 0}


class Overlap(Section):
    """A part of the pool, drawn by lot, that gets more votes than the rest: it tells how far people agree."""

    share: float = Field(gt=0, le=1)
    """The part of the pool."""
    needed: int = Field(ge=2, le=15)
    """Votes that these items get."""


class Votes(Section):
    """How many answers an item gets. The largest of what applies to an item holds."""

    needed: int = Field(default=1, ge=1, le=15)
    """Votes asked at first, each from another annotator. An item may bring its own number when it is ingested."""
    lanes: dict[Literal["informative", "minority", "audit"], Annotated[int, Field(ge=1, le=15)]] = Field(
        default_factory=dict
    )
    """Lane → votes for items that are planned in it, where they are more: `{ audit = 3 }`."""
    overlap: Overlap | None = None
    """A part of the pool that gets more votes."""
    cap: int | None = Field(default=None, ge=1, le=15)
    """Most votes counted; a tie asks for one more up to here. Default: two more than
    the most asked anywhere above, or 1 where that is 1."""
    agreement: float = Field(default=0.5, ge=0, lt=1)
    """The winning class needs more than this part of the votes."""

    @model_validator(mode="after")
    def _cap_holds(self) -> Self:
        asked = {"votes.needed": self.needed, **{f"votes.lanes.{lane}": votes for lane, votes in self.lanes.items()}}
        if self.overlap is not None:
            asked["votes.overlap.needed"] = self.overlap.needed
        for name, votes in asked.items():
            if self.cap is not None and self.cap < votes:
                msg = f"votes.cap ({self.cap}) is below {name} ({votes})"
                raise ValueError(msg)
            if votes < self.needed:
                msg = f"{name} ({votes}) is below votes.needed ({self.needed}); it can only ask for more"
                raise ValueError(msg)
        return self

    @property
    def most(self) -> int:
        """The cap in force."""
        if self.cap is not None:
            return self.cap
        largest = max(self.needed, *self.lanes.values(), self.overlap.needed if self.overlap else 1)
        return 1 if largest == 1 else min(largest + 2, 15)


class LeaseRules(Section):
    """How long work is reserved."""

    seconds: float = Field(default=300.0, ge=1, le=86_400)
    """Time to answer before an item may go to somebody else; renewing starts it anew."""
    maximum: int = Field(default=200, ge=1, le=10_000)
    """Open leases one annotator may hold."""
    pulls_per_minute: int | None = Field(default=None, ge=1, le=100_000)
    """Pulls of work that one annotator may make in a minute; no bound when not given."""
    skips_to_review: int = Field(default=3, ge=1, le=1_000)
    """So many different annotators skip an item, and a reviewer decides it instead."""
    predictions: bool = False
    """Show annotators the class that the model puts an item into, except in the audit. People tend to agree with it."""
