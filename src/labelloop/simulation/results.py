"""What a simulation comes to: curves per strategy and seed, their area, and the labels to a part of the full score.

Intervals are Student's t over seeds, at 95 %; one seed says nothing about the spread, so its bounds are its value.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from labelloop.domain.types import Estimate
from labelloop.maths import curves
from labelloop.maths.estimation import mean_interval

FRACTIONS = (0.9, 0.95, 0.98)
"""Parts of the full-data score whose price in labels is told."""
CLEARLY = 0.02
"""So far beyond the full-data score a strategy says something about the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One replay: after each batch, how many labels there were and what the model scored on the test set.

    `asked` are pool numbers in the order they were asked. `seconds` is the time that the answers took by then, empty
    where nobody has a clock. `also` holds, for each set of items the caller named, the scores on it after each batch;
    NaN where a set has no score.
    """

    strategy: str
    seed: int
    labels: tuple[int, ...]
    scores: tuple[float, ...]
    asked: tuple[int, ...]
    seconds: tuple[float, ...] = ()
    also: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Labels to a score: over the seeds that got there (None: no seed did), and which share of the seeds that is."""

    labels: Estimate | None
    reached: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Curves of several strategies over the same seeds, with the score of a model fitted on the whole pool.

    Where models are compared, a curve is called MODEL/STRATEGY, `models` has the full-data score of each, and
    `full_data_score` is the best of them. `hourly` is what an hour of annotation costs. `caveat` says how the labeled
    set came about, where that limits what the numbers mean.
    """

    project: str
    score: str
    budget: int
    full_data_score: float
    curves: Mapping[str, Sequence[Curve]]
    models: Mapping[str, float] = field(default_factory=dict)
    hourly: float | None = None
    caveat: str | None = None

    @property
    def seeds(self) -> int:
        """Repeats of each strategy."""
        return len(next(iter(self.curves.values())))

    @property
    def timed(self) -> bool:
        """Whether it is known how long the answers took."""
        return all(curve.seconds for found in self.curves.values() for curve in found)

    @property
    def surpassed(self) -> list[str]:
        """Strategies that score clearly beyond the model on all labels somewhere, luck over seeds aside.

        A few labels around the border can serve a model better than all of them, where its penalty or the imbalance
        holds it back.
        """
        bar = self.full_data_score + CLEARLY
        return [name for name in self.curves if any(score.low > bar for _, score in self.points(name))]

    def points(self, strategy: str) -> list[tuple[int, Estimate]]:
        """Labels and mean score with its interval over seeds, at every count that all seeds have."""
        at = [dict(zip(curve.labels, curve.scores, strict=True)) for curve in self.curves[strategy]]
        shared = sorted(set.intersection(*(set(scores) for scores in at)))
        return [(labels, _score([scores[labels] for scores in at])) for labels in shared]

    def area(self, strategy: str) -> Estimate:
        """Mean score along the curve, from the first batch to the budget."""
        return _score([curves.area(*_arrays(curve)) for curve in self.curves[strategy]])

    def labels_to(self, strategy: str, fraction: float) -> Reached:
        """Labels until the score first reaches `fraction` of the full-data score, by straight lines between batches."""
        target = fraction * self.full_data_score
        prices = [curves.labels_to(*_arrays(curve), target) for curve in self.curves[strategy]]
        paid = [price for price in prices if price is not None]
        return Reached(labels=over_seeds(paid, least=0.0) if paid else None, reached=len(paid) / len(prices))

    def seconds(self, strategy: str) -> list[tuple[float, Estimate]]:
        """As `points`, over the mean time that so many labels took."""
        at = [dict(zip(curve.labels, curve.seconds, strict=True)) for curve in self.curves[strategy]]
        return [(float(np.mean([took[labels] for took in at])), score) for labels, score in self.points(strategy)]

    def seconds_to(self, strategy: str, fraction: float) -> Reached:
        """As `labels_to`, in seconds of annotation."""
        target = fraction * self.full_data_score
        prices = [curves.labels_to(np.asarray(c.seconds), np.asarray(c.scores), target) for c in self.curves[strategy]]
        paid = [price for price in prices if price is not None]
        return Reached(labels=over_seeds(paid, least=0.0) if paid else None, reached=len(paid) / len(prices))

    def to_json(self) -> dict[str, Any]:
        """Plain values. `reached` is the share of seeds that got there; the mean is over those, null when none did."""
        told = {
            "project": self.project,
            "score": self.score,
            "budget": self.budget,
            "seeds": self.seeds,
            "full_data_score": self.full_data_score,
            "strategies": {name: self._strategy(name) for name in self.curves},
        }
        more = {"models": dict(self.models), "hourly": self.hourly, "caveat": self.caveat, "surpassed": self.surpassed}
        return told | {name: value for name, value in more.items() if value}

    def _strategy(self, name: str) -> dict[str, Any]:
        told: dict[str, Any] = {
            "curve": [[labels, score.mean, score.low, score.high] for labels, score in self.points(name)],
            "area": asdict(self.area(name)),
            "labels_to": {str(fraction): _price(self.labels_to(name, fraction)) for fraction in FRACTIONS},
        }
        if self.timed:
            told["seconds"] = [seconds for seconds, _ in self.seconds(name)]
            told["seconds_to"] = {str(fraction): _price(self.seconds_to(name, fraction)) for fraction in FRACTIONS}
        return told


def _price(price: Reached) -> dict[str, float | None]:
    bounds = asdict(price.labels) if price.labels else {"mean": None, "low": None, "high": None}
    return {**bounds, "reached": price.reached}


def first_at(curve: Curve, score: float) -> int | None:
    """Labels that were bought when a model first had at least this score; None when none had."""
    return next((labels for labels, got in zip(curve.labels, curve.scores, strict=True) if got >= score), None)


def over_seeds(values: Sequence[float], *, least: float = -math.inf, most: float = math.inf) -> Estimate:
    """Mean and interval of at least one repeat; bounds are cut to what is possible, from `least` to `most`."""
    interval = mean_interval(np.asarray(values, dtype=np.float64))
    return Estimate(mean=interval.mean, low=max(interval.low, least), high=min(interval.high, most))


def _score(values: Sequence[float]) -> Estimate:
    """Over seeds, of a score: all of them lie between 0 and 1."""
    return over_seeds(values, least=0.0, most=1.0)


def _arrays(curve: Curve) -> tuple[Any, Any]:
    return np.asarray(curve.labels), np.asarray(curve.scores)
