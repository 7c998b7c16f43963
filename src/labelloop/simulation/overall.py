"""Several data sets taken together: which strategy pays everywhere, and where the best of them costs something."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from labelloop.maths import curves, paired
from labelloop.maths.arrays import Floats
from labelloop.simulation.compare import AREA, compare, reference
from labelloop.simulation.results import Simulation


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One arm over all sets, against the reference.

    rank: mean over sets of its place by area, 1 is best. better, worse: sets where its area differs after correction.
    saving: median over sets of the part of the budget it leaves unspent when it reaches the reference's last score;
    least_saving: of the set where that is least. behind: the most that its mean curve is below the reference's at any
    number of labels on any set, as a score. sign_flip: p-value over sets that the areas do not differ.
    """

    rank: float
    better: int
    worse: int
    saving: float
    least_saving: float
    behind: float
    sign_flip: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def overall(simulations: Sequence[Simulation], against: str | None = None) -> Mapping[str, Standing]:
    """Every arm but the reference, over all sets; an arm that could not be played on one of them is left out."""
    base = reference(simulations[0], against)
    names = [name for name in simulations[0].curves if all(name in one.curves for one in simulations)]
    areas = np.array([[simulation.area(name).mean for name in names] for simulation in simulations])
    ranks = _ranks(areas)
    verdicts = [
        {found.strategy: found.better for found in compare(simulation, base) if found.measure == AREA}
        for simulation in simulations
    ]
    standings = {}
    for place, name in enumerate(names):
        if name == base:
            continue
        savings = [saving(simulation, name, base) for simulation in simulations]
        standings[name] = Standing(
            rank=float(ranks[:, place].mean()),
            better=sum(one[name] is True for one in verdicts),
            worse=sum(one[name] is False for one in verdicts),
            saving=float(np.median(savings)),
            least_saving=min(savings),
            behind=max(behind(simulation, name, base) for simulation in simulations),
            sign_flip=paired.sign_flip(areas[:, place] - areas[:, names.index(base)], np.random.default_rng(0)),
        )
    return standings


def saving(simulation: Simulation, name: str, base: str) -> float:
    """Part of the reference's labels that this arm does not need for the same last score, both by their mean curves.

    Where it never gets there, 0 says that nothing was saved.
    """
    labels, scores = _mean(simulation, name)
    theirs, goal = _mean(simulation, base)
    reached = curves.labels_to(labels, scores, float(goal[-1]))
    return 0.0 if reached is None else max(0.0, 1 - reached / float(theirs[-1]))


def behind(simulation: Simulation, name: str, base: str) -> float:
    """The most that this arm's mean curve is below the reference's, at any number of labels that both have; 0 if never.

    The first batch counts, too: there the cold starts are compared.
    """
    labels, scores = _mean(simulation, name)
    theirs, goal = _mean(simulation, base)
    at = np.unique(np.concatenate([labels, theirs]))
    at = at[(at >= max(labels[0], theirs[0])) & (at <= min(labels[-1], theirs[-1]))]
    return max(0.0, float((np.interp(at, theirs, goal) - np.interp(at, labels, scores)).max(initial=0.0)))


def _mean(simulation: Simulation, name: str) -> tuple[Floats, Floats]:
    points = simulation.points(name)
    return np.array([float(labels) for labels, _ in points]), np.array([score.mean for _, score in points])


def _ranks(areas: Floats) -> Floats:
    """Places along each row, best first; ties share their mean place."""
    above = (areas[:, None, :] > areas[:, :, None]).sum(axis=2)
    ties = (areas[:, None, :] == areas[:, :, None]).sum(axis=2)
    return np.asarray(above + (ties + 1) / 2)
