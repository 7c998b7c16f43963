"""What a simulation comes to: curves per strategy and seed, their area, and the labels to a part of the full score.

Intervals are Student's t over seeds, at 95 %; with one seed there is none, and JSON says null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import t as student

from labelloop.domain.types import Estimate

FRACTIONS = (0.9, 0.95, 0.98)
"""Parts of the full-data score whose price in labels is told."""
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One replay: after each batch, how many labels there were and what the model scored on the test set.

    `asked` are pool numbers in the order they were asked. `also` holds, for each set of items the caller named, the
    scores on it after each batch; NaN where a set has no score.
    """

    strategy: str
    seed: int
    labels: tuple[int, ...]
    scores: tuple[float, ...]
    asked: tuple[int, ...]
    also: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Labels to a score: over the seeds that got there, and which share of the seeds that is."""

    labels: Estimate
    reached: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Curves of several strategies over the same seeds, with the score of a model fitted on the whole pool."""

    project: str
    score: str
    budget: int
    full_data_score: float
    curves: Mapping[str, Sequence[Curve]]

    def points(self, strategy: str) -> list[tuple[int, Estimate]]:
        """Labels and mean score with its interval over seeds, at every count that all seeds have."""
        curves = self.curves[strategy]
        shared = sorted(set.intersection(*(set(curve.labels) for curve in curves)))
        at = [dict(zip(curve.labels, curve.scores, strict=True)) for curve in curves]
        return [(labels, over_seeds([scores[labels] for scores in at])) for labels in shared]

    def area(self, strategy: str) -> Estimate:
        """Mean score along the curve (trapezoids over labels, divided by their span)."""
        return over_seeds([area(curve) for curve in self.curves[strategy]])

    def labels_to(self, strategy: str, fraction: float) -> Reached:
        """Labels until the score is first at least `fraction` of the full-data score."""
        curves = self.curves[strategy]
        prices = [price for curve in curves if (price := first_at(curve, fraction * self.full_data_score)) is not None]
        return Reached(labels=over_seeds(prices), reached=len(prices) / len(curves))

    def to_json(self) -> dict[str, Any]:
        """Plain values. `reached` is the share of seeds that got there; the mean is over those, null when none did."""
        return {
            "project": self.project,
            "full_data_score": self.full_data_score,
            "strategies": {name: self._strategy(name) for name in self.curves},
        }

    def _strategy(self, name: str) -> dict[str, Any]:
        prices = {str(fraction): self.labels_to(name, fraction) for fraction in FRACTIONS}
        return {
            "curve": [[labels, *_plain(score).values()] for labels, score in self.points(name)],
            "area": _plain(self.area(name)),
            "labels_to": {key: _plain(price.labels) | {"reached": price.reached} for key, price in prices.items()},
        }


def area(curve: Curve) -> float:
    """Mean score along one curve; the score itself where there is one point only."""
    span = curve.labels[-1] - curve.labels[0]
    return float(np.trapezoid(curve.scores, curve.labels) / span) if span else curve.scores[0]


def first_at(curve: Curve, score: float) -> int | None:
    """Labels at the first point with at least this score; None when there is none."""
    return next((labels for labels, got in zip(curve.labels, curve.scores, strict=True) if got >= score), None)


def over_seeds(values: Sequence[float]) -> Estimate:
    """Mean and t-interval of independent repeats; bounds are NaN for one, all is NaN for none."""
    if not values:
        return Estimate(mean=np.nan, low=np.nan, high=np.nan)
    mean = float(np.mean(values))
    if len(values) == 1:
        return Estimate(mean=mean, low=np.nan, high=np.nan)
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return Estimate(mean=mean, low=mean - half, high=mean + half)


def _plain(estimate: Estimate) -> dict[str, float | None]:
    values = {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
    return {key: None if np.isnan(value) else value for key, value in values.items()}
