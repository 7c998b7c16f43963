"""Whether one arm of a simulation is better than another, or only luckier: differences paired over seeds.

Both arms of a seed drew the same test set, cold start and wrong answers, so that their difference has less noise than
either. What is found for one measure over all arms is one family, and its p-values are corrected for that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from labelloop.domain.errors import Invalid
from labelloop.domain.types import Estimate
from labelloop.maths import curves, paired
from labelloop.maths.arrays import Floats
from labelloop.simulation.arms import RANDOM
from labelloop.simulation.results import FRACTIONS, Curve, Simulation, over_seeds

AREA = "area"
FINAL = "score"
LEVEL = 0.05
"""A difference is called one below this corrected p-value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One arm less another, by one measure: the mean difference with its t-interval and its bootstrap interval.

    `t` and `sign_flip` are two-sided p-values; `holm_t` and `holm_sign_flip` are corrected over all arms of the same
    measure. `better` says whether the arm is: None while that cannot be said.
    """

    strategy: str
    against: str
    measure: str
    difference: Estimate
    bootstrap: Estimate
    t: float
    sign_flip: float
    holm_t: float
    holm_sign_flip: float
    better: bool | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def reference(simulation: Simulation, asked: str | None = None) -> str:
    """The arm that all others are compared with: the one asked for, else random sampling, else the first.

    Raises:
        Invalid: there is no such arm; lists those there are.
    """
    names = list(simulation.curves)
    if asked is None:
        return next((name for name in names if name.rpartition("/")[2] == RANDOM), names[0])
    if asked not in names:
        raise Invalid(f"--against: there is no {asked!r} in this simulation; there are {', '.join(names)}.")
    return asked


def compare(simulation: Simulation, against: str | None = None) -> list[Comparison]:
    """Every arm against the reference: area under the curve, last score, and labels to each part of the full score.

    A seed that never reached that part counts with the labels of the whole budget, which understates what the other
    saved there; where no seed of either arm reached it, nothing is compared.
    """
    base = reference(simulation, against)
    others = [name for name in simulation.curves if name != base]
    found: list[Comparison] = []
    for measure, value, rising in _measures(simulation):
        values = {name: [value(curve) for curve in simulation.curves[name]] for name in simulation.curves}
        pairs = {
            name: _difference(values[name], values[base], simulation.budget)
            for name in others
            if any(one is not None for one in (*values[name], *values[base]))
        }
        found += _family(pairs, base, measure, rising=rising)
    return found


def _family(pairs: Mapping[str, Floats], base: str, measure: str, *, rising: bool) -> list[Comparison]:
    if not pairs:
        return []
    rng = np.random.default_rng(0)
    t = {name: paired.t_test(differences) for name, differences in pairs.items()}
    flips = {name: paired.sign_flip(differences, rng) for name, differences in pairs.items()}
    by_t, by_flips = (dict(zip(pairs, paired.holm(np.array(list(p.values()))), strict=True)) for p in (t, flips))
    return [
        Comparison(
            strategy=name,
            against=base,
            measure=measure,
            difference=over_seeds(differences.tolist()),
            bootstrap=Estimate(**paired.bootstrap_mean(differences, rng)._asdict()),
            t=t[name],
            sign_flip=flips[name],
            holm_t=float(by_t[name]),
            holm_sign_flip=float(by_flips[name]),
            better=bool((differences.mean() > 0) == rising) if by_t[name] < LEVEL else None,
        )
        for name, differences in pairs.items()
    ]


def _measures(simulation: Simulation) -> list[tuple[str, Callable[[Curve], float | None], bool]]:
    """Name, value of a curve, and whether more of it is better."""
    prices: list[tuple[str, Callable[[Curve], float | None], bool]] = [
        (f"labels_to_{part}", _price(part * simulation.full_data_score), False) for part in FRACTIONS
    ]
    return [(AREA, _area, True), (FINAL, lambda curve: curve.scores[-1], True), *prices]


def _area(curve: Curve) -> float:
    return curves.area(np.asarray(curve.labels), np.asarray(curve.scores))


def _price(target: float) -> Callable[[Curve], float | None]:
    return lambda curve: curves.labels_to(np.asarray(curve.labels), np.asarray(curve.scores), target)


def _difference(ours: Sequence[float | None], theirs: Sequence[float | None], budget: int) -> Floats:
    one, other = (np.array([budget if value is None else value for value in found]) for found in (ours, theirs))
    return np.asarray(one - other, dtype=np.float64)
