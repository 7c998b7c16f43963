"""The `retrain`, `promote` and `stop` of a project file: when a model is made, when it serves, when work ends."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from labelloop.projects.section import Section

_FEW = 5
"""Labels from one training to the next at first, where a project does not say."""


class Retrain(Section):
    """When a training is due. Conditions that are not given never hold; with none, `labels = 5` and `growth = 0.1`."""

    first: int = Field(default=20, ge=2)
    """Labels before the first training."""
    labels: int | None = Field(default=None, ge=1)
    """Labels since the last training was asked for."""
    growth: float | None = Field(default=None, gt=0, le=10)
    """The same as a part of the labels there were then; the larger of the two counts. With `labels = 5, growth = 0.1`
    trainings come every five labels at first, and every hundred at a thousand; without `labels` it is five, too."""
    every: float | None = Field(default=None, ge=1)
    """Seconds since the last training was asked for, if labels came in between."""
    schedule: str | None = None
    """A cron expression in UTC, such as `0 2 * * *`; fires once per date, if labels came in between."""
    class_minimum: int | None = Field(default=None, ge=1)
    """Fires once per class, when it first has so many labels."""

    @model_validator(mode="before")
    @classmethod
    def _some(cls, given: Any) -> Any:
        """Labels that never lead to a training are for nobody, so whoever says nothing gets what was measured best."""
        conditions = {"labels", "growth", "every", "schedule", "class_minimum"}
        silent = isinstance(given, dict) and not conditions & given.keys()
        return given | {"labels": _FEW, "growth": 0.1} if silent else given

    @field_validator("schedule")
    @classmethod
    def _five_fields(cls, schedule: str | None) -> str | None:
        if schedule is not None and len(schedule.split()) != 5:
            msg = "a schedule has five fields: minute hour day month weekday, such as `0 2 * * *`"
            raise ValueError(msg)
        return schedule

    def step(self, labels: int) -> int | None:
        """Labels from one training to the next, where the first of them had so many; None: labels alone call for none.

        They are chosen together, so this is also the size of a batch.
        """
        if self.growth is None:
            return self.labels
        return max(self.labels or _FEW, int(self.growth * labels))


class Promote(Section):
    """The gate between a candidate and the champion, measured on the audit lane."""

    kind: Literal["not_worse", "better", "always"] = "not_worse"
    """not_worse: refused when the candidate is worse by more than `tolerance` with `confidence`. better: promoted
    only when it is better with `confidence`."""
    metric: Literal["accuracy", "macro_f1"] = "accuracy"
    """What is compared, on the same audit items."""
    confidence: float = Field(default=0.9, gt=0.5, lt=1)
    """Of the one-sided bound that decides."""
    tolerance: float = Field(default=0.0, ge=0, le=1)
    """How much worse is let pass."""
    minimum_audit: int = Field(default=20, ge=1)
    """With fewer audit labels nothing can be said, and a healthy candidate is promoted."""


class Stop(Section):
    """When work ends."""

    budget: int | None = Field(default=None, ge=1)
    """Counted votes to spend; then no more leases are given."""
