"""The run against random sampling with as many labels and as many wrong answers, by the simulation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelloop.demo.evidence import Point
from labelloop.domain.types import Estimate
from labelloop.maths import curves
from labelloop.simulation.arms import own_name
from labelloop.simulation.results import Simulation, over_seeds

RANDOM = "random"
TARGETS = (0.9, 0.95, 0.98)
"""Parts of the full-data score whose price in labels is compared."""

MOST = 0.5
"""A score counts as reached when more than this part of the seeds reached it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Labels to a score: of the run, of the strategy in simulation, and of random; None where it was not reached."""

    score: float
    live: float | None
    strategy: Estimate | None
    random: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came out. `gap` is strategy minus random at the last label, paired by seed."""

    strategy: str
    live: Point
    random: Estimate
    gap: Estimate
    targets: Sequence[Target]
    verdict: str
    beats: bool


def compare(points: Sequence[Point], simulation: Simulation, strategy: str) -> Comparison:
    """The last promoted model of the run against random sampling at the same number of labels."""
    promoted = [point for point in points if point.state in ("champion", "retired")]
    last = promoted[-1] if promoted else points[-1]
    random = at_labels(simulation, RANDOM, last.labels)
    gap = _gap(simulation, strategy)
    beats = last.test > random.high
    return Comparison(
        strategy=strategy,
        live=last,
        random=random,
        gap=gap,
        targets=[_target(part * simulation.full_data_score, points, simulation, strategy) for part in TARGETS],
        verdict=_verdict(last, random, gap),
        beats=beats,
    )


def at_labels(simulation: Simulation, strategy: str, labels: int) -> Estimate:
    """The simulated score at a number of labels, between the points by straight lines."""
    points = simulation.points(strategy)
    at = [count for count, _ in points]
    values = {name: [getattr(score, name) for _, score in points] for name in ("mean", "low", "high")}
    return Estimate(**{name: float(np.interp(labels, at, value)) for name, value in values.items()})


def _gap(simulation: Simulation, strategy: str) -> Estimate:
    """Paired: both arms of a seed drew the same test set and noise."""
    ours, theirs = simulation.curves[strategy], simulation.curves[RANDOM]
    return over_seeds([one.scores[-1] - other.scores[-1] for one, other in zip(ours, theirs, strict=True)])


def _target(score: float, points: Sequence[Point], simulation: Simulation, strategy: str) -> Target:
    latest = {point.labels: point.test for point in points}  # of two models from the same labels the later one
    labels = np.array(sorted(latest))
    live = curves.labels_to(labels, np.array([latest[count] for count in labels.tolist()]), score)
    return Target(
        score=score, live=live, strategy=_price(simulation, strategy, score), random=_price(simulation, RANDOM, score)
    )


def _price(simulation: Simulation, strategy: str, score: float) -> Estimate | None:
    """Labels to a score over all seeds; None unless most seeds reached it."""
    reached = simulation.labels_to(strategy, score / simulation.full_data_score)
    return reached.labels if reached.reached > MOST else None


def _verdict(last: Point, random: Estimate, gap: Estimate) -> str:
    where = (
        f"with {last.labels} labels: {last.test:.3f} against {random.mean:.3f} ({random.low:.3f} to {random.high:.3f})"
    )
    paired = f"simulated gap {gap.mean:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
    if last.test > random.high:
        return f"Yes, this run beats random sampling {where}; {paired}."
    if last.test < random.low:
        return f"No, this run is worse than random sampling {where}; {paired}."
    return f"No clear difference from random sampling {where}; {paired}."


def strategy_name(project: Any) -> str:
    """The name of the project's strategy in the simulation."""
    return own_name(project)


def plain(estimate: Estimate | None) -> Mapping[str, float | None] | None:
    """For JSON: no NaN."""
    if estimate is None:
        return None
    values = {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
    return {name: None if np.isnan(value) else round(value, 6) for name, value in values.items()}
